"""From a panel to accumulators: all that is ever read from the values of a series.

Everything here needs the series alone; what needs the fleet (shrinkage, inflation, discovery
control) is done later from these columns, without the values. Every column has shape (S,).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from calhard_kernels._array import Array
from calhard_kernels.effective import ONE_SIDE, lag1_correlation
from calhard_kernels.failure import closing_run, longest_run
from calhard_kernels.moments import Moments, moments
from calhard_kernels.order import interquartile_range, median, order_statistics, winsorise
from calhard_kernels.oscillation import cycle_amplitude, fisher_g_p, periodogram_peak
from calhard_kernels.scan import best_split, last_mean
from calhard_kernels.season import remove_season
from calhard_kernels.slope import Trend, trend

from calhard.assess.columns import Columns, pack
from calhard.assess.panel import Panel
from calhard.schema import Metric

SHORT = 24
"""Analysis windows with fewer slots have no variance or spectrum of their own."""
RECENT = (1, 2, 3, 5, 7)
"""Last slots whose mean the level head tests in a short window."""
PERIODS = {0: 24, 2: 7}
"""Season by cadence: a day of hours, a week of days."""


@dataclass(frozen=True, slots=True)
class Sides:
    """Both windows of a panel, with their masks and sizes."""

    reference: Array
    analysis: Array
    valid_reference: Array | None
    valid_analysis: Array | None
    n_reference: Array
    n_analysis: Array

    @classmethod
    def of(cls, panel: Panel, x: Array) -> Sides:
        """Cut the values ``x`` of a panel at its boundary."""
        valid_a, valid_b = panel.mask(panel.reference), panel.mask(panel.analysis)
        a, b = x[:, panel.reference], x[:, panel.analysis]
        return cls(a, b, valid_a, valid_b, _sizes(a, valid_a), _sizes(b, valid_b))


def _sizes(x: Array, valid: Array | None) -> Array:
    if valid is None:
        return np.full(len(x), x.shape[1], np.int64)
    return np.sum(valid, axis=1)


def accumulate(panel: Panel, metric: Metric, period: int | None, heads: frozenset[str]) -> Columns:
    """Return the accumulators of every series of a panel.

    Parameters
    ----------
    panel : S series with at least 10 reference and 3 analysis values each
    period : slots of a season, None to leave the values as they are
    heads : the regression heads to prepare; ``level`` is always prepared
    """
    columns = raw_columns(panel)
    x = deseasonalised(panel, period)
    side = Sides.of(panel, x)
    centre = [median(side.reference, side.valid_reference)]
    centre.append(median(side.analysis, side.valid_analysis))
    deviation = [
        np.abs(side.reference - centre[0][:, None]),
        np.abs(side.analysis - centre[1][:, None]),
    ]
    clipped = np.concatenate(
        [
            winsorise(side.reference, centre[0], median(deviation[0], side.valid_reference)),
            winsorise(side.analysis, centre[1], median(deviation[1], side.valid_analysis)),
        ],
        axis=1,
    )
    columns |= level_columns(panel, clipped)
    columns |= share_columns(panel, metric)
    if "scan" in heads:
        columns |= scan_columns(panel, clipped)
    if "slope" in heads:
        columns |= slope_columns(panel, clipped)
    if "variance" in heads:
        columns |= variance_columns(side, deviation)
    if "oscillation" in heads:
        columns |= oscillation_columns(side)
    return columns


def raw_columns(panel: Panel) -> Columns:
    """Moments and order statistics of the values as they were reported."""
    side = Sides.of(panel, panel.x)
    a = moments(side.reference, side.valid_reference)
    b = moments(side.analysis, side.valid_analysis)
    end = panel.boundary + side.n_analysis - 1
    rows = np.arange(len(end))
    spread = order_statistics(side.reference, side.valid_reference)
    return {
        **pack("raw_a", a),
        **pack("raw_b", b),
        "reference_median": spread.median,
        "reference_low": spread.minimum,
        "reference_high": spread.maximum,
        "last_value": panel.x[rows, end],
        "last_day": panel.day[rows, end],
        "closing_run": closing_run(side.analysis, side.n_analysis).astype(np.float64),
        "reference_run": longest_run(_mirrored(side.reference), side.n_reference).astype(
            np.float64
        ),
    }


def _mirrored(x: Array) -> Array:
    """Turn a right-aligned reference into a left-packed one (time runs backwards)."""
    return np.ascontiguousarray(x[:, ::-1])


def deseasonalised(panel: Panel, period: int | None) -> Array:
    """Return the panel's values less the reference's phase medians, where a season stands."""
    if period is None or panel.boundary < 4 * period:
        return panel.x
    slot_days = 1.0 / 24.0 if period == PERIODS[0] else 1.0
    phase = np.floor(panel.day / slot_days + 0.5).astype(np.int64) % period
    side = Sides.of(panel, panel.x)
    a, b, _ = remove_season(
        _mirrored(side.reference),
        _mirrored(phase[:, panel.reference]),
        side.n_reference,
        side.analysis,
        phase[:, panel.analysis],
        side.n_analysis,
        period,
    )
    return np.concatenate([a[:, ::-1], b], axis=1)


def level_columns(panel: Panel, clipped: Array) -> Columns:
    """Level, known split: winsorised moments, and the means of the last slots."""
    side = Sides.of(panel, clipped)
    a = moments(side.reference, side.valid_reference)
    b = moments(side.analysis, side.valid_analysis)
    end = panel.boundary + side.n_analysis
    columns = {**pack("level_a", a), **pack("level_b", b)}
    if clipped.shape[1] - panel.boundary < SHORT + 8:
        for k in RECENT:
            slots = np.minimum(side.n_analysis, k)
            columns[f"recent_{k}"] = _recent_mean(clipped, end, slots) - a.mean
    columns["kept"] = last_mean(clipped, end) - a.mean
    return columns


def _recent_mean(x: Array, end: Array, slots: Array) -> Array:
    """Mean of the last ``slots`` values before column ``end`` of each row."""
    depth = int(slots.max())
    index = np.maximum(end[:, None] - 1 - np.arange(depth), 0)
    used = np.arange(depth) < slots[:, None]
    anchor = x[np.arange(len(x)), end - 1]
    part = (np.take_along_axis(x, index, axis=1) - anchor[:, None]) * used
    return anchor + np.sum(part, axis=1) / slots


def share_columns(panel: Panel, metric: Metric) -> Columns:
    """Moments of "not at the bound" for series that sit at a bound half of the time."""
    size = len(panel.series)
    columns = {
        f"share_{side}_{name}": np.full(size, np.nan)
        for side in "ab"
        for name in ("shift", "offset", "squares", "cross")
    }
    if not np.isfinite(metric.low):
        return columns
    side = Sides.of(panel, panel.x)
    low = median(side.reference, side.valid_reference) == metric.low
    low |= median(side.analysis, side.valid_analysis) == metric.low
    rows = np.flatnonzero(low)
    if len(rows):
        active = (panel.x[rows] > metric.low).astype(np.float64)
        for name, part in (("a", panel.reference), ("b", panel.analysis)):
            mask = panel.mask(part)
            found = moments(active[:, part], None if mask is None else mask[rows])
            for key, value in pack(f"share_{name}", found).items():
                columns[key][rows] = value
    return columns


def scan_columns(panel: Panel, clipped: Array) -> Columns:
    """Level, unknown split: moments of both sides of the best split, and when it was."""
    split = best_split(clipped, panel.valid)
    rows = np.arange(len(clipped))
    side = Sides.of(panel, clipped)
    end = panel.boundary + side.n_analysis
    return {
        **pack("scan_a", split.before),
        **pack("scan_b", split.after),
        "scan_n_a": split.before.n,
        "scan_n_b": split.after.n,
        "scan_found": split.found.astype(np.float64),
        "scan_day": panel.day[rows, split.column],
        "scan_kept": last_mean(clipped, end) - split.before.mean,
    }


def slope_columns(panel: Panel, clipped: Array) -> Columns:
    """Straight line through both windows; time in days before as_of."""
    fit = trend(panel.day, clipped, panel.valid)
    side = Sides.of(panel, clipped)
    end = panel.boundary + side.n_analysis
    begin = panel.boundary - side.n_reference
    rows = np.arange(len(clipped))
    return {
        **_trend_columns(fit),
        "slope_span": panel.day[rows, end - 1] - panel.day[rows, begin],
        "slope_kept": last_mean(clipped, end) - fit.level,
        "slope_end": panel.day[rows, end - 1],
        "volatility": _volatility(fit, clipped[rows, begin], clipped[rows, end - 1]),
    }


def _trend_columns(fit: Trend) -> Columns:
    return {
        "slope_level": fit.level,
        "slope_slope": fit.slope,
        "slope_centre": fit.centre,
        "slope_time_squares": fit.time_squares,
        "slope_squares": fit.residuals.squares,
        "slope_cross": fit.residuals.cross,
        "slope_total": fit.total_squares,
        "slope_curvature": fit.curvature,
        "slope_last": fit.last_residual,
    }


def _volatility(fit: Trend, first: Array, last: Array) -> Array:
    """Root mean square of successive differences of the residuals: √((2S − 2C − r₁² − rₙ²)/(n−1)).

    The first residual is taken from the line, the last is stored.
    """
    lead = first - (fit.level + (last - fit.last_residual - fit.level) - (last - fit.last_residual))
    lead = first - lead if False else fit.last_residual * 0.0 + (first - fit.level)
    squares = 2.0 * (fit.residuals.squares - fit.residuals.cross)
    return np.sqrt(np.maximum(squares - fit.last_residual**2, 0.0) / np.maximum(fit.n - 1.0, 1.0))


def variance_columns(side: Sides, deviation: list[Array]) -> Columns:
    """Brown–Forsythe: moments of |x − side median|, and how the quartile ranges compare."""
    a = moments(deviation[0], side.valid_reference)
    b = moments(deviation[1], side.valid_analysis)
    half = side.analysis.shape[1] // 2
    cut = slice(0, half), slice(half, side.analysis.shape[1])
    base = interquartile_range(side.reference, side.valid_reference)
    whole = interquartile_range(side.analysis, side.valid_analysis)
    halves = [
        interquartile_range(
            side.analysis[:, part],
            None if side.valid_analysis is None else side.valid_analysis[:, part],
        )
        for part in cut
    ]
    return {
        **pack("spread_a", a),
        **pack("spread_b", b),
        "spread_iqr_a": base,
        "spread_iqr_b": whole,
        "spread_iqr_half": np.fmin(halves[0], halves[1]),
    }


def oscillation_columns(side: Sides) -> Columns:
    """Fisher's g on the whitened analysis window, and the cycle's size then and before."""
    size = len(side.reference)
    names = ("cycle_p", "cycle_period", "cycle_amplitude", "cycle_before")
    columns = {name: np.full(size, np.nan) for name in names}
    reference = moments(side.reference, side.valid_reference)
    phi = lag1_correlation((reference,), ONE_SIDE).phi
    for n in np.unique(side.n_analysis[side.n_analysis >= SHORT]):
        rows = np.flatnonzero(side.n_analysis == n)
        peak = periodogram_peak(side.analysis[rows, :n], phi[rows])
        columns["cycle_p"][rows] = fisher_g_p(peak.g, peak.ordinates)
        columns["cycle_period"][rows] = n / peak.index
        columns["cycle_amplitude"][rows] = peak.amplitude
        columns["cycle_before"][rows] = 0.0
    return columns
