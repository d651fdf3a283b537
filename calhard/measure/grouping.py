"""Rows grouped by model, class and period."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calhard.history.ids import Bools, Codes, Ints
from calhard.measure.periods import Period
from calhard.measure.rows import USED, PredictionRows

DENSE = 2**20
"""Groups that could be are counted in a table of at least this size, sorted beyond."""


@dataclass(frozen=True, slots=True)
class Groups:
    """G groups in the order of (model_id, class_id, start), and the group of each of R rows."""

    pair: Codes
    """(G,) codes of (model_id, class_id)."""
    start: Ints
    end: Ints
    """(G,) microseconds since 1970 UTC; the end is when the group's numbers become known."""
    code: Ints
    """(R,) the group of every row; −1 for one of a period of rows that is not yet full."""

    def __len__(self) -> int:
        """Return the number of groups."""
        return len(self.pair)


def form_groups(rows: PredictionRows, pairs: Sequence[tuple[str, str]], period: Period) -> Groups:
    """Return the groups of rows, of which there is at least one; ``pairs`` tells their codes.

    A period of N rows ends before the first instant at which it has N used ones: an instant is
    never split, and no two periods start at the same time.
    """
    names, rank = _ranked(rows.pair, pairs)
    if period.rows is not None:
        return _by_rows(rows, names, rank, period.rows)
    number = period.number(rows.timestamp)
    first, span = int(number.min()), int(np.ptp(number)) + 1
    present, code = _compressed(rank * span + (number - first), len(names) * span)
    start = period.start(present % span + first)
    return Groups(names[present // span], start, period.ends(start), code)


def _ranked(pair: Codes, pairs: Sequence[tuple[str, str]]) -> tuple[Codes, Ints]:
    """Return the pairs that occur in the order of their names, and each row's place among them."""
    there = np.flatnonzero(np.bincount(pair, minlength=len(pairs))).tolist()
    names = np.array(sorted(there, key=pairs.__getitem__), np.int32)
    rank = np.zeros(len(pairs), np.int64)
    rank[names] = np.arange(len(names))
    return names, rank[pair]


def _compressed(joint: Ints, size: int) -> tuple[Ints, Ints]:
    """Return the distinct values in order, and each value's place among them; all below size."""
    if size > max(DENSE, 4 * len(joint)):
        present, code = np.unique(joint, return_inverse=True)
        return present, code
    present = np.flatnonzero(np.bincount(joint, minlength=size))
    place = np.zeros(size, np.int64)
    place[present] = np.arange(len(present))
    return present, place[joint]


def _by_rows(rows: PredictionRows, names: Codes, rank: Ints, size: int) -> Groups:
    order = np.lexsort((rows.timestamp, rank))
    rank, stamp = rank[order], rows.timestamp[order]
    new_pair = _fresh(rank)
    instant = np.flatnonzero(new_pair | _fresh(stamp))
    used = np.concatenate(([0], np.cumsum(rows.state[order] == USED)))
    first = instant[_cuts(used[instant], np.flatnonzero(new_pair[instant]), size)]
    end = np.append(first[1:], len(rank))
    full = used[end] - used[first] >= size
    place = np.where(full, np.cumsum(full) - 1, -1)
    code = np.empty(len(rank), np.int64)
    code[order] = np.repeat(place, end - first)
    return Groups(names[rank[first[full]]], stamp[first[full]], stamp[end[full] - 1], code)


def _cuts(before: Ints, begin: Ints, size: int) -> Ints:
    """Return at which instants periods begin: all pairs' first ones, then all second ones, ….

    ``before`` rises: the rows used before each instant. ``begin`` tells each pair's first instant.
    """
    end = np.append(begin[1:], len(before))
    found = [begin]
    while len(begin):
        begin = np.searchsorted(before, before[begin] + size)
        more = begin < end
        begin, end = begin[more], end[more]
        found.append(begin)
    return np.sort(np.concatenate(found))


def _fresh(values: Ints) -> Bools:
    """Return where a value differs from the one before; the first does."""
    return np.concatenate(([True], values[1:] != values[:-1]))
