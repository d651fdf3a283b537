"""How many rows lie in which period, and a sample of them: what a file holds, what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from calhard.history.ids import Bools, Ints
from calhard.measure.examples import Bits
from calhard.measure.periods import Period
from calhard.measure.sample import Samples, joined, placed, smallest, unsampled


def numbers_of(period: Period, timestamp: Ints) -> Ints:
    """Return the number of each instant's period; periods of rows are all one here.

    Where a period of rows ends depends on every row before it, so they are measured together.
    """
    if period.rows is not None:
        return np.zeros(len(timestamp), np.int64)
    return period.number(timestamp)


@dataclass(frozen=True, slots=True)
class Tally:
    """Rows by the number of their period."""

    number: Ints
    """(P,) int64, ascending."""
    rows: Ints
    """(P,) int64 > 0."""
    sample: Samples
    """(P, 16) a few of the rows, see `calhard.measure.sample`; empty where none is known."""

    @classmethod
    def zero(cls) -> Tally:
        """Return the tally of no rows."""
        return cls.counted([], [])

    @classmethod
    def counted(cls, number: Sequence[int] | Ints, rows: Sequence[int] | Ints) -> Tally:
        """Return counts of rows that nobody has sampled."""
        sample = unsampled(len(number))
        return cls(np.asarray(number, np.int64), np.asarray(rows, np.int64), sample)

    @classmethod
    def of(cls, number: Ints, hashes: Bits | None = None) -> Tally:
        """Count rows, given the number of each one's period, and sample them by their hashes."""
        numbers, place = placed(number)
        rows = np.bincount(place, minlength=len(numbers)).astype(np.int64)
        if hashes is None:
            return cls.counted(numbers, rows)
        return cls(numbers, rows, smallest(place, rows, hashes))

    def __add__(self, other: Tally) -> Tally:
        """Return the rows of both."""
        if not len(self.number) or not len(other.number):
            return self if len(self.number) else other
        number, place = np.unique(np.concatenate((self.number, other.number)), return_inverse=True)
        rows = np.zeros(len(number), np.int64)
        np.add.at(rows, place, np.concatenate((self.rows, other.rows)))
        sample = joined(place, np.concatenate((self.sample, other.sample)), len(number))
        return Tally(number, rows, sample)

    def __eq__(self, other: object) -> bool:
        """Return whether both hold as many rows in the same periods, and the same samples."""
        return (
            isinstance(other, Tally)
            and np.array_equal(self.number, other.number)
            and np.array_equal(self.rows, other.rows)
            and np.array_equal(self.sample, other.sample)
        )

    __hash__ = None  # type: ignore[assignment]  # arrays have none

    @property
    def total(self) -> int:
        """All rows."""
        return int(self.rows.sum())

    def only(self, numbers: Ints) -> Tally:
        """Return the rows of some periods."""
        return self._taken(np.isin(self.number, numbers))

    def without(self, numbers: Ints) -> Tally:
        """Return the rows of all but some periods."""
        return self._taken(~np.isin(self.number, numbers))

    def since(self, lowest: int) -> Tally:
        """Return the rows of a period and of all later ones."""
        return self._taken(slice(int(np.searchsorted(self.number, lowest)), None))

    def before(self, lowest: int) -> Tally:
        """Return the rows of all periods before one."""
        return self._taken(slice(int(np.searchsorted(self.number, lowest))))

    def _taken(self, which: Bools | slice) -> Tally:
        return Tally(self.number[which], self.rows[which], self.sample[which])

    def at(self, numbers: Ints) -> Ints:
        """Return the rows of each of some ascending periods, 0 where there are none."""
        found = np.zeros(len(numbers), np.int64)
        if len(self.number) and len(numbers):
            place = np.minimum(np.searchsorted(numbers, self.number), len(numbers) - 1)
            there = numbers[place] == self.number
            found[place[there]] = self.rows[there]
        return found

    def runs(self) -> Iterator[tuple[int, list[int]]]:
        """Yield the first number of periods that follow one another, and the rows of each."""
        if not len(self.number):
            return
        gaps = np.flatnonzero(np.diff(self.number) > 1) + 1
        for begin, end in pairwise([0, *gaps.tolist(), len(self.number)]):
            yield int(self.number[begin]), self.rows[begin:end].tolist()
