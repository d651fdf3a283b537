"""How many rows lie in which period: what a file holds, and what a history was measured from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from calhard.history.ids import Ints
from calhard.measure.periods import Period

_WIDE = 2**20
"""Numbers that span no more are counted in a table, others by sorting."""


def numbers_of(period: Period, timestamp: Ints) -> Ints:
    """Return the number of each instant's period; periods of rows are all one here.

    Where a period of rows ends depends on every row before it, so they are measured together.
    """
    if period.rows is not None:
        return np.zeros(len(timestamp), np.int64)
    return period.number(timestamp)


@dataclass(frozen=True, slots=True)
class Tally:
    """Rows by the number of their period: (P,) int64, ascending, and (P,) int64 > 0."""

    number: Ints
    rows: Ints

    @classmethod
    def zero(cls) -> Tally:
        """Return the tally of no rows."""
        return cls(np.zeros(0, np.int64), np.zeros(0, np.int64))

    @classmethod
    def of(cls, number: Ints) -> Tally:
        """Count rows, given the number of each one's period."""
        if not len(number):
            return cls.zero()
        least = int(number.min())
        if int(number.max()) - least < _WIDE:
            counts = np.bincount(number - least)
            there = np.flatnonzero(counts)
            return cls(there + least, counts[there].astype(np.int64))
        return cls(*(a.astype(np.int64) for a in np.unique(number, return_counts=True)))

    def __add__(self, other: Tally) -> Tally:
        """Return the rows of both."""
        if not len(self.number) or not len(other.number):
            return self if len(self.number) else other
        number, place = np.unique(np.concatenate((self.number, other.number)), return_inverse=True)
        rows = np.zeros(len(number), np.int64)
        np.add.at(rows, place, np.concatenate((self.rows, other.rows)))
        return Tally(number, rows)

    def __eq__(self, other: object) -> bool:
        """Return whether both hold as many rows in the same periods."""
        return (
            isinstance(other, Tally)
            and np.array_equal(self.number, other.number)
            and np.array_equal(self.rows, other.rows)
        )

    __hash__ = None  # type: ignore[assignment]  # arrays have none

    @property
    def total(self) -> int:
        """All rows."""
        return int(self.rows.sum())

    def only(self, numbers: Ints) -> Tally:
        """Return the rows of some periods."""
        which = np.isin(self.number, numbers)
        return Tally(self.number[which], self.rows[which])

    def without(self, numbers: Ints) -> Tally:
        """Return the rows of all but some periods."""
        which = ~np.isin(self.number, numbers)
        return Tally(self.number[which], self.rows[which])

    def since(self, lowest: int) -> Tally:
        """Return the rows of a period and of all later ones."""
        first = int(np.searchsorted(self.number, lowest))
        return Tally(self.number[first:], self.rows[first:])

    def before(self, lowest: int) -> Tally:
        """Return the rows of all periods before one."""
        first = int(np.searchsorted(self.number, lowest))
        return Tally(self.number[:first], self.rows[:first])

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
