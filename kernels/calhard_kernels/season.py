"""Season: estimate the reference's phase medians, and take them out of both windows.

Rows are left-packed: the n values of a row are in columns 0 … n − 1, in time order or its reverse;
what follows is finite padding. ``phase`` numbers the slots of a cycle, 0 … period − 1 (the hours of
a day), in the padding too; it has one row for all series where they share their slots.

Source: Fisher 1925 (analysis of variance); Cleveland et al. 1990 (seasonal sub-series).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from calhard_kernels._array import Array, namespace, row_dot, running_maximum, safe_divide
from calhard_kernels._array import zero_padding as zero
from calhard_kernels.effective import ONE_SIDE, lag1_correlation
from calhard_kernels.moments import Moments, anchor, lagged
from calhard_kernels.special import f_p

CYCLES = 4
"""A season needs this many cycles of reference, and an effect this many values of its phase."""
SIGNIFICANCE = 0.001
"""Largest p of the phase effect at which a season is taken out."""


SUSPICION = 0.1
"""Largest p of a plain analysis of variance at which a season is looked for."""


@dataclass(frozen=True, slots=True)
class Season:
    """The season of each series."""

    effect: Array
    """Phase medians less their mean, shape (S, period), in the metric's unit."""
    p: Array
    """p of the phase effect, shape (S,); 1 where the reference has too few cycles."""
    found: Array
    """Whether the effect is significant, bool, shape (S,)."""


def remove_season(
    reference: Array,
    reference_phase: Array,
    n_reference: Array,
    analysis: Array,
    analysis_phase: Array,
    n_analysis: Array,
    period: int,
) -> tuple[Array, Array, Array]:
    """Return both windows less the reference's season, and whether there was one, bool (S,).

    The series keeps its level (effects have mean 0). Series without a significant season keep
    every bit, and so does padding. Only those whose phases differ by a plain analysis of variance
    (`phases_differ`, ten times as cheap) are asked for a season at all.

    Parameters
    ----------
    reference, analysis : float64, shape (S, A) and (S, B); left-packed
    reference_phase, analysis_phase : integer, the same shapes or one row, 0 … period − 1
    n_reference, n_analysis : integer, shape (S,)
    """
    xp = namespace(reference)
    found = phases_differ(reference, reference_phase, n_reference, period)
    rows = xp.flatnonzero(found)
    season = find_season(
        reference[rows], _of_rows(reference_phase, rows), n_reference[rows], period
    )
    found[rows] = season.found
    if not bool(xp.any(season.found)):
        return reference, analysis, found
    a, b = reference.copy(), analysis.copy()
    a[rows] = _less(a[rows], _of_rows(reference_phase, rows), n_reference[rows], season)
    b[rows] = _less(b[rows], _of_rows(analysis_phase, rows), n_analysis[rows], season)
    return a, b, found


def _of_rows(phase: Array, rows: Array) -> Array:
    return phase if phase.shape[0] == 1 else phase[rows]


def phases_differ(x: Array, phase: Array, n: Array, period: int) -> Array:
    """Return whether a plain analysis of variance by phase has p ≤ 0.1, bool (S,).

    Blind to autocorrelation, which makes p too small and so lets more series pass; False below 4
    cycles. Arguments as of `find_season`.
    """
    xp = namespace(x)
    valid = xp.arange(x.shape[1])[None, :] < n[:, None]
    calendar = _calendar(phase, valid, period)
    mask = None if isinstance(calendar, _Shared) else valid
    y = zero(x - anchor(x, mask)[:, None], mask)
    size = xp.sum(calendar.held(0), axis=1)
    summed = xp.sum(calendar.spread(y, 0.0), axis=1)
    total, phases = xp.sum(size, axis=1), xp.sum(size > 0, axis=1)
    level = xp.sum(summed, axis=1) / xp.maximum(total, 1)
    between = xp.sum(summed * summed / xp.maximum(size, 1), axis=1) - total * level * level
    within = row_dot(y, y) - total * level * level - between
    p = f_p(
        xp.maximum(between, 0.0),
        xp.maximum(within, 0.0),
        xp.maximum(phases - 1.0, 1.0),
        xp.maximum(total - phases, 1.0),
    )
    return (p <= SUSPICION) & (n >= CYCLES * period)


def _less(x: Array, phase: Array, n: Array, season: Season) -> Array:
    xp = namespace(x)
    inside = (xp.arange(x.shape[1])[None, :] < n[:, None]) & season.found[:, None]
    return xp.where(inside, x - _by_phase(season.effect, phase), x)


def _by_phase(effect: Array, phase: Array) -> Array:
    """The effect of every slot, shape (S, W)."""
    xp = namespace(effect)
    if phase.shape[0] == 1:
        return xp.take(effect, phase[0], axis=1)
    return xp.take_along_axis(effect, phase, axis=1)


def find_season(x: Array, phase: Array, n: Array, period: int) -> Season:
    """Return the phase effects of each left-packed series and whether they are significant.

    Effects are phase medians, 0 for a phase with fewer than 4 values. Their test is an analysis of
    variance by phase of y_t − φy_{t−1}, φ the lag-1 correlation of what the effects leave: an
    autocorrelated series has no season by that alone.
    """
    xp = namespace(x)
    valid = xp.arange(x.shape[1])[None, :] < n[:, None]
    calendar = _calendar(phase, valid, period)
    mask = None if isinstance(calendar, _Shared) else valid
    y = zero(x - anchor(x, mask)[:, None], mask)
    effect = _effects(calendar.spread(y, float("inf")), xp.sum(calendar.held(0), axis=1))
    rest = zero(y - _by_phase(effect, phase), mask)
    white = y[:, 1:] - _phi(rest, mask, n)[:, None] * y[:, :-1]
    white = xp.concatenate([xp.zeros_like(y[:, :1]), white], axis=1)
    p = _phase_p(calendar.spread(white, 0.0), calendar.held(1))
    p = xp.where(n >= CYCLES * period, p, 1.0)
    return Season(effect, p, p <= SIGNIFICANCE)


def _calendar(phase: Array, valid: Array, period: int) -> _Shared | _Calendar:
    """Lay out the valid values; plainly where all series fill the same slots without a gap."""
    xp = namespace(phase)
    if phase.shape[0] == 1 and bool(xp.all(valid)):
        shared = _Shared.of(phase[0, :], valid.shape[0], period)
        if shared is not None:
            return shared
    return _Calendar.of(xp.broadcast_to(phase, valid.shape), valid, period)


@dataclass(frozen=True, slots=True)
class _Shared:
    """A grid of (series, cycle, phase) that all rows fill from place ``first`` on, up or down."""

    xp: Any
    first: int
    slots: int
    up: bool
    shape: tuple[int, int, int]

    @classmethod
    def of(cls, phase: Array, series: int, period: int) -> _Shared | None:
        """Return the layout of one row's phases; None where they do not count by one."""
        xp = namespace(phase)
        step = (phase[1:] - phase[:-1]) % period
        up = bool(xp.all(step == 1 % period))
        if not up and not bool(xp.all(step == period - 1)):
            return None
        first = int(phase[0]) if up else period - 1 - int(phase[0])
        slots = phase.shape[0]
        return cls(xp, first, slots, up, (series, -(-(first + slots) // period), period))

    def spread(self, x: Array, padding: float) -> Array:
        """Return the values of a panel in the grid, ``padding`` where there is none."""
        xp = self.xp
        series, cycles, period = self.shape
        grid = xp.full((series, cycles * period), padding)
        grid[:, self.first : self.first + x.shape[1]] = x
        grid = xp.reshape(grid, self.shape)
        return grid if self.up else grid[:, :, ::-1]

    def held(self, skip: int) -> Array:
        """Return where values stand from slot ``skip`` on, bool, (1, cycles, period)."""
        place = np.arange(self.shape[1] * self.shape[2]).reshape(1, *self.shape[1:])
        place = place if self.up else place[:, :, ::-1]
        return self.xp.asarray((place >= self.first + skip) & (place < self.first + self.slots))


@dataclass(frozen=True, slots=True)
class _Calendar:
    """Where the valid values of each row lie in a grid of (series, cycle, phase)."""

    source: Array
    """Flat index of every valid value in the panel, shape (V,)."""
    target: Array
    """Flat index of the same value in the grid, shape (V,)."""
    width: int
    """Slots of a row of the panel."""
    shape: tuple[int, int, int]

    @classmethod
    def of(cls, phase: Array, valid: Array, period: int) -> _Calendar:
        """Lay out the valid values, those of one phase in the order of the row."""
        xp = namespace(phase)
        source = xp.flatnonzero(valid)
        cycle = _regular_cycle(phase, valid, period)
        if cycle is None:
            cycle = _rank_in_phase(phase, valid, period)
        cycles = int(xp.max(cycle)) + 1 if cycle.size else 1
        first = xp.arange(phase.shape[0])[:, None] * (cycles * period)
        target = xp.reshape(first + cycle * period + phase, (-1,))[source]
        return cls(source, target, phase.shape[1], (phase.shape[0], cycles, period))

    def spread(self, x: Array, padding: float) -> Array:
        """Return the values of a panel in the grid, ``padding`` where there is none."""
        xp = namespace(x)
        grid = xp.full(math.prod(self.shape), padding)
        grid[self.target] = xp.reshape(x, (-1,))[self.source]
        return xp.reshape(grid, self.shape)

    def held(self, skip: int) -> Array:
        """Return where values stand from each row's slot ``skip`` on, bool, (S, cycles, period)."""
        xp = namespace(self.source)
        late = self.source % self.width >= skip
        grid = xp.zeros(math.prod(self.shape), dtype=bool)
        grid[self.target[late]] = True
        return xp.reshape(grid, self.shape)


def _regular_cycle(phase: Array, valid: Array, period: int) -> Array | None:
    """Cycle of each slot where every row counts its phases up, or down, by one; else None."""
    xp = namespace(phase)
    step = phase[:, 1:] - phase[:, :-1]
    padding = ~valid[:, 1:]
    up = xp.all((step == 1) | (step == 1 - period) | padding, axis=1)
    down = xp.all((step == -1) | (step == period - 1) | padding, axis=1)
    if not bool(xp.all(up | down)):
        return None
    first = xp.where(up, phase[:, 0], period - 1 - phase[:, 0])
    return (xp.arange(phase.shape[1])[None, :] + first[:, None]) // period


def _rank_in_phase(phase: Array, valid: Array, period: int) -> Array:
    """How many earlier slots of its row share a slot's phase; padding counts as one phase more."""
    xp = namespace(phase)
    rows, width = phase.shape
    key = xp.where(valid, phase, period)
    order = xp.argsort(key.astype(xp.int16), axis=1, kind="stable")
    ordered = xp.take_along_axis(key, order, axis=1)
    slot = xp.arange(width)[None, :]
    begins = xp.concatenate(
        [xp.ones((rows, 1), dtype=bool), ordered[:, 1:] != ordered[:, :-1]], axis=1
    )
    rank = slot - running_maximum(xp.where(begins, slot, 0))
    back = xp.empty_like(rank)
    back[xp.arange(rows)[:, None], order] = rank
    return xp.where(valid, back, 0)


def _effects(grid: Array, size: Array) -> Array:
    """Phase medians less their mean, 0 for a phase of fewer than `CYCLES` values, (S, period)."""
    xp = namespace(grid)
    ordered = xp.sort(grid, axis=1)
    last = xp.maximum(size - 1, 0)
    enough = size >= CYCLES
    low, high = (
        xp.where(enough, xp.take_along_axis(ordered, at[:, None, :], axis=1)[:, 0], 0.0)
        for at in (last // 2, (last + 1) // 2)
    )
    median = low + 0.5 * (high - low)
    mean = xp.sum(median, axis=1) / xp.maximum(xp.sum(enough, axis=1), 1)
    return xp.where(enough, median - mean[:, None], 0.0)


def _phi(rest: Array, valid: Array | None, n: Array) -> Array:
    """Lag-1 correlation of what the effects leave."""
    xp = namespace(rest)
    size = n.astype(xp.float64)
    mean = safe_divide(xp.sum(rest, axis=1), size)
    rest = zero(rest - mean[:, None], valid)
    side = Moments(size, 0.0 * size, mean, row_dot(rest, rest), lagged(rest))
    return lag1_correlation((side,), ONE_SIDE).phi


def _phase_p(grid: Array, held: Array) -> Array:
    """Test the phase effect by analysis of variance; places that are not held are 0.

    Sums over cycles run in the row's order, whatever the grid's height.
    """
    xp = namespace(grid)
    size = xp.sum(held, axis=1)
    mean = xp.sum(grid, axis=1) / xp.maximum(size, 1)
    total = xp.sum(size, axis=1)
    centre = xp.sum(size * mean, axis=1) / xp.maximum(total, 1)
    between = xp.sum(size * (mean - centre[:, None]) ** 2, axis=1)
    residual = (grid - mean[:, None, :]) * held
    within = xp.sum(xp.sum(residual * residual, axis=1), axis=1)
    phases = xp.sum(size > 0, axis=1)
    freedom = total - phases - 1.0
    p = f_p(between, within, xp.maximum(phases - 1.0, 1.0), xp.maximum(freedom, 1.0))
    return xp.where((phases > 1) & (freedom >= 1.0), p, 1.0)
