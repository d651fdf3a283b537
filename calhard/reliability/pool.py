"""Bins of many periods become the few cells of a diagram."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

CELLS = 15
"""Cells of equal width on [0, top]: [k·top/15, (k + 1)·top/15), the last one closed.

``top`` is 1, and the cells those of DECE; where no score comes near it, as of a rare class, it is
the smallest of 1/2, 1/4, … `LEAST_TOP` that none exceeds.
"""
LEAST_TOP = 2.0**-10


@dataclass(frozen=True, slots=True)
class BinRows:
    """Bins that hold rows, as `calhard measure` keeps them; arrays of shape (B,).

    ``group`` numbers whatever is pooled apart, such as a class's windows; ``timestamp`` is the
    start of the bin's period, µs since 1970 UTC, and ``number`` its place in it. ``weight`` is the
    sum of its rows' weights, positive; ``clamped`` counts rows, ``merged`` marks bins that were
    too small and joined a neighbour.
    """

    group: Ints
    timestamp: Ints
    number: Ints
    low: Floats
    high: Floats
    count: Ints
    weight: Floats
    mean_score: Floats
    mean_label: Floats
    clamped: Ints
    merged: Bools

    def take(self, rows: Ints | Bools) -> BinRows:
        """Return some of the bins."""
        return BinRows(*(getattr(self, field.name)[rows] for field in fields(self)))

    @classmethod
    def concatenate(cls, parts: list[BinRows]) -> BinRows:
        """Return all bins of several, in order; there is at least one part."""
        columns = (field.name for field in fields(cls))
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in columns))


@dataclass(frozen=True, slots=True)
class Pooled:
    """Cells that hold bins, by group and cell; arrays of shape (C,).

    ``width`` is that of the cell, in score. ``effective_count`` is the number of equal weights that
    would scatter as much. ``periods``, ``first`` and ``last`` tell of all periods of its group.
    """

    group: Ints
    cell: Ints
    width: Floats
    low: Floats
    high: Floats
    count: Ints
    weight: Floats
    mean_score: Floats
    mean_label: Floats
    effective_count: Floats
    clamped: Ints
    merged: Ints
    periods: Ints
    first: Ints
    last: Ints


def tops(bins: BinRows, windows: int) -> Floats:
    """Return where the cells of each bin end, (B,); ``windows`` groups in a row end together."""
    owner = bins.group // windows
    highest = np.zeros(int(owner.max(initial=-1)) + 1)
    np.maximum.at(highest, owner, bins.mean_score)
    share, exponent = np.frexp(highest)
    top = np.ldexp(1.0, np.where(share == 0.5, exponent - 1, exponent))
    return np.clip(top, LEAST_TOP, 1.0)[owner]


def cell_of(score: Floats, top: Floats | float = 1.0) -> Ints:
    """Return the number of the cell in which each score lies."""
    return np.searchsorted(np.arange(1, CELLS) / CELLS, score / top, side="right").astype(np.int64)


def pool(bins: BinRows, windows: int = 1) -> Pooled:
    """Return the cells of every group's bins; each bin is in the cell of its mean score.

    ``windows`` groups in a row, 0 … windows − 1 and so on, have cells of the same width, so that
    they can be compared.

    With the weight W_b and the count n_b of bin b a cell has the weight ΣW_b, the means ΣW_b·x_b/ΣW
    and the effective count (ΣW_b)²/Σ(W_b²/n_b): the number of rows where all weights are equal, and
    exact where those within each bin are. A bin that stands there twice counts once. The result
    does not depend on the order of the bins, bit for bit.
    """
    if not len(bins.group):
        return _nothing()
    bins, top = _ordered(bins, windows)
    cell = cell_of(bins.mean_score, top)
    heads = np.flatnonzero(_changes(bins.group, cell))
    size = np.diff(np.append(heads, len(bins.group)))
    # Of the heaviest one: no square of it overflows or vanishes.
    share = bins.weight / np.repeat(np.maximum.reduceat(bins.weight, heads), size)
    total = np.add.reduceat(share, heads)
    spread = np.add.reduceat(share * share / bins.count, heads)
    group = bins.group[heads]
    return Pooled(
        group,
        cell[heads],
        top[heads] / CELLS,
        np.minimum.reduceat(bins.low, heads),
        np.maximum.reduceat(bins.high, heads),
        np.add.reduceat(bins.count, heads),
        np.add.reduceat(bins.weight, heads),
        np.clip(np.add.reduceat(share * bins.mean_score, heads) / total, 0.0, 1.0),
        np.clip(np.add.reduceat(share * bins.mean_label, heads) / total, 0.0, 1.0),
        total * total / spread,
        np.add.reduceat(bins.clamped, heads),
        np.add.reduceat(bins.merged, heads, dtype=np.int64),
        *_periods(bins, group),
    )


def _nothing() -> Pooled:
    whole, real = np.empty(0, np.int64), np.empty(0, np.float64)
    means = (real, real, real, real)
    return Pooled(whole, whole, real, real, real, whole, *means, *[whole] * 5)


def _ordered(bins: BinRows, windows: int) -> tuple[BinRows, Floats]:
    """Bins by group, cell, period and number, each once, and where the cells of each end.

    Of repeats that differ always the same one stays.
    """
    keys = (bins.mean_label, bins.mean_score, bins.weight, bins.count)
    order = np.lexsort((*keys, bins.number, bins.timestamp, bins.group))
    bins = bins.take(order)
    bins = bins.take(_changes(bins.group, bins.timestamp, bins.number))
    top = tops(bins, windows)
    order = np.lexsort((cell_of(bins.mean_score, top), bins.group))
    return bins.take(order), top[order]


def _changes(*columns: Ints) -> Bools:
    """Where a row differs from the one before it in any column; the first one does."""
    found = np.ones(len(columns[0]), np.bool_)
    found[1:] = False
    for column in columns:
        found[1:] |= column[1:] != column[:-1]
    return found


def _periods(bins: BinRows, group: Ints) -> tuple[Ints, Ints, Ints]:
    """Number, first and last of the periods of each cell's group."""
    order = np.lexsort((bins.timestamp, bins.group))
    owner, stamp = bins.group[order], bins.timestamp[order]
    own = np.flatnonzero(_changes(owner))
    new = _changes(owner, stamp)
    count = np.add.reduceat(new, own, dtype=np.int64)
    last = np.append(own[1:], len(owner)) - 1
    place = np.searchsorted(owner[own], group)
    return count[place], stamp[own][place], stamp[last][place]
