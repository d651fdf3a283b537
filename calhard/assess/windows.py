"""Where the reference, the analysis window and the night of every group begin and end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from calhard.schema import MICROSECONDS_PER_DAY, MICROSECONDS_PER_HOUR
from calhard.series import SeriesBlock

if TYPE_CHECKING:
    from calhard.plan import AuditPlan

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

CADENCES = ("hourly", "subdaily", "daily", "sparse")
"""Families of spacing: up to 90 minutes, 18 hours, 36 hours, and beyond."""
_CADENCE_LIMITS = np.array([1.5, 18.0, 36.0]) * MICROSECONDS_PER_HOUR

SPARSE_SPACING = 1.05 * MICROSECONDS_PER_DAY
"""Above this median spacing windows are counted in samples, not in time."""
SPARSE_REFERENCE, SPARSE_ANALYSIS = 28, 7
SPARSE_REACH = 2
"""A window counted in samples reaches back this many times its length: beyond is another season."""
PAUSES = 3.0
"""A source is silent after more than this many of its own spacings."""
LOOKBACK_DAYS = 1_100


@dataclass(frozen=True, slots=True)
class Windows:
    """Row ranges of every group of a block: reference [start, split), analysis [split, stop).

    The night, the last part of the analysis window, is [night, stop). All of shape (G,);
    ``spacing`` in microseconds (0 where fewer than two rows), ``pause`` the longest distance of two
    rows but one, ``cadence`` an index into `CADENCES`.
    """

    start: Ints
    split: Ints
    night: Ints
    stop: Ints
    spacing: Floats
    pause: Floats
    cadence: Ints


@dataclass(frozen=True, slots=True)
class Clock:
    """The instants that cut a history, microseconds since 1970 UTC; bounds are half-open (a, b].

    ``reference``, ``analysis``, ``night`` and ``cut`` are meant in the rows' timestamps. Rows that
    become known a ``lag`` after their timestamp (a period's start, known from its end) are cut that
    much earlier than ``as_of``, so that windows hold whole periods.
    ``reference_samples``/``analysis_samples`` are set where the plan counts samples instead.
    """

    as_of: int
    reference: int
    analysis: int
    night: int
    reference_samples: int | None
    analysis_samples: int | None
    max_slots: int
    lag: int = 0

    @property
    def cut(self) -> int:
        """The end of all windows: the latest timestamp of a row that is known at ``as_of``."""
        return self.as_of - self.lag

    @property
    def lookback(self) -> int:
        """The instant before which nothing is ever read: 35 monthly samples fit."""
        return min(self.as_of - LOOKBACK_DAYS * MICROSECONDS_PER_DAY, self.reference)

    @property
    def night_days(self) -> float:
        """Length of a night, in days."""
        return (self.cut - self.night) / MICROSECONDS_PER_DAY

    @classmethod
    def of(cls, plan: AuditPlan, as_of: int, lag: int = 0) -> Clock:
        """Return the clock of a plan at ``as_of``, for rows known a ``lag`` (µs) later."""
        w = plan.windows
        analysis = w.analysis.duration_us or SPARSE_ANALYSIS * MICROSECONDS_PER_DAY
        reference = w.reference.duration_us or SPARSE_REFERENCE * MICROSECONDS_PER_DAY
        night = w.night.duration_us or MICROSECONDS_PER_DAY
        counted = w.analysis.samples is not None or w.reference.samples is not None
        cut = as_of - lag
        return cls(
            as_of,
            cut - analysis - reference,
            cut - analysis,
            cut - night,
            (w.reference.samples or SPARSE_REFERENCE) if counted else None,
            (w.analysis.samples or SPARSE_ANALYSIS) if counted else None,
            w.max_slots,
            lag,
        )


def rows_after(block: SeriesBlock, instant: int | Floats) -> Ints:
    """Return for each group the first row later than ``instant`` (or its own), shape (G,)."""
    low, high = block.offsets[:-1].copy(), block.offsets[1:].copy()
    while np.any(low < high):  # bisection of all groups at once
        middle = (low + high) >> 1
        late = block.timestamp[np.minimum(middle, len(block.timestamp) - 1)] > instant
        search = low < high
        high = np.where(search & late, middle, high)
        low = np.where(search & ~late, middle + 1, low)
    return low


def median_spacing(timestamp: Ints, start: Ints, stop: Ints) -> Floats:
    """Return the median distance of neighbouring rows of each range, µs; 0 below two rows."""
    gaps = np.diff(timestamp)
    size = np.maximum(stop - start - 1, 0)
    spacing = np.zeros(len(start))
    for width in np.unique(size[size > 0]):
        rows = np.flatnonzero(size == width)
        for part in np.array_split(rows, len(rows) * int(width) // 2**18 + 1):
            panel = gaps[start[part][:, None] + np.arange(width)]
            constant = np.all(panel == panel[:, :1], axis=1)
            spacing[part[constant]] = panel[constant, 0]
            if not constant.all():
                spacing[part[~constant]] = np.median(panel[~constant], axis=1)
    return spacing


def find_windows(block: SeriesBlock, clock: Clock, *, restart: bool = False) -> Windows:
    """Return the windows of every group at the clock's cut.

    Groups whose rows lie over a day apart are cut by samples (28 | 7), of which those of the
    analysis window lie within twice its nominal length. A group that was silent for all of the
    analysis window keeps its last 28 samples as reference, however old, so that its silence is
    told for as long as it is read. With ``restart`` a reference begins no earlier than the group's
    last deployment.
    """
    begin, stop = block.offsets[:-1], rows_after(block, clock.cut)
    start, split = rows_after(block, clock.reference), rows_after(block, clock.analysis)
    recent = np.maximum(stop - (SPARSE_REFERENCE + SPARSE_ANALYSIS + 1), begin)
    few = stop - start <= SPARSE_REFERENCE + SPARSE_ANALYSIS + 1
    spacing = median_spacing(block.timestamp, np.where(few, recent, start), stop)
    by_sample = few & (spacing > SPARSE_SPACING)
    reference_samples, analysis_samples = SPARSE_REFERENCE, SPARSE_ANALYSIS
    if clock.reference_samples is not None and clock.analysis_samples is not None:
        reference_samples, analysis_samples = clock.reference_samples, clock.analysis_samples
        by_sample = np.ones(len(block), np.bool_)
    fresh = rows_after(block, clock.cut - SPARSE_REACH * analysis_samples * spacing)
    split = np.where(by_sample, np.maximum(stop - analysis_samples, fresh), split)
    silent = few & (split == stop)
    start = np.where(by_sample | silent, np.maximum(split - reference_samples, begin), start)
    if restart and len(block.deployed_at):
        deployed = rows_before(block)
        start = np.where(deployed < split, np.maximum(start, deployed), start)
    cadence = np.searchsorted(_CADENCE_LIMITS, spacing, side="left").astype(np.int64)
    night = np.clip(rows_after(block, clock.night), split, stop)
    pause = longest_pause(block.timestamp, start, stop, spacing)
    return Windows(start, split, night, stop, spacing, pause, cadence)


def longest_pause(timestamp: Ints, start: Ints, stop: Ints, spacing: Floats) -> Floats:
    """Return the longest distance of neighbouring rows of each range but one, µs, shape (G,).

    A source that often pauses is not silent when it does so again; one outage alone is no habit.
    Where no distance exceeds three spacings, 0.
    """
    found = np.zeros(len(start))
    gaps = np.append(np.diff(timestamp), 0)
    some = np.flatnonzero(stop - start > 2)
    if not len(some):
        return found
    pairs = np.stack([start[some], stop[some] - 1], axis=1).ravel()
    longest = np.maximum.reduceat(gaps, pairs)[::2]
    for group in some[longest > PAUSES * spacing[some]].tolist():
        found[group] = np.partition(gaps[start[group] : stop[group] - 1], -2)[-2]
    return found


def fills(n_reference: Ints, n_analysis: Ints, spacing: Floats, clock: Clock) -> NDArray[np.bool_]:
    """Return whether a series of that many values fills both windows, give or take one; (G,).

    Such series have but a few lengths, whatever the fleet.
    """
    reference, analysis = clock.analysis - clock.reference, clock.cut - clock.analysis
    full: NDArray[np.bool_] = np.abs(n_reference * spacing - reference) <= spacing
    full &= np.abs(n_analysis * spacing - analysis) <= spacing
    counted = n_reference == (clock.reference_samples or SPARSE_REFERENCE)
    counted &= n_analysis == (clock.analysis_samples or SPARSE_ANALYSIS)
    found: NDArray[np.bool_] = full | counted
    return found


def rows_before(block: SeriesBlock) -> Ints:
    """Return the row at which each group's last deployment took effect (its begin if none)."""
    owner = np.repeat(np.arange(len(block)), np.diff(block.offsets))
    before = block.timestamp < block.deployed_at[owner]
    earlier = np.concatenate(([0], np.cumsum(before)))
    return block.offsets[:-1] + earlier[block.offsets[1:]] - earlier[block.offsets[:-1]]
