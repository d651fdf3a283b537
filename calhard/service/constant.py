"""A metric that had never moved, and then did: nothing is random there, so no test can tell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calhard.findings.severity import TOLERANCE
from calhard.schema import Metric

Floats = NDArray[np.float64]
LEAST = 3
"""Fewer values beyond a bound are no move."""


def first_move(values: Floats) -> int:
    """Return the place of the first value that differs from the first one; n if none does."""
    moved = np.flatnonzero(values != values[:1])
    return int(moved[0]) if len(moved) else len(values)


def is_two_constants(values: Floats, place: int) -> bool:
    """Return whether everything from ``place`` on is one value too."""
    after = values[place:]
    return bool(len(after) and np.all(after == after[0]))


@dataclass(frozen=True, slots=True)
class Move:
    """How a metric left the value it had always had: in the metric's unit, at once or by and by."""

    change: float
    gradual: bool


def certain_move(values: Floats, place: int, metric: Metric, bound: float) -> Move | None:
    """Return how far a metric has moved from a constant, None where the SLO calls it nothing.

    The SLO alone decides: the later half of the values from ``place`` on, 3 at least, lies beyond
    the bound on one side. Where all of them do, the move was a jump, and the change is their mean
    less the constant; else it is that of the last 3.

    Parameters
    ----------
    values : float64, shape (n,); finite, the first ``place`` of them equal
    bound : of the drift from the constant, or of the value itself, by ``metric.slo``
    """
    after, drift = values[place:], values[place:] - values[0]
    beyond = {
        "drift": np.abs(drift) - bound,
        "level": after - bound,
        "floor": bound - after,
    }.get(metric.slo)
    if beyond is None or not np.isfinite(bound):
        return None
    side = np.where(beyond > TOLERANCE, np.sign(drift), 0.0)
    late = side[-max(len(side) // 2, LEAST) :]
    if late[-1] == 0 or np.any(late != late[-1]):
        return None
    gradual = bool(np.any(side != late[-1]))
    return Move(float(np.mean(drift[-LEAST:] if gradual else drift)), gradual)
