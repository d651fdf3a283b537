"""A metric that had never moved, and then did: nothing is random there, so no test can tell."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calhard.findings.severity import TOLERANCE
from calhard.schema import Metric

Floats = NDArray[np.float64]


def first_move(values: Floats) -> int:
    """Return the place of the first value that differs from the first one; n if none does."""
    moved = np.flatnonzero(values != values[:1])
    return int(moved[0]) if len(moved) else len(values)


def is_two_constants(values: Floats, place: int) -> bool:
    """Return whether everything from ``place`` on is one value too."""
    after = values[place:]
    return bool(len(after) and np.all(after == after[0]))


def certain_jump(values: Floats, place: int, metric: Metric, bound: float) -> float | None:
    """Return the change from a constant to what follows it, None where the SLO calls it none.

    The SLO alone decides: every value from ``place`` on lies beyond the bound, on one side. The
    change is the mean of those values less the constant.

    Parameters
    ----------
    values : float64, shape (n,); finite, the first ``place`` of them equal
    bound : of the drift from the constant, or of the value itself, by ``metric.slo``
    """
    after, base = values[place:], float(values[0])
    drift = after - base
    beyond = {
        "drift": np.abs(drift) - bound,
        "level": after - bound,
        "floor": bound - after,
    }.get(metric.slo)
    if beyond is None or not np.isfinite(bound) or not bool(np.all(beyond > TOLERANCE)):
        return None
    one_side = bool(np.all(drift > 0) or np.all(drift < 0))
    return float(np.mean(drift)) if one_side else None
