"""The two windows of a panel, as they were reported and as the level heads read them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calhard.assess.panel import Panel
from calhard_kernels._array import Array
from calhard_kernels.order import median, winsorise
from calhard_kernels.season import remove_season

HOURLY, DAILY = 0, 2
PERIODS = {HOURLY: 24, DAILY: 7}
"""Season by cadence: a day of hours, a week of days."""
CYCLES = 4
"""Reference cycles that a season needs to be estimated."""


@dataclass(frozen=True, slots=True)
class Sides:
    """Reference and analysis window of S series, with their masks and sizes (S,)."""

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


def mirrored(x: Array) -> Array:
    """Turn a right-aligned reference into a left-packed one (time runs backwards)."""
    return np.ascontiguousarray(x[:, ::-1])


def deseasonalised(panel: Panel, cadence: int) -> Array:
    """Return the panel's values less the reference's phase medians, where a season stands."""
    period = PERIODS.get(cadence)
    if period is None or panel.boundary < CYCLES * period:
        return panel.x
    slot = 1.0 / 24.0 if cadence == HOURLY else 1.0
    phase = np.floor(panel.day / slot + 0.5).astype(np.int64) % period
    side = Sides.of(panel, panel.x)
    a, b, _ = remove_season(
        mirrored(side.reference),
        mirrored(phase[:, panel.reference]),
        side.n_reference,
        side.analysis,
        phase[:, panel.analysis],
        side.n_analysis,
        period,
    )
    return np.concatenate([a[:, ::-1], b], axis=1)


def deviations(side: Sides) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Return each side's median and its |x − median|: ((m_a, dev_a), (m_b, dev_b))."""
    a = median(side.reference, side.valid_reference)
    b = median(side.analysis, side.valid_analysis)
    return (a, np.abs(side.reference - a[:, None])), (b, np.abs(side.analysis - b[:, None]))


def winsorised(side: Sides, spread: tuple[tuple[Array, Array], tuple[Array, Array]]) -> Array:
    """Return both sides clipped about their own median at ± 3·1.4826·MAD, as one panel again."""
    (centre_a, deviation_a), (centre_b, deviation_b) = spread
    a = winsorise(side.reference, centre_a, median(deviation_a, side.valid_reference))
    b = winsorise(side.analysis, centre_b, median(deviation_b, side.valid_analysis))
    return np.concatenate([a, b], axis=1)
