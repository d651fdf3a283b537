"""How bad: the scales of regressions and of SLO violations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from calhard.findings.columns import Floats, Objects

REGRESSION_SCALE = ("minor", "moderate", "severe", "critical")
VIOLATION_SCALE = ("low", "medium", "high", "critical")

_EFFECT_EDGES = np.array([0.8, 1.5, 3.0])
_RATIO_EDGES = np.array([1.5, 2.0, 3.0])
_CAP_EDGES = np.array([0.5, 1.0, 2.0])
"""|Δ| over the SLO bound: below ½ at most minor, below 1 moderate, below 2 severe."""
TYPE_FACTORS = {
    "SuddenJump": 1.5,
    "VarianceIncrease": 1.3,
    "GradualDrift": 1.0,
    "Oscillation": 0.8,
    "MetricFailure": 1.0,
}
_CLAMP_HIGH = 1.5
"""A clamp rate beyond this many times its bound is high."""
TOLERANCE = 1e-12
"""A value at its bound is within it, also where it was averaged."""
_RATIO_TOLERANCE = 1e-9


def regression_severity(
    effect: Floats, change: Floats, importance: Floats, kind: Objects, bound: Floats
) -> NDArray[np.int64]:
    """Return indices into `REGRESSION_SCALE`.

    e = |effect| · importance · type factor: > 3 critical, > 1.5 severe, > 0.8 moderate, else
    minor; then capped by |change| over the metric's SLO bound (NaN: no cap). A failure of a metric
    is severe.
    """
    factor = np.array([TYPE_FACTORS[k] for k in kind], np.float64)
    e = np.abs(effect) * importance * factor
    level = np.searchsorted(_EFFECT_EDGES, np.nan_to_num(e), side="left")
    ratio = np.divide(np.abs(change), bound, out=np.full_like(change, np.inf), where=bound > 0)
    cap = np.searchsorted(_CAP_EDGES, np.where(np.isnan(ratio), np.inf, ratio), side="right")
    return np.where(kind == "MetricFailure", 2, np.minimum(level, cap))


def violation_severity(
    metric: str, drift: Floats, value: Floats, bound: Floats, fail: Floats
) -> list[str]:
    """Return the severity of each violation of one metric.

    A drift by its ratio to the bound (> 3 critical, > 2 high, > 1.5 medium, else low); clamp rate
    beyond 1.5 × its bound high, else medium; merged bins beyond the fail bound critical, else
    medium; score range critical; mask mismatches high; a declared level as a drift.
    """
    if metric == "score_range_violations":
        return ["critical"] * len(value)
    if metric == "mask_mismatch_count":
        return ["high"] * len(value)
    if metric == "clamp_rate":
        return [
            "high" if v > _CLAMP_HIGH * b + TOLERANCE else "medium" for v, b in _pairs(value, bound)
        ]
    if metric == "merged_bin_rate":
        return ["critical" if v > b + TOLERANCE else "medium" for v, b in _pairs(value, fail)]
    ratio = np.divide(np.abs(drift), bound, out=np.full_like(drift, np.inf), where=bound > 0)
    place = np.searchsorted(_RATIO_EDGES + _RATIO_TOLERANCE, ratio, side="left")
    return [VIOLATION_SCALE[i] for i in place]


def _pairs(a: Floats, b: Floats) -> Sequence[tuple[float, float]]:
    return list(zip(a.tolist(), b.tolist(), strict=True))
