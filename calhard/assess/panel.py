"""Panels: the windows of many series of one metric, cut into blocks that fit the cache."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from calhard.assess.windows import Floats, Ints, Windows
from calhard.schema import LARGEST, MICROSECONDS_PER_DAY, Metric

Bools = NDArray[np.bool_]

WIDTH_STEP = 8
"""A window that has gaps or begins late is padded to a multiple of this, full ones not at all.

Both depend on the series alone, and so do the last bits of its sums.
"""
PANEL_VALUES = 2**17
"""Values of a panel: 1 MiB, a core's L2 cache."""


@dataclass(frozen=True, slots=True)
class Ragged:
    """The sound values of one metric in a block, with each group's windows.

    ``start``, ``split``, ``night``, ``stop`` index ``value`` and ``row`` (the row of the block that
    a value comes from). Values outside the metric's range or not finite are left out and counted in
    ``bad_…``; ``first_bad`` is the row of the first one in the analysis window, −1 without any.
    """

    value: Floats
    row: Ints | None
    start: Ints
    split: Ints
    night: Ints
    stop: Ints
    bad_reference: Ints
    bad_analysis: Ints
    first_bad: Ints

    @property
    def n_reference(self) -> Ints:
        """Sound values in each reference window, shape (G,)."""
        return self.split - self.start

    @property
    def n_analysis(self) -> Ints:
        """Sound values in each analysis window, shape (G,)."""
        return self.stop - self.split


@dataclass(frozen=True, slots=True)
class Panel:
    """Windows of S series: columns [0, boundary) are the reference, right-aligned to it.

    ``series`` are the groups' indices; ``x`` (S, W) holds values in the metric's unit, ``day``
    (S, W) days before as_of (≤ 0), ``weight`` (S, W) label counts or None; ``valid`` (S, W) is
    None on a dense panel. Padding is finite and means nothing. ``in_step``: all rows of ``day``
    are the same.
    """

    series: Ints
    x: Floats
    day: Floats
    in_step: bool
    weight: Floats | None
    valid: Bools | None
    boundary: int

    @property
    def reference(self) -> slice:
        """Columns of the reference window."""
        return slice(0, self.boundary)

    @property
    def analysis(self) -> slice:
        """Columns of the analysis window."""
        return slice(self.boundary, self.x.shape[1])

    def mask(self, part: slice) -> Bools | None:
        """Return the validity of some columns, None where all are."""
        return None if self.valid is None else self.valid[:, part]


def is_sound(values: Floats, metric: Metric) -> Bools:
    """Return which values are finite, no larger than can be squared and in the metric's range."""
    sound: Bools = (values >= metric.low) & (values <= metric.high) & (np.abs(values) <= LARGEST)
    return sound


def sound_values(values: Floats, metric: Metric, windows: Windows) -> Ragged:
    """Return the finite, in-range values of a metric and where the windows lie among them.

    ``values`` are reported ones: NaN for a missing value does not occur.
    """
    inside = is_sound(values, metric)
    start, split, night, stop = windows.start, windows.split, windows.night, windows.stop
    zero = np.zeros_like(start)
    if inside.all():
        return Ragged(values, None, start, split, night, stop, zero, zero, zero - 1)
    kept = np.concatenate(([0], np.cumsum(inside)))
    bad = np.arange(len(values) + 1) - kept
    bad_analysis = bad[stop] - bad[split]
    return Ragged(
        values[inside],
        np.flatnonzero(inside),
        kept[start],
        kept[split],
        kept[night],
        kept[stop],
        bad[split] - bad[start],
        bad_analysis,
        _first_bad(~inside, split, bad_analysis),
    )


def _first_bad(bad: Bools, split: Ints, count: Ints) -> Ints:
    rows = np.append(np.flatnonzero(bad), -1)
    place = np.minimum(np.searchsorted(rows[:-1], split), len(rows) - 1)
    return np.where(count > 0, rows[place], -1)


def _padded(n: Ints) -> Ints:
    return -(-n // WIDTH_STEP) * WIDTH_STEP


def panels(
    ragged: Ragged,
    timestamp: Ints,
    weights: Floats | None,
    groups: Ints,
    full: Bools | bool,
    as_of: int,
) -> Iterator[Panel]:
    """Yield the windows of ``groups`` as panels of like widths, in a fixed order.

    ``full`` (len(groups),) tells which of them fill their windows (`windows.fills`).
    """
    if not len(groups):
        return
    n1, n2 = ragged.n_reference[groups], ragged.n_analysis[groups]
    w1, w2 = np.where(full, n1, _padded(n1)), np.where(full, n2, _padded(n2))
    order = np.lexsort((groups, w2, w1))
    shape = w1[order] * (2**32) + w2[order]
    cuts = np.flatnonzero(np.diff(shape)) + 1
    for run in np.split(order, cuts):
        width = int(w1[run[0]] + w2[run[0]])
        rows = max(PANEL_VALUES // width, 8)
        for begin in range(0, len(run), rows):
            chosen = groups[run[begin : begin + rows]]
            yield _panel(ragged, timestamp, weights, chosen, int(w1[run[0]]), width, as_of)


def _panel(
    ragged: Ragged,
    timestamp: Ints,
    weights: Floats | None,
    groups: Ints,
    boundary: int,
    width: int,
    as_of: int,
) -> Panel:
    first = ragged.split[groups] - boundary
    begin, end = ragged.start[groups], ragged.stop[groups]
    dense = bool(np.all(begin == first) and np.all(end == first + width))
    stride = int(first[1] - first[0]) if len(first) > 1 else width
    if dense and ragged.row is None and np.all(np.diff(first) == stride):
        return _in_place(ragged, timestamp, weights, groups, boundary, width, stride, as_of)
    index = first[:, None] + np.arange(width)
    valid = None
    if not dense:
        valid = (index >= begin[:, None]) & (index < end[:, None])
        np.clip(index, begin[:, None], end[:, None] - 1, out=index)
    x = ragged.value[index]
    row = index if ragged.row is None else ragged.row[index]
    weight = None if weights is None else weights[row]
    return Panel(groups, x, *_days(timestamp[row], as_of), weight, valid, boundary)


def _in_place(
    ragged: Ragged,
    timestamp: Ints,
    weights: Floats | None,
    groups: Ints,
    boundary: int,
    width: int,
    stride: int,
    as_of: int,
) -> Panel:
    """Panel of windows that lie at equal distances: a view of the block, nothing is copied."""
    first = int(ragged.split[groups[0]]) - boundary

    def rows(flat: NDArray[Any]) -> NDArray[Any]:
        step = flat.strides[0]
        return as_strided(
            flat[first:], (len(groups), width), (stride * step, step), writeable=False
        )

    weight = None if weights is None else rows(weights)
    days = _days(rows(timestamp), as_of)
    return Panel(groups, rows(ragged.value), *days, weight, None, boundary)


def _days(timestamp: Ints, as_of: int) -> tuple[Floats, bool]:
    """Days before as_of, shape (S, W), and whether all rows are the same (one row, repeated)."""
    in_step = bool(np.all(timestamp == timestamp[:1]))
    day = ((timestamp[:1] if in_step else timestamp) - as_of) / MICROSECONDS_PER_DAY
    return np.broadcast_to(day, timestamp.shape), in_step
