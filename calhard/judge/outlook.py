"""Early warnings: the night's mean at the horizon, and the risk that it is beyond its bound.

All arrays have shape (S,).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from calhard.assess.accumulate import trend_of
from calhard.assess.columns import Columns
from calhard.schema import MICROSECONDS_PER_DAY
from calhard_kernels._array import Array, safe_divide
from calhard_kernels.effective import Correlation
from calhard_kernels.slope import forecast, slope_test
from calhard_kernels.special import student_t_sf

LONGEST_DAYS = 14.0
"""A breach further away than this is not predicted."""
COVERAGE_TAIL = 0.025
"""Each end of the 95 % intervals leaves out this much."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """Forecast of the night's mean at the horizon; days count from as_of."""

    value: Array
    low: Array
    high: Array
    """Ends of the 95 % predictive interval."""
    risk: Array
    """P(that mean is beyond its bound)."""
    breach_day: Array
    """When the line crosses the bound, 0 where it lies beyond already; NaN if not in 14 days."""
    earliest_day: Array
    latest_day: Array
    """The same for the ends of the slope's 95 % interval; lines turn about the data's centre."""


def outlook(
    columns: Columns,
    correlation: Correlation,
    base: Array,
    bound: Array,
    kind: str,
    horizon_days: float,
    night_days: float,
) -> Outlook:
    """Return the forecast of a night's mean ``horizon_days`` ahead and its risk.

    Parameters
    ----------
    correlation : of the slope head, shrunk
    base, bound : baseline and SLO bound; only a ``drift`` has a baseline
    kind : ``drift``, ``level`` or ``floor``, see `Metric.slo`
    """
    fit = trend_of(columns, columns["n_reference"] + columns["n_analysis"])
    spacing = np.maximum(columns["spacing"] / MICROSECONDS_PER_DAY, 1e-6)
    slots = np.maximum(np.rint(night_days / spacing), 1.0)
    end = np.full(len(base), horizon_days)
    ahead = np.maximum(np.rint((end - columns["last_day"]) / spacing) - slots + 1.0, 1.0)
    law = forecast(fit, correlation, end - 0.5 * (slots - 1.0) * spacing, ahead, slots)
    quantile = t_quantile(law.df, COVERAGE_TAIL)
    risk = _beyond(law.mean, law.sd, law.df, base, bound, kind)
    test = slope_test(fit, correlation)
    direction = np.sign(fit.slope)
    error = direction * test.error * t_quantile(test.df, COVERAGE_TAIL)
    days = [
        _crossing(fit.level - slope * fit.centre, slope, direction, base, bound, kind)
        for slope in (fit.slope, fit.slope + error, fit.slope - error)
    ]
    return Outlook(
        law.mean, law.mean - quantile * law.sd, law.mean + quantile * law.sd, risk, *days
    )


def t_quantile(df: Array, tail: float) -> Array:
    """Return the t with P(T_df ≥ t) = tail, on the distinct df (to 2 digits) only; shape (S,)."""
    rounded, where = np.unique(np.round(df, 2), return_inverse=True)
    return stdtrit(rounded, 1.0 - tail)[where]


def _beyond(mean: Array, sd: Array, df: Array, base: Array, bound: Array, kind: str) -> Array:
    """P(|X − base| > bound), P(X > bound) or P(X < bound) of a t law; a step at sd = 0."""
    scale = np.where(sd > 0, sd, 1.0)
    nowhere = np.full_like(mean, -np.inf)
    high = {"level": mean - bound, "drift": mean - base - bound}.get(kind, nowhere)
    low = {"floor": bound - mean, "drift": base - bound - mean}.get(kind, nowhere)
    risk = student_t_sf(-high / scale, df) + student_t_sf(-low / scale, df)
    certain = ((high > 0) | (low > 0)).astype(np.float64)
    return np.where(sd > 0, np.minimum(risk, 1.0), certain)


def _crossing(
    now: Array, slope: Array, direction: Array, base: Array, bound: Array, kind: str
) -> Array:
    """Days from as_of until a line crosses the bound on its way, 0 if it has; NaN if too far."""
    target = base + direction * bound if kind == "drift" else bound
    gap = (target - now) * direction
    speed = slope * direction
    days = np.maximum(safe_divide(gap, np.where(speed > 0, speed, 0.0), otherwise=np.inf), 0.0)
    if kind != "drift":
        days = np.where(direction == (-1.0 if kind == "floor" else 1.0), days, np.inf)
    return np.where(days <= LONGEST_DAYS, days, np.nan)
