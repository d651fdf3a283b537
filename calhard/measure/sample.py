"""A few rows that stand for all of a file and period: the smallest hashes of what tells a row.

Where a log is gone, they say whether its rows are still there under another name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from calhard.history.ids import Bools, Ints, Keys
from calhard.measure.examples import Bits, example_codes, mixed
from calhard.measure.rows import PredictionRows

SAMPLE = 16
NO_ROW = np.uint64(2**64 - 1)
"""Fills the sample of fewer rows."""
_WIDE = 2**20
"""Numbers that span no more are counted in a table, others by sorting."""
_SPARE = 2.0
_WIDER = 32.0
_STAMP, _SCORE = np.uint64(0xD6E8FEB86659FD93), np.uint64(0xA0761D6478BD642F)

Samples = NDArray[np.uint64]
"""(P, SAMPLE) distinct hashes, ascending in every row, then `NO_ROW`."""


@dataclass(slots=True)
class RowHasher:
    """Hashes of rows by model, class, instant and score; labels, weights and tags may come later.

    Equal rows have equal hashes in all files, containers and processes.

    Source: Steele, Lea & Flood 2014 (SplitMix64), of a sum of the parts times odd constants.
    """

    keys: Keys
    _pairs: Bits = field(default_factory=lambda: np.zeros(0, np.uint64))

    def __call__(self, rows: PredictionRows) -> Bits:
        """Return the hash of each row, (R,)."""
        bits = np.where(np.isnan(rows.score), np.nan, rows.score).view(np.uint64)
        found = self._of_pairs()[rows.pair]
        found += rows.timestamp.view(np.uint64) * _STAMP
        found += bits * _SCORE
        return mixed(found)

    def _of_pairs(self) -> Bits:
        new = self.keys.pairs[len(self._pairs) :]
        if new:
            model, class_ = (
                example_codes(pa.array(names, pa.string())).view(np.uint64)
                for names in zip(*new, strict=True)
            )
            self._pairs = np.concatenate((self._pairs, mixed(mixed(model) ^ class_)))
        return self._pairs


def unsampled(periods: int) -> Samples:
    """Return the samples of periods of which no row is known."""
    return np.full((periods, SAMPLE), NO_ROW)


def placed(number: Ints) -> tuple[Ints, Ints]:
    """Return the periods that occur, ascending, and the place of each row's among them."""
    if not len(number):
        return number, number
    least = int(number.min())
    span = int(number.max()) - least + 1
    if span == 1:
        return number[:1], np.zeros(len(number), np.int64)
    if span > _WIDE:
        numbers, place = np.unique(number, return_inverse=True)
        return numbers, place
    there = np.zeros(span, np.bool_)
    there[number - least] = True
    return np.flatnonzero(there) + least, (np.cumsum(there) - 1)[number - least]


def smallest(place: Ints, count: Ints, hashes: Bits) -> Samples:
    """Return the smallest hashes of each of P periods, bottom-k.

    ``place`` (N,) in [0, P) tells each row's period, ``count`` (P,) > 0 its rows. Only rows below
    a threshold are sorted, and the threshold rises for periods where too few are below it.

    Source: Cohen & Kaplan 2007 (bottom-k sketches).
    """
    found = unsampled(len(count))
    share = np.full(len(count), _SPARE * SAMPLE)
    while share.any():
        limit = _limits(share / count)
        near = np.flatnonzero(hashes <= (limit[place] if len(limit) > 1 else limit[0]))
        _fill(found, place[near], hashes[near])
        full = (found[:, -1] != NO_ROW) | (limit == NO_ROW)
        share = np.where(full, 0.0, share * _WIDER)
    return found


def _limits(share: NDArray[np.float64]) -> Bits:
    """The hashes below which a share of all lies."""
    limit = (np.minimum(share, 0.5) * 2.0**64).astype(np.uint64)
    limit[share > 0.5] = NO_ROW
    return limit


def joined(place: Ints, samples: Samples, periods: int) -> Samples:
    """Return the samples of periods, given those of their parts and the period of each part."""
    found, row = unsampled(periods), np.repeat(place, SAMPLE)
    there = samples.ravel() != NO_ROW
    _fill(found, row[there], samples.ravel()[there])
    return found


def _fill(found: Samples, place: Ints, hashes: Bits) -> None:
    """Put the smallest distinct hashes of each place into its row."""
    order = np.lexsort((hashes, place))
    place, hashes = place[order], hashes[order]
    other = np.ones(len(place), np.bool_)
    other[1:] = (place[1:] != place[:-1]) | (hashes[1:] != hashes[:-1])
    place, hashes = place[other], hashes[other]
    rank = np.arange(len(place)) - np.searchsorted(place, place)
    low = rank < SAMPLE
    found[place[low], rank[low]] = hashes[low]


@dataclass(frozen=True, slots=True)
class Sought:
    """Sampled rows of earlier runs that are looked for among those that are read now."""

    number: Ints
    """(Q,) the periods in which they lie, ascending."""
    limit: Bits
    """(Q,) the largest hash of each period."""
    hashes: Bits
    """(S,) ascending. A hash tells its period: the instant is part of it."""

    @classmethod
    def of(cls, parts: Iterable[tuple[Ints, Samples]]) -> Self:
        """Return the samples of some sources, given as periods and their samples."""
        found = list(parts)
        number = np.concatenate([np.zeros(0, np.int64), *(n for n, _ in found)])
        samples = np.concatenate([unsampled(0), *(s for _, s in found)])
        numbers, place = np.unique(number, return_inverse=True)
        largest = np.where(samples == NO_ROW, np.uint64(0), samples).max(axis=1, initial=0)
        limit = np.zeros(len(numbers), np.uint64)
        np.maximum.at(limit, place, largest)
        return cls(numbers, limit, np.unique(samples[samples != NO_ROW]))

    def among(self, number: Ints, hashes: Bits) -> Bits:
        """Return those that occur among rows, given the number of each one's period."""
        if not len(self.hashes) or not len(hashes):
            return self.hashes[:0]
        numbers, place = placed(number)
        at = np.minimum(np.searchsorted(self.number, numbers), len(self.number) - 1)
        limit = np.where(self.number[at] == numbers, self.limit[at], np.uint64(0))
        near = hashes[hashes <= (limit[place] if len(limit) > 1 else limit[0])]
        return self.hashes[np.isin(self.hashes, near)]


def contained(samples: Samples, found: Bits) -> Bools:
    """Return for each sample whether all its rows are among the hashes found, ascending ones."""
    every = np.append(found, NO_ROW)
    at = np.searchsorted(every, samples)
    return np.asarray((every[at] == samples).all(axis=1), np.bool_)
