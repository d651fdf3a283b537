"""The first half of the job: pieces of files are read and their rows left in slots."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calhard.history.account import RowAccount
from calhard.history.blocks import BadFile
from calhard.history.ids import Ints, Keys
from calhard.measure.examples import Bits
from calhard.measure.pieces import Piece, ScatterTask
from calhard.measure.predictions import PredictionReading, read_rows
from calhard.measure.rows import PredictionRows
from calhard.measure.sample import RowHasher, Sought
from calhard.measure.spill import Shape, Spill, SpillWriter
from calhard.measure.tally import Tally, numbers_of


@dataclass(frozen=True, slots=True)
class Look:
    """What a piece holds: its usable rows by period, and the others.

    ``older`` says that rows before the first wanted period were passed over.
    """

    file: int
    tally: Tally
    account: RowAccount
    older: bool
    found: Bits
    """Hashes of the sought rows that are there."""


@dataclass(frozen=True, slots=True)
class Scattered:
    """What a task left behind."""

    task: ScatterTask
    spill: Spill | None
    looks: tuple[Look, ...]
    broken: tuple[int, str, str] | None = None
    """(file, reason, remedy) of a file that broke; nothing of the task is of use then."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The periods whose rows are scattered: from ``lowest`` on, and of those only ``numbers``."""

    sought: Sought
    """Rows that were measured earlier, to see whether they are still there."""
    lowest: int | None = None
    numbers: Ints | None = None

    def keep(self, rows: PredictionRows, number: Ints) -> tuple[PredictionRows, Ints, bool]:
        """Return the rows that are wanted, their periods, and whether any were too old."""
        older = False
        if self.lowest is not None:
            which = number >= self.lowest
            older = not which.all()
            if older:
                rows, number = rows.take(which), number[which]
        if self.numbers is not None:
            which = np.isin(number, self.numbers)
            rows, number = rows.take(which), number[which]
        return rows, number, older


@dataclass(frozen=True, slots=True)
class Scatter:
    """Reads a task's pieces and leaves their rows in ``folder``."""

    reading: PredictionReading
    shape: Shape
    wanted: Wanted
    folder: Path
    attempt: str
    """Part of the names of what it leaves: tasks of several rounds have the same numbers."""

    def __call__(self, task: ScatterTask) -> Scattered:
        """Scatter one task; a file that breaks in the middle ends it."""
        keys = Keys()
        path = self.folder / f"{self.attempt}-{task.index:06d}.rows"
        looks, hasher = [], RowHasher(keys)
        with SpillWriter(path, self.shape, keys) as writer:
            for piece in task.pieces:
                try:
                    looks.append(self._scatter(piece, hasher, writer))
                except BadFile as e:
                    return Scattered(task, None, (), (piece.file, e.reason, e.remedy))
        return Scattered(task, writer.spill(), tuple(looks))

    def _scatter(self, piece: Piece, hasher: RowHasher, writer: SpillWriter) -> Look:
        tally, account, older = Tally.zero(), RowAccount(), False
        there = [np.zeros(0, np.uint64)]
        found = read_rows(self.reading, piece.file, hasher.keys, account, piece.row_groups)
        for rows in found:
            number = numbers_of(self.shape.period, rows.timestamp)
            kept, number, some_older = self.wanted.keep(rows, number)
            older |= some_older
            hashes = hasher(kept)
            tally += Tally.of(number, hashes)
            there.append(self.wanted.sought.among(number, hashes))
            if len(kept):
                writer.write(kept)
        return Look(piece.file, tally, account, older, np.unique(np.concatenate(there)))
