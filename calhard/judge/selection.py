"""What the fleet decides of each series: one p over all heads, and which head speaks for it.

All arrays have shape (S,).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from calhard.assess.columns import Columns
from calhard.judge.status import FAILED
from calhard.schema import HEADS, Direction
from calhard_kernels._array import Array
from calhard_kernels.inflation import CAP, deflate

JUMP, DRIFT, VARIANCE, OSCILLATION, FAILURE = (
    "SuddenJump",
    "GradualDrift",
    "VarianceIncrease",
    "Oscillation",
    "MetricFailure",
)
TRUSTED_SCAN = 0.05
"""A split with a larger p of its own does not date a change."""


def deflated(columns: Columns, head: str, factors: NDArray[np.float64], cap: float = CAP) -> Array:
    """Return a head's p less its family's inflation; ``factors`` is raw λ, (M, C, H)."""
    p = columns[f"p_{head}"].copy()
    metric, cadence = columns["metric"].astype(np.int64), columns["cadence"].astype(np.int64)
    h = HEADS.index(head)
    for m, c in np.argwhere(factors[:, :, h] > 1.0):
        rows = np.flatnonzero((metric == m) & (cadence == c) & ~np.isnan(p))
        p[rows] = deflate(p[rows], float(factors[m, c, h]), cap)
    return p


def combine(
    columns: Columns,
    factors: NDArray[np.float64],
    weights: Mapping[str, float],
    cap: float = CAP,
) -> tuple[Array, Array]:
    """Return the combined p of each series and the head with the smallest weighted p.

    Weighted Bonferroni: p = min over heads of p_h/w_h, at most 1; a head that is off (NaN) gives
    its weight to the others; a gated head has p = 1. Where all are gated the nearest is named.
    Without any head p is NaN and the head −1.
    """
    p = np.stack([deflated(columns, head, factors, cap) for head in HEADS], axis=1)
    on = ~np.isnan(p)
    share = np.array([weights[head] for head in HEADS]) * on
    total = np.sum(share, axis=1, keepdims=True)
    share = share / np.where(total > 0, total, 1.0)
    gated = np.stack([columns[f"open_{head}"] != 1.0 for head in HEADS], axis=1)
    counted = on & (share > 0)
    weighted = np.where(counted, p, np.inf) / np.where(counted, share, 1.0)
    open_ = np.where(gated, np.inf, weighted)
    smallest = np.minimum(np.min(open_, axis=1), 1.0)
    closed = np.all(gated | ~counted, axis=1)
    best = np.where(closed, np.argmin(weighted, axis=1), np.argmin(open_, axis=1))
    tested = counted.any(axis=1)
    return np.where(tested, smallest, np.nan), np.where(tested, best, -1)


def kinds(columns: Columns, head: Array) -> NDArray[np.object_]:
    """Return the regression type of each series, were it significant; "" where nothing speaks.

    Between step and ramp the smaller residual sum of squares decides.
    """
    by_head = np.array([JUMP, JUMP, DRIFT, VARIANCE, OSCILLATION, ""], dtype=object)
    kind = by_head[head]
    levelled = (head >= 0) & (head <= HEADS.index("slope"))
    step, line = columns["step_squares"], columns["line_squares"]
    comparable = levelled & np.isfinite(step) & np.isfinite(line)
    small = (head == HEADS.index("slope")) & (columns["open_scan"] != 1.0)
    comparable &= ~small  # a trend is no jump that would not be reported as one
    # Few slots are tested by the last ones: what they found began with them.
    comparable &= ~((columns["short"] == 1) & (head == HEADS.index("level")))
    kind[comparable] = np.where(step <= line, JUMP, DRIFT)[comparable]
    kind[columns["status"] == FAILED] = FAILURE
    return kind


def effects(columns: Columns, head: Array, kind: Array) -> tuple[Array, Array, Array]:
    """Return effect (reference sd), change (metric's unit) and onset day of each series.

    A drift reports the fitted change over the windows, a jump the step of the head that found it.
    """
    reporter = np.where(kind == DRIFT, HEADS.index("slope"), head)
    jump_by_slope = (kind == JUMP) & (head == HEADS.index("slope"))
    reporter = np.where(jump_by_slope, HEADS.index("scan"), reporter)
    effect, change, onset = (
        _by_head(columns, name, reporter) for name in ("effect", "change", "onset")
    )
    dated = (columns["p_scan"] <= TRUSTED_SCAN) & np.isfinite(columns["onset_scan"])
    stepwise = np.isin(kind, (JUMP, DRIFT)) & dated & (columns["short"] == 0)
    onset = np.where(stepwise, columns["onset_scan"], onset)
    return effect, change, np.where(kind == FAILURE, columns["failed_day"], onset)


def _by_head(columns: Columns, name: str, head: Array) -> Array:
    stacked = np.stack([columns[f"{name}_{h}"] for h in HEADS], axis=1)
    value = np.take_along_axis(stacked, np.maximum(head, 0)[:, None], axis=1)[:, 0]
    return np.where(head >= 0, value, np.nan)


def is_worse(direction: Direction, kind: Array, change: Array) -> Array:
    """Return whether a change of that sign is for the worse.

    More variance, a new cycle and a failure always are; so is any move of a metric that is worse
    away from its reference.
    """
    if direction == "away_is_worse":
        return np.ones(len(change), np.bool_)
    towards = change > 0 if direction == "higher_is_worse" else change < 0
    return towards | np.isin(kind, (VARIANCE, OSCILLATION, FAILURE))
