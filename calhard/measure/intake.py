"""Reading: files become spilled rows, and what each file holds becomes known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import TypeVar

import numpy as np

from calhard.engines import Engine, Progress, Results
from calhard.history.account import RowAccount
from calhard.measure.buckets import slots_for
from calhard.measure.copies import find_copies
from calhard.measure.examples import Bits
from calhard.measure.manifest import Manifest
from calhard.measure.periods import Period
from calhard.measure.pieces import ScatterTask, plan_scatter
from calhard.measure.predictions import PredictionReading, Predictions
from calhard.measure.spill import Shape, Spill
from calhard.measure.survey import Stamp, Survey
from calhard.measure.tally import Tally
from calhard.measure.tasks import Scatter, Scattered, Wanted

Result = TypeVar("Result")


def survey(predictions: Predictions, before: Manifest) -> Survey:
    """Return the files that are there, with their sizes and times, beside those of the last run."""
    files = predictions.files
    found = predictions.filesystem.get_file_info([file.path for file in files])
    stamps = {
        file.name: Stamp(index, info.size or 0, info.mtime_ns or 0)
        for index, (file, info) in enumerate(zip(files, found, strict=True))
    }
    copies, digests = find_copies(predictions, stamps, before.sources)
    sources = before.sources.items()
    return Survey(
        {name: stamp for name, stamp in stamps.items() if name not in copies},
        {name: s for name, s in sources if s.same_as is None or len(s.measured.number)},
        frozenset(predictions.account.files),
        copies,
        digests,
    )


def file_sizes(predictions: Predictions, names: Iterable[str]) -> dict[str, int]:
    """Return the bytes of files by name, of those that cannot be read too."""
    if not predictions.files:
        return {}
    first = predictions.files[0]
    root = first.path.removesuffix(first.name)
    asked = sorted({*names, *(file.name for file in predictions.files)})
    found = predictions.filesystem.get_file_info([root + name for name in asked])
    return {name: info.size or 0 for name, info in zip(asked, found, strict=True)}


@dataclass(slots=True)
class Intake:
    """What was read so far in a run."""

    reading: PredictionReading
    period: Period
    engine: Engine
    progress: Progress
    folder: Path
    """Where rows are spilled."""
    since_us: int | None
    """Row groups that end before it, by their statistics, are not read."""
    known_rows: int
    """Rows of files that may have to be read later."""
    slots: int = 1
    spills: list[Spill] = field(default_factory=list)
    tally: dict[str, Tally] = field(default_factory=dict)
    """Wanted rows of every file that was read, by its name."""
    account: dict[str, RowAccount] = field(default_factory=dict)
    """Refused rows of every file that was read."""
    refused: RowAccount = field(default_factory=RowAccount)
    """Files that broke while they were read."""
    older: set[str] = field(default_factory=set)
    """Files of which rows before the wanted periods were passed over."""
    found: Bits = field(default_factory=lambda: np.zeros(0, np.uint64))
    """Hashes of the sought rows that were found, ascending."""
    rounds: int = 0

    def read(self, sizes: Mapping[int, int], wanted: Wanted) -> None:
        """Read files, given their sizes; nothing of one that breaks stays."""
        lowest = None if wanted.lowest is None else self.since_us
        plan = plan_scatter(self.reading, sizes, lowest)
        if not self.rounds:
            self.slots = slots_for(plan.rows + self.known_rows)
        self.older |= {self.reading.files[file].name for file in plan.skipped}
        done: list[Scattered] = []
        bad: set[int] = set()
        tasks: Sequence[ScatterTask] = plan.tasks
        while tasks:
            found = self._scatter(tasks, wanted)
            bad |= {self._refuse(*s.broken) for s in found if s.broken is not None}
            done += found
            # A task that read anything of a broken file is done again without it.
            again = [s.task.without(bad) for s in done if _touches(s, bad)]
            done = [s for s in done if not _touches(s, bad)]
            tasks = [task for task in again if task.pieces]
        for scattered in done:
            self._accept(scattered)
        hashes = [look.found for scattered in done for look in scattered.looks]
        self.found = np.unique(np.concatenate([self.found, *hashes]))

    @property
    def shape(self) -> Shape:
        """What spilled rows carry."""
        columns = [p.source for p in self.reading.plans]
        return Shape(
            self.period,
            self.slots,
            self.reading.tags,
            any("weight" in source for source in columns),
            any("example_id" in source for source in columns),
        )

    def _scatter(self, tasks: Sequence[ScatterTask], wanted: Wanted) -> list[Scattered]:
        self.rounds += 1
        scatter = Scatter(self.reading, self.shape, wanted, self.folder, f"{self.rounds:04d}")
        results = self.engine.map(scatter, tasks)
        return list(told(results, "scatter", [task.rows for task in tasks], self.progress))

    def _refuse(self, file: int, reason: str, remedy: str) -> int:
        self.refused.reject_file(self.reading.files[file].name, reason, remedy)
        return file

    def _accept(self, scattered: Scattered) -> None:
        if scattered.spill is not None:
            self.spills.append(scattered.spill)
        for look in scattered.looks:
            name = self.reading.files[look.file].name
            self.tally[name] = self.tally.get(name, Tally.zero()) + look.tally
            self.account[name] = self.account.get(name, RowAccount()) + look.account
            if look.older:
                self.older.add(name)


def _touches(scattered: Scattered, bad: set[int]) -> bool:
    return any(piece.file in bad for piece in scattered.task.pieces)


def told(
    results: Results[Result], stage: str, rows: Sequence[int], progress: Progress
) -> Results[Result]:
    """Pass results on and tell how far they are; workers end with it, whatever ends it."""
    with closing(results):
        if rows:
            progress(stage, 0, len(rows), 0)
        at = accumulate(rows)
        for done, result in enumerate(results, start=1):
            progress(stage, done, len(rows), next(at))
            yield result
