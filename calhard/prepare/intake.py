"""Reading: files become rows that wait by ranges of their keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from calhard.engines import Engine, Progress
from calhard.history.account import RowAccount
from calhard.measure.intake import told
from calhard.measure.pieces import Plan, ScatterTask, plan_scatter
from calhard.prepare.keys import Bounds, Key, even_bounds
from calhard.prepare.packing import DRAWN, ranges_for
from calhard.prepare.rows import PrepareReading
from calhard.prepare.spill import Spill
from calhard.prepare.tasks import Sample, Scatter, Scattered


@dataclass(slots=True)
class Intake:
    """What was read so far in a run."""

    reading: PrepareReading
    engine: Engine
    progress: Progress
    folder: Path
    """Where rows are spilled."""
    bounds: Bounds = field(default_factory=Bounds)
    spills: list[Spill] = field(default_factory=list)
    account: dict[str, RowAccount] = field(default_factory=dict)
    """Rows of every file that was read, by its name."""
    refused: RowAccount = field(default_factory=RowAccount)
    """Files that broke while they were read."""

    def read(self, sizes: Mapping[int, int], lows: Sequence[Key]) -> None:
        """Read files, given their sizes; nothing of one that breaks stays.

        ``lows`` are the first keys of the parts that are there, but the first one's.
        """
        plan = plan_scatter(self.reading, sizes)
        self.bounds = self._bounds(plan).joined(lows)
        done: list[Scattered] = []
        bad: set[int] = set()
        tasks: Sequence[ScatterTask] = plan.tasks
        turn = 0
        while tasks:
            scatter = Scatter(self.reading, self.bounds, self.folder, f"{turn:04d}")
            results = self.engine.map(scatter, tasks)
            found = list(told(results, "scatter", [t.rows for t in tasks], self.progress))
            bad |= {self._refuse(*s.broken) for s in found if s.broken is not None}
            done += found
            # A task that read anything of a broken file is done again without it.
            again = [s.task.without(bad) for s in done if _touches(s, bad)]
            done = [s for s in done if not _touches(s, bad)]
            tasks = [task for task in again if task.pieces]
            turn += 1
        for scattered in done:
            self._accept(scattered)

    def _bounds(self, plan: Plan) -> Bounds:
        """Where the rows are cut into ranges of about as many each."""
        ranges = ranges_for(plan.rows)
        if ranges < 2:
            return Bounds()
        sample = Sample(self.reading, max(plan.rows // (ranges * DRAWN), 1))
        results = self.engine.map(sample, plan.tasks)
        drawn = told(results, "sample", [task.rows for task in plan.tasks], self.progress)
        return even_bounds((key for keys in drawn for key in keys), ranges)

    def _refuse(self, file: int, reason: str, remedy: str) -> int:
        self.refused.reject_file(self.reading.files[file].name, reason, remedy)
        return file

    def _accept(self, scattered: Scattered) -> None:
        if scattered.spill is not None:
            self.spills.append(scattered.spill)
        for file, account in scattered.accounts:
            name = self.reading.files[file].name
            self.account[name] = self.account.get(name, RowAccount()) + account


def _touches(scattered: Scattered, bad: set[int]) -> bool:
    return any(piece.file in bad for piece in scattered.task.pieces)
