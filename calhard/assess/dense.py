"""Series with more rows than the windows have slots are aggregated to slots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from calhard.assess.panel import is_sound
from calhard.assess.windows import Clock, Floats, Ints, rows_after
from calhard.schema import MICROSECONDS_PER_HOUR, Metric
from calhard.series import NOT_FINITE, SeriesBlock

_SLOT_WIDTHS = tuple(h * MICROSECONDS_PER_HOUR for h in (1, 2, 3, 4, 6, 8, 12, 24))


def slot_width(clock: Clock) -> int:
    """Return the width to which denser series are aggregated so that both windows fit, in µs."""
    span = clock.cut - clock.reference
    fitting = [width for width in _SLOT_WIDTHS if span <= width * clock.max_slots]
    return fitting[0] if fitting else -(-span // clock.max_slots)


def aggregate_dense(block: SeriesBlock, clock: Clock, metrics: Mapping[str, Metric]) -> SeriesBlock:
    """Return the block with groups of more than ``max_slots`` rows in the windows aggregated.

    Slots are aligned to the clock's cut T: slot k holds (T − (k + 1)·width, T − k·width] and
    carries the newest timestamp in it, the mean of its values (the sum of what counts events) and
    the sum of its ``total_samples``, unknown where one of them is. One value that is not finite or
    outside its metric's range makes the slot `NOT_FINITE`: a mean would hide it. Other groups are
    left alone.
    """
    if clock.reference_samples is not None:
        return block
    stop, start = rows_after(block, clock.cut), rows_after(block, clock.reference)
    dense = stop - start > clock.max_slots
    if not dense.any():
        return block
    width = slot_width(clock)
    owner = np.repeat(np.arange(len(block)), np.diff(block.offsets))
    slot = np.where(dense[owner], -((clock.cut - block.timestamp) // width), block.timestamp)
    first = np.ones(len(owner), np.bool_)
    first[1:] = (owner[1:] != owner[:-1]) | (slot[1:] != slot[:-1])
    heads = np.flatnonzero(first)
    last = np.append(heads[1:], len(owner)) - 1
    sizes = np.bincount(owner[heads], minlength=len(block))
    weights = block.total_samples
    return replace(
        block,
        offsets=np.concatenate(([0], np.cumsum(sizes))).astype(np.int64),
        timestamp=block.timestamp[last],
        values={
            name: _slot_values(v, heads, metrics.get(name, Metric(name)))
            for name, v in block.values.items()
        },
        total_samples=None if weights is None else np.add.reduceat(weights, heads),
    )


def _slot_values(values: Floats, heads: Ints, metric: Metric) -> Floats:
    """One value of each run; a run of one keeps its bits, sound or not."""
    bad = ~(is_sound(values, metric) | np.isnan(values))
    if bad.any():
        sound = np.where(bad, np.nan, values)
        spoilt = np.logical_or.reduceat(bad, heads)
    else:
        sound, spoilt = values, np.zeros(len(heads), np.bool_)
    found = (_sum_of_runs if metric.is_count else _mean_of_runs)(sound, heads)
    single = np.diff(np.append(heads, len(values))) == 1
    return np.where(single, values[heads], np.where(spoilt, NOT_FINITE, found))


def _sum_of_runs(values: Floats, heads: Ints) -> Floats:
    """Sum of the known values of each run; NaN where none is known."""
    known = ~np.isnan(values)
    total = np.add.reduceat(np.where(known, values, 0.0), heads)
    return np.where(np.add.reduceat(known, heads, dtype=np.int64) > 0, total, np.nan)


def _mean_of_runs(values: Floats, heads: Ints) -> Floats:
    """Mean of the known values of each run (shift-safe); NaN where none is known."""
    known = ~np.isnan(values)
    size = np.add.reduceat(known, heads, dtype=np.int64)
    shift = np.where(known[heads], values[heads], 0.0)
    lengths = np.diff(np.append(heads, len(values)))
    centred = np.where(known, values - np.repeat(shift, lengths), 0.0)
    mean = shift + np.add.reduceat(centred, heads) / np.maximum(size, 1)
    return np.where(size > 0, mean, np.nan)
