"""From a panel to accumulators: all that is ever read from the values of a series.

Everything here needs the series alone; what needs the fleet (shrinkage, inflation, discovery
control) is done later from these columns, without the values. Every column has shape (S,).
"""

from __future__ import annotations

import numpy as np

from calhard.assess.columns import RECENT, SHORT, Columns, pack
from calhard.assess.cycles import oscillation_columns
from calhard.assess.panel import Panel
from calhard.assess.runs import run_columns
from calhard.assess.sides import Side, Sides, deseasonalised, winsorised
from calhard.schema import Metric
from calhard_kernels._array import Array, zero_padding
from calhard_kernels.effective import lag1_correlation
from calhard_kernels.moments import Moments, moments
from calhard_kernels.order import interquartile_range
from calhard_kernels.scan import Split, best_split, last_mean
from calhard_kernels.slope import Trend, trend

ALIKE = 0.4
"""Lag-1 correlation above which few slots tell little of what lasts."""


def accumulate(panel: Panel, metric: Metric, cadence: int, heads: frozenset[str]) -> Columns:
    """Return the accumulators of every series of a panel.

    Parameters
    ----------
    panel : S series with some reference and analysis values each
    cadence : index into `windows.CADENCES`
    heads : the regression heads to prepare; ``level`` is always prepared
    """
    raw = Sides.of(panel, panel.x)
    columns = raw_columns(raw) | share_columns(panel, raw, metric)
    side = deseasonalised(panel, raw, cadence)
    clipped = winsorised(side)
    columns |= level_columns(panel, clipped, side, raw)
    if "scan" in heads:
        columns |= scan_columns(panel, clipped)
    if "slope" in heads:
        columns |= slope_columns(panel, clipped, side)
    if "variance" in heads:
        columns |= variance_columns(side)
    if "oscillation" in heads:
        columns |= oscillation_columns(side)
    return columns


def raw_columns(raw: Sides) -> Columns:
    """Moments and order statistics of the values as they were reported."""
    reference, analysis = raw.reference, raw.analysis
    return {
        **pack("raw_a", reference.moments),
        **pack("raw_b", analysis.moments),
        "reference_median": reference.median,
        **run_columns(reference, analysis),
    }


def level_columns(panel: Panel, clipped: Array, side: Sides, raw: Sides) -> Columns:
    """Level, known split: winsorised moments, and the means of the last slots."""
    a = moments(clipped[:, panel.reference], side.reference.valid)
    b = moments(clipped[:, panel.analysis], side.analysis.valid)
    n = side.analysis.n
    end = panel.boundary + n
    columns = {
        **pack("level_a", a),
        **pack("level_b", b),
        **closing_columns(clipped, end, lag1_correlation((a, b)).phi),
    }
    if clipped.shape[1] - panel.boundary <= SHORT:
        level = raw.reference.moments.mean
        for k in RECENT:
            columns[f"recent_{k}"] = _recent_mean(clipped, end, n, k) - a.mean
            columns[f"recent_raw_{k}"] = _recent_mean(panel.x, end, n, k) - level
    return columns


def closing_columns(clipped: Array, end: Array, phi: Array) -> Columns:
    """Means of the last 10 slots and of the last 15, of 20 where neighbours are alike."""
    alike = phi > ALIKE
    return {
        "closing_10": last_mean(clipped, end, 10),
        "closing": np.where(alike, last_mean(clipped, end, 20), last_mean(clipped, end, 15)),
        "alike": alike.astype(np.float64),
    }


def _recent_mean(x: Array, end: Array, n: Array, k: int) -> Array:
    """Mean of the last ``min(k, n)`` values before column ``end`` of each row."""
    slots = np.minimum(n, k)
    index = np.maximum(end[:, None] - 1 - np.arange(k), 0)
    last = x[np.arange(len(x)), end - 1]
    part = (np.take_along_axis(x, index, axis=1) - last[:, None]) * (np.arange(k) < slots[:, None])
    return last + np.sum(part, axis=1) / slots


def share_columns(panel: Panel, raw: Sides, metric: Metric) -> Columns:
    """Moments of "not at the lower bound" for series that sit there half of the time."""
    if not np.isfinite(metric.low):
        return {}
    at_bound = (raw.reference.median == metric.low) | (raw.analysis.median == metric.low)
    rows = np.flatnonzero(at_bound)
    if not len(rows):
        return {}
    columns: Columns = {}
    active = (panel.x[rows] > metric.low).astype(np.float64)
    for name, part in (("share_a", panel.reference), ("share_b", panel.analysis)):
        mask = panel.mask(part)
        found = moments(active[:, part], None if mask is None else mask[rows])
        for key, value in pack(name, found).items():
            columns[key] = np.full(len(at_bound), np.nan)
            columns[key][rows] = value
    return columns


def scan_columns(panel: Panel, clipped: Array) -> Columns:
    """Level, unknown split: moments of both sides of the best split, and when it was.

    ``scan_change`` is the difference of the raw means at that split.
    """
    split = best_split(clipped, panel.valid)
    return {
        **pack("scan_a", split.before),
        **pack("scan_b", split.after),
        "scan_n_a": split.before.n,
        "scan_n_b": split.after.n,
        "scan_found": split.found.astype(np.float64),
        "scan_day": panel.day[np.arange(len(clipped)), split.column],
        "scan_change": _raw_step(panel, split),
    }


def _raw_step(panel: Panel, split: Split) -> Array:
    """Difference of the means of the values as reported, after the split less before it."""
    centred = zero_padding(panel.x - split.before.mean[:, None], panel.valid)
    summed = np.cumsum(centred, axis=1)
    before = summed[np.arange(len(centred)), split.column - 1]
    after = summed[:, -1] - before
    return after / np.maximum(split.after.n, 1.0) - before / np.maximum(split.before.n, 1.0)


def slope_columns(panel: Panel, clipped: Array, side: Sides) -> Columns:
    """Straight line through both windows; time in days before as_of."""
    shared = panel.in_step and panel.valid is None
    fit = trend(panel.day[:1] if shared else panel.day, clipped, panel.valid)
    rows = np.arange(len(clipped))
    first = panel.boundary - side.reference.n
    end = panel.boundary + side.analysis.n
    return {
        **pack("slope_residual", fit.residuals),
        "slope_level": fit.level,
        "slope": fit.slope,
        "slope_centre": fit.centre,
        "slope_time_squares": fit.time_squares,
        "slope_total": fit.total_squares,
        "slope_curvature": fit.curvature,
        "slope_last": fit.last_residual,
        "slope_first_day": panel.day[rows, first],
        "slope_last_day": panel.day[rows, end - 1],
        "volatility": _volatility(fit, clipped[rows, first], panel.day[rows, first]),
    }


def trend_of(columns: Columns, n: Array) -> Trend:
    """Return the line that `slope_columns` stored."""
    zero = 0.0 * n
    return Trend(
        n,
        columns["slope_level"],
        columns["slope"],
        columns["slope_centre"],
        columns["slope_time_squares"],
        Moments(n, zero, zero, columns["slope_residual_squares"], columns["slope_residual_cross"]),
        columns["slope_total"],
        columns["slope_curvature"],
        columns["slope_last"],
    )


def _volatility(fit: Trend, first: Array, first_day: Array) -> Array:
    """Root mean square of successive differences of the residuals.

    Σ (r_t − r_{t−1})² = 2(S − C) − r_1² − r_n², over n − 1 differences.
    """
    lead = first - (fit.level + fit.slope * (first_day - fit.centre))
    squares = 2.0 * (fit.residuals.squares - fit.residuals.cross) - lead**2 - fit.last_residual**2
    return np.sqrt(np.maximum(squares, 0.0) / np.maximum(fit.n - 1.0, 1.0))


def variance_columns(side: Sides) -> Columns:
    """Brown–Forsythe: moments of |x − side median|, and how the quartile ranges compare.

    ``spread_iqr_half``, the smaller range of the analysis window's halves, is made only where the
    whole window's has grown.
    """
    columns: Columns = {}
    for name, part in (("a", side.reference), ("b", side.analysis)):
        deviation = np.abs(part.x - part.median[:, None])
        columns |= pack(f"spread_{name}", moments(deviation, part.valid))
        columns[f"spread_iqr_{name}"] = part.ordered.iqr
    grown = np.flatnonzero(columns["spread_iqr_b"] > columns["spread_iqr_a"])
    columns["spread_iqr_half"] = np.full(len(side.analysis.n), np.nan)
    columns["spread_iqr_half"][grown] = _smaller_half(side.analysis, grown)
    return columns


def _smaller_half(side: Side, rows: Array) -> Array:
    """Smaller quartile range of the two halves of some rows' window; NaN without values."""
    x, middle = side.x[rows], side.x.shape[1] // 2
    valid = None if side.valid is None else side.valid[rows]
    halves = [
        interquartile_range(x[:, part], None if valid is None else valid[:, part])
        for part in (slice(0, middle), slice(middle, None))
    ]
    return np.fmin(*halves)
