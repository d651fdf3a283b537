"""Groups of unequal length, one after the other in flat arrays: sums, spreading, bisection.

A segment is the rows start, start + 1, …, stop - 1 of a flat array. The order in which a segment's
values are added is fixed by its length alone, so a sum does not depend, bit for bit, on what stands
beside it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from calhard_kernels._array import Array, namespace

FAN_IN = 8
"""Values that one step of the portable sum adds up: log₈ of the longest segment steps in all."""


def segment_sum(values: Array, start: Array, stop: Array) -> Array:
    """Return the sum of ``values[start:stop]`` of every segment, (B,) float64; 0 where empty.

    ``values`` (N,) float64. ``start``, ``stop`` (B,) int64: segments in ascending order that do not
    overlap; there may be gaps between them. NaN and infinities stay within their segment. Pairwise
    or nearly so: the rounding error grows with the logarithm of a segment's length.

    NumPy: `numpy.add.reduceat`. Other namespaces: elementwise sums of eight rows each, repeated,
    because the standard has no segmented sum and CuPy's ``add.reduceat`` subtracts cumulative sums,
    which loses digits and lets a segment's bits depend on the rows before it.
    """
    xp = namespace(values)
    if xp is np:
        return _reduceat(np.add, values, start, stop)
    return _by_eights(xp.add, values, start, stop)


def segment_max(values: Array, start: Array, stop: Array) -> Array:
    """Return the largest of ``values[start:stop]`` of every segment and 0, (B,) float64.

    Arguments as for `segment_sum`.
    """
    xp = namespace(values)
    if xp is np:
        return np.maximum(_reduceat(np.maximum, values, start, stop), 0.0)
    return xp.maximum(_by_eights(xp.maximum, values, start, stop), 0.0)


def _reduceat(combine: np.ufunc, values: Array, start: Array, stop: Array) -> Array:
    total = np.zeros(start.shape)
    filled = np.flatnonzero(stop > start)  # reduceat gives an empty segment its first value
    if not len(filled):
        return total
    begin, end = start[filled], stop[filled]
    values = values[: end[-1]]
    if np.array_equal(begin[1:], end[:-1]):
        total[filled] = combine.reduceat(values, begin)
        return total
    edges = np.stack([begin, end], axis=1).ravel()[:-1]  # what lies in the gaps is every other one
    total[filled] = combine.reduceat(values, edges)[::2]
    return total


def _by_eights(
    combine: Callable[[Array, Array], Array], values: Array, start: Array, stop: Array
) -> Array:
    """Combine neighbours of each segment and 0, eight at a time, until one value is left."""
    xp = namespace(values)
    while start.shape[0] and int(xp.max(stop - start)) > 1:
        pieces = (stop - start + (FAN_IN - 1)) // FAN_IN
        offsets = offsets_of(pieces)
        place = xp.arange(int(offsets[-1]), dtype=xp.int64) - spread(offsets[:-1], offsets)
        begin = spread(start, offsets) + FAN_IN * place
        end = spread(stop, offsets)
        total = xp.zeros(begin.shape, dtype=xp.float64)
        for k in range(FAN_IN):
            total = combine(total, _taken(values, begin + k, end))
        values, start, stop = total, offsets[:-1], offsets[1:]
    return _taken(values, start, stop)


def _taken(values: Array, row: Array, stop: Array) -> Array:
    """Return ``values[row]`` where row < stop, and 0 beyond."""
    found = row_at(values, row)
    return namespace(values).where(row < stop, found, 0.0)


def row_at(values: Array, row: Array) -> Array:
    """Return ``values[row]``, the nearest row's where there is no such row, and 0 of no rows.

    ``values`` (N,) float64, ``row`` (Q,) int64.
    """
    xp = namespace(values)
    if not values.shape[0]:
        return xp.zeros(row.shape, dtype=xp.float64)
    return xp.take(values, xp.clip(row, 0, values.shape[0] - 1))


def offsets_of(count: Array) -> Array:
    """Return the offsets (G + 1,) of groups of ``count`` (G,) int64 rows: 0 and running sums."""
    xp = namespace(count)
    running = xp.cumulative_sum if hasattr(xp, "cumulative_sum") else xp.cumsum  # CuPy up to 14.0
    return xp.concat([xp.zeros((1,), dtype=xp.int64), running(count)])


def spread(per_group: Array, offsets: Array) -> Array:
    """Return each group's value at each of its rows, (N,); ``per_group`` (G,), any dtype."""
    xp = namespace(per_group, offsets)
    if xp is np:
        return np.repeat(per_group, np.diff(offsets))
    return xp.take(per_group, group_of(offsets), axis=0)


def group_of(offsets: Array) -> Array:
    """Return the group of each row, (N,) int64; empty groups have none."""
    xp = namespace(offsets)
    if xp is np:
        return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    row = xp.arange(int(offsets[-1]), dtype=xp.int64)  # CuPy repeats by numbers of the host only
    return xp.searchsorted(offsets[1:], row, side="right")


def first_row(values: Array, start: Array, stop: Array, bound: Array, strict: bool) -> Array:
    """Return the first row of each segment whose value reaches a bound; ``stop`` if none does.

    Shape (Q,) int64: the least row r in [start, stop) with ``values[r] >= bound``, or
    ``values[r] > bound`` if ``strict``. ``values`` (N,) ascend within every segment; ``start``,
    ``stop`` (Q,) int64 in any order, overlapping or not; ``bound`` (Q,) float64. Bisection of all
    queries at once: log₂ of the longest segment steps, whatever the number of rows.
    """
    xp = namespace(values)
    low, high = start, stop
    for _ in range(_steps(stop - start)):
        middle = (low + high) // 2
        value = row_at(values, middle)
        before = (low < high) & ((value <= bound) if strict else (value < bound))
        high = xp.where(before, high, middle)
        low = xp.where(before, middle + 1, low)
    return low


def _steps(length: Array) -> int:
    """Halvings until nothing is left of the longest segment."""
    xp = namespace(length)
    return int(xp.max(length)).bit_length() if length.shape[0] else 0
