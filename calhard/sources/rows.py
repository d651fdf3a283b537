"""From logged values to rows of a history: what one run logged of one class at one step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.integer]
Floats = NDArray[np.float64]
PIECE = 100_000
"""Values that become rows together; a row takes some hundred bytes."""
TOGETHER_MS = 600_000
"""Values of one step belong together; where steps repeat, those of so many milliseconds do."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose values some rows hold, and what their run says for all of them."""

    run_id: str
    model_id: str
    class_id: str
    model_version: str | None = None
    tags: tuple[str | None, ...] = ()
    samples: float | None = None
    """What the run says of ``total_samples``; a value that is logged wins."""


@dataclass(slots=True)
class Values:
    """Logged values of several owners, gathered array by array."""

    owners: dict[Owner, int] = field(default_factory=dict)
    _parts: list[tuple[int, int, Ints, Ints, Floats]] = field(default_factory=list)

    def add(self, owner: Owner, column: int, ms: Ints, step: Ints, value: Floats) -> None:
        """Add one column's values of an owner."""
        place = self.owners.setdefault(owner, len(self.owners))
        self._parts.append((place, column, ms, step, value))

    def rows(self, columns: int) -> Iterator[Rows]:
        """Yield the rows, by owner, step and time, piece by piece."""
        if not self._parts:
            return
        sizes = [len(part[2]) for part in self._parts]
        owner = np.repeat(np.array([part[0] for part in self._parts], np.int32), sizes)
        column = np.repeat(np.array([part[1] for part in self._parts], np.int32), sizes)
        ms, step, value = (np.concatenate([part[i] for part in self._parts]) for i in (2, 3, 4))
        order = np.lexsort((column, ms, step, owner))
        owner, step = owner[order], step[order]
        for piece in _pieces(owner, step):
            some = order[piece]
            yield self._rows(
                columns, owner[piece], column[some], ms[some], step[piece], value[some]
            )

    def _rows(
        self, columns: int, owner: Ints, column: Ints, ms: Ints, step: Ints, value: Floats
    ) -> Rows:
        row = _row_numbers(owner, step, ms, column)
        first = np.flatnonzero(np.diff(row, prepend=-1))
        values = np.zeros((len(first), columns))
        there = np.zeros((len(first), columns), np.bool_)
        values[row, column], there[row, column] = value, True
        return Rows(tuple(self.owners), owner[first], ms[first], values, there)


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a history: owner and milliseconds, shape (N,); values, shape (N, columns)."""

    owners: Sequence[Owner]
    owner: Ints
    ms: Ints
    values: Floats
    there: NDArray[np.bool_]
    """Which values were logged; those that were may be NaN."""

    def reporting(self, metrics: int) -> Rows:
        """Return the rows that hold any of the first ``metrics`` columns."""
        kept = self.there[:, :metrics].any(axis=1)
        return Rows(
            self.owners, self.owner[kept], self.ms[kept], self.values[kept], self.there[kept]
        )


def _pieces(owner: Ints, step: Ints) -> Iterator[slice]:
    """Yield slices of about `PIECE` sorted values; no step of an owner is cut."""
    ends = np.append(np.flatnonzero(_changes(owner) | _changes(step)), len(owner))
    begin = 0
    while begin < len(owner):
        end = int(ends[np.searchsorted(ends, min(begin + PIECE, len(owner)))])
        yield slice(begin, end)
        begin = end


def _row_numbers(owner: Ints, step: Ints, ms: Ints, column: Ints) -> Ints:
    """Number the rows of values sorted by owner, step and time, from 0.

    A row is a step. Where a column has several values at one step, as everything has that is logged
    without steps, a row ends where a column comes again and after ten minutes.
    """
    steps = np.cumsum(_changes(owner) | _changes(step)).astype(np.int64)
    by_column = np.lexsort((column, steps))
    again = (np.diff(steps[by_column]) == 0) & (np.diff(column[by_column]) == 0)
    if not again.any():
        return steps
    repeating = np.isin(steps, steps[by_column][1:][again])
    return np.cumsum(_begins(steps, ms, column, repeating)).astype(np.int64) - 1


def _changes(values: Ints) -> NDArray[np.bool_]:
    """Where a value is another than the one before it."""
    changed = np.zeros(len(values), np.bool_)
    changed[1:] = values[1:] != values[:-1]
    return changed


def _begins(steps: Ints, ms: Ints, column: Ints, repeating: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where a row begins: at every step, and within the repeating ones by time."""
    begins = _changes(steps)
    begins[:1] = True
    seen: set[int] = set()
    since = 0
    for place in np.flatnonzero(repeating).tolist():
        now, own = int(ms[place]), int(column[place])
        if begins[place] or own in seen or now - since > TOGETHER_MS:
            begins[place] = True
            seen, since = set(), now
        seen.add(own)
    return begins
