"""From a panel to accumulators: all that is ever read from the values of a series.

Everything here needs the series alone; what needs the fleet (shrinkage, inflation, discovery
control) is done later from these columns, without the values. Every column has shape (S,).
"""

from __future__ import annotations

import numpy as np

from calhard.assess.columns import RECENT, SHORT, Columns, pack
from calhard.assess.panel import Panel
from calhard.assess.sides import Sides, deseasonalised, deviations, mirrored, winsorised
from calhard.schema import Metric
from calhard_kernels._array import Array
from calhard_kernels.effective import ONE_SIDE, lag1_correlation
from calhard_kernels.failure import closing_run, longest_run
from calhard_kernels.moments import Moments, moments
from calhard_kernels.order import interquartile_range, median, order_statistics
from calhard_kernels.oscillation import (
    Peak,
    between_peak,
    cycle_amplitude,
    fisher_g_p,
    periodogram_peak,
)
from calhard_kernels.scan import best_split, last_mean
from calhard_kernels.slope import Trend, trend

OFFSETS = (0.0, -0.5, -0.25, 0.25, 0.5)
"""Places between two Fourier frequencies at which a cycle's amplitude is looked for."""
SCREEN = 0.05
"""A cycle with a larger p is not looked for in the reference window and in either half."""


def accumulate(panel: Panel, metric: Metric, cadence: int, heads: frozenset[str]) -> Columns:
    """Return the accumulators of every series of a panel.

    Parameters
    ----------
    panel : S series with some reference and analysis values each
    cadence : index into `windows.CADENCES`
    heads : the regression heads to prepare; ``level`` is always prepared
    """
    columns = raw_columns(panel) | share_columns(panel, metric)
    side = Sides.of(panel, deseasonalised(panel, cadence))
    spread = deviations(side)
    clipped = winsorised(side, spread)
    columns |= level_columns(panel, clipped)
    if "scan" in heads:
        columns |= scan_columns(panel, clipped)
    if "slope" in heads:
        columns |= slope_columns(panel, clipped)
    if "variance" in heads:
        columns |= variance_columns(side, (spread[0][1], spread[1][1]))
    if "oscillation" in heads:
        columns |= oscillation_columns(side)
    return columns


def raw_columns(panel: Panel) -> Columns:
    """Moments and order statistics of the values as they were reported."""
    side = Sides.of(panel, panel.x)
    order = order_statistics(side.reference, side.valid_reference)
    run = longest_run(mirrored(side.reference), side.n_reference)
    return {
        **pack("raw_a", moments(side.reference, side.valid_reference)),
        **pack("raw_b", moments(side.analysis, side.valid_analysis)),
        "reference_median": order.median,
        "closing_run": closing_run(side.analysis, side.n_analysis).astype(np.float64),
        "reference_run": run.astype(np.float64),
    }


def level_columns(panel: Panel, clipped: Array) -> Columns:
    """Level, known split: winsorised moments, and the means of the last slots."""
    side = Sides.of(panel, clipped)
    a = moments(side.reference, side.valid_reference)
    end = panel.boundary + side.n_analysis
    columns = {
        **pack("level_a", a),
        **pack("level_b", moments(side.analysis, side.valid_analysis)),
        "level_kept": last_mean(clipped, end) - a.mean,
    }
    if clipped.shape[1] - panel.boundary <= SHORT:
        for k in RECENT:
            columns[f"recent_{k}"] = _recent_mean(clipped, end, side.n_analysis, k) - a.mean
    return columns


def _recent_mean(x: Array, end: Array, n: Array, k: int) -> Array:
    """Mean of the last ``min(k, n)`` values before column ``end`` of each row."""
    slots = np.minimum(n, k)
    index = np.maximum(end[:, None] - 1 - np.arange(k), 0)
    last = x[np.arange(len(x)), end - 1]
    part = (np.take_along_axis(x, index, axis=1) - last[:, None]) * (np.arange(k) < slots[:, None])
    return last + np.sum(part, axis=1) / slots


def share_columns(panel: Panel, metric: Metric) -> Columns:
    """Moments of "not at the lower bound" for series that sit there half of the time."""
    if not np.isfinite(metric.low):
        return {}
    side = Sides.of(panel, panel.x)
    at_bound = median(side.reference, side.valid_reference) == metric.low
    at_bound |= median(side.analysis, side.valid_analysis) == metric.low
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
    end = panel.boundary + Sides.of(panel, clipped).n_analysis
    later = np.arange(clipped.shape[1]) >= split.column[:, None]
    earlier = ~later
    if panel.valid is not None:
        later, earlier = later & panel.valid, earlier & panel.valid
    centred = panel.x - split.before.mean[:, None]
    after = np.sum(centred * later, axis=1) / np.maximum(split.after.n, 1.0)
    before = np.sum(centred * earlier, axis=1) / np.maximum(split.before.n, 1.0)
    return {
        **pack("scan_a", split.before),
        **pack("scan_b", split.after),
        "scan_n_a": split.before.n,
        "scan_n_b": split.after.n,
        "scan_found": split.found.astype(np.float64),
        "scan_day": panel.day[np.arange(len(clipped)), split.column],
        "scan_kept": last_mean(clipped, end) - split.before.mean,
        "scan_change": after - before,
    }


def slope_columns(panel: Panel, clipped: Array) -> Columns:
    """Straight line through both windows; time in days before as_of."""
    fit = trend(panel.day, clipped, panel.valid)
    side = Sides.of(panel, clipped)
    rows = np.arange(len(clipped))
    first = panel.boundary - side.n_reference
    end = panel.boundary + side.n_analysis
    return {
        **pack("slope_residual", fit.residuals),
        "slope_level": fit.level,
        "slope": fit.slope,
        "slope_centre": fit.centre,
        "slope_time_squares": fit.time_squares,
        "slope_total": fit.total_squares,
        "slope_curvature": fit.curvature,
        "slope_last": fit.last_residual,
        "slope_kept": last_mean(clipped, end) - fit.level,
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


def variance_columns(side: Sides, deviation: tuple[Array, Array]) -> Columns:
    """Brown–Forsythe: moments of |x − side median|, and how the quartile ranges compare."""
    half = side.analysis.shape[1] // 2
    valid = side.valid_analysis
    first = interquartile_range(side.analysis[:, :half], None if valid is None else valid[:, :half])
    last = interquartile_range(side.analysis[:, half:], None if valid is None else valid[:, half:])
    return {
        **pack("spread_a", moments(deviation[0], side.valid_reference)),
        **pack("spread_b", moments(deviation[1], side.valid_analysis)),
        "spread_iqr_a": interquartile_range(side.reference, side.valid_reference),
        "spread_iqr_b": interquartile_range(side.analysis, side.valid_analysis),
        "spread_iqr_half": np.fmin(first, last),
    }


def oscillation_columns(side: Sides) -> Columns:
    """Fisher's g on the whitened analysis window, and the cycle's amplitude then and before.

    ``cycle_half`` is the smaller of its amplitudes in the window's two halves.
    """
    names = ("cycle_p", "cycle_period", "cycle_amplitude", "cycle_before", "cycle_half")
    columns = {name: np.full(len(side.reference), np.nan) for name in names}
    long = side.n_analysis >= SHORT
    if not long.any():
        return columns
    phi = lag1_correlation((moments(side.reference, side.valid_reference),), ONE_SIDE).phi
    for n in np.unique(side.n_analysis[long]):
        rows = np.flatnonzero(side.n_analysis == n)
        x = side.analysis[rows, :n]
        peak = periodogram_peak(x, phi[rows])
        p = fisher_g_p(peak.g, peak.ordinates)
        columns["cycle_p"][rows] = p
        columns["cycle_period"][rows] = n / peak.index
        columns["cycle_amplitude"][rows] = peak.amplitude
        seen = p <= SCREEN
        near = Peak(peak.g[seen], peak.index[seen], peak.ordinates, peak.amplitude[seen])
        g = between_peak(x[seen], phi[rows[seen]], near)
        columns["cycle_p"][rows[seen]] = np.minimum(2.0 * fisher_g_p(g, peak.ordinates), 1.0)
        _look_closer(columns, rows[seen], x[seen], near.index)
        _look_before(side, columns, rows[seen])
    return columns


def _look_closer(columns: Columns, rows: Array, x: Array, index: Array) -> None:
    """Fill in the cycle between the Fourier frequencies, and whether both halves have it."""
    n = x.shape[1]
    tried = np.stack([np.minimum((index + offset) / n, 0.5) for offset in OFFSETS], axis=1)
    size = np.stack([cycle_amplitude(x, tried[:, k]) for k in range(len(OFFSETS))], axis=1)
    best = np.argmax(size, axis=1)
    chosen = np.arange(len(rows)), best
    columns["cycle_amplitude"][rows] = size[chosen]
    columns["cycle_period"][rows] = 1.0 / tried[chosen]
    columns["cycle_half"][rows] = _in_both_halves(x, 1.0 / tried[chosen])


def _in_both_halves(x: Array, period: Array) -> Array:
    half = x.shape[1] // 2
    return np.minimum(
        cycle_amplitude(x[:, :half], 1.0 / period), cycle_amplitude(x[:, half:], 1.0 / period)
    )


def _look_before(side: Sides, columns: Columns, rows: Array) -> None:
    """Fill in the amplitude that the same frequency had in the reference window."""
    for n in np.unique(side.n_reference[rows]):
        chosen = rows[side.n_reference[rows] == n]
        before = side.reference[chosen, side.reference.shape[1] - n :]
        columns["cycle_before"][chosen] = cycle_amplitude(
            before, 1.0 / columns["cycle_period"][chosen]
        )
