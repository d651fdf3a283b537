"""The two windows of a panel, as they were reported and as the level heads read them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from calhard.assess.panel import Panel
from calhard_kernels._array import Array
from calhard_kernels.moments import Moments, moments
from calhard_kernels.order import Sorted, clipping
from calhard_kernels.season import remove_season

HOURLY, DAILY = 0, 2
PERIODS = {HOURLY: 24, DAILY: 7}
"""Season by cadence: a day of hours, a week of days."""
CYCLES = 4
"""Reference cycles that a season needs to be estimated."""


@dataclass(frozen=True)
class Side:
    """One window of S series: values (S, W), their mask (None: all count), their number (S,).

    What is read more than once (one sort, one pass of moments) is made when first asked for.
    """

    x: Array
    valid: Array | None
    n: Array

    @cached_property
    def ordered(self) -> Sorted:
        """The values in ascending order."""
        return Sorted.of(self.x, self.valid, self.n.astype(np.float64))

    @cached_property
    def median(self) -> Array:
        """Median of each series, shape (S,)."""
        return self.ordered.median

    @cached_property
    def moments(self) -> Moments:
        """Moments of each series."""
        return moments(self.x, self.valid)


@dataclass(frozen=True, slots=True)
class Sides:
    """Reference and analysis window of S series."""

    reference: Side
    analysis: Side

    @classmethod
    def of(cls, panel: Panel, x: Array) -> Sides:
        """Cut the values ``x`` of a panel at its boundary."""
        return cls(*(_side(panel, x, part) for part in (panel.reference, panel.analysis)))


def _side(panel: Panel, x: Array, part: slice) -> Side:
    valid, values = panel.mask(part), x[:, part]
    if valid is None:
        return Side(values, None, np.full(len(x), values.shape[1], np.int64))
    return Side(values, valid, np.count_nonzero(valid, axis=1))


def mirrored(x: Array) -> Array:
    """Turn a right-aligned reference into a left-packed one (time runs backwards)."""
    return np.ascontiguousarray(x[:, ::-1])


def deseasonalised(panel: Panel, raw: Sides, cadence: int) -> Sides:
    """Return the windows less the reference's phase medians; ``raw`` itself without a season."""
    period = PERIODS.get(cadence)
    if period is None or panel.boundary < CYCLES * period:
        return raw
    slot = 1.0 / 24.0 if cadence == HOURLY else 1.0
    day = panel.day[:1] if panel.in_step else panel.day
    phase = np.floor(day / slot + 0.5).astype(np.int64) % period
    a, b, found = remove_season(
        mirrored(raw.reference.x),
        mirrored(phase[:, panel.reference]),
        raw.reference.n,
        raw.analysis.x,
        phase[:, panel.analysis],
        raw.analysis.n,
        period,
    )
    if not found.any():
        return raw
    return Sides.of(panel, np.concatenate([a[:, ::-1], b], axis=1))


def winsorised(side: Sides) -> Array:
    """Return both sides clipped about their own median at ± 3·1.4826·MAD, as one panel again."""
    boundary = side.reference.x.shape[1]
    clipped = np.empty((len(side.analysis.x), boundary + side.analysis.x.shape[1]))
    for part, s in ((slice(0, boundary), side.reference), (slice(boundary, None), side.analysis)):
        low, high = clipping(s.median, s.ordered.deviation(s.median))
        np.clip(s.x, low[:, None], high[:, None], out=clipped[:, part])
    return clipped
