"""The driver's side of a night's stages: tasks out, what comes of them back, and checked."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from calhard.assess.correlation import CorrelationSketch
from calhard.engines import Engine, Policy, Progress, Quarantined, Split
from calhard.errors import CalhardError
from calhard.history import RowAccount, ShardSpec
from calhard.judge.ruling import Ruling, ScoreSketch
from calhard.pipeline.assessed import STAGE as ASSESSED
from calhard.pipeline.assessed import Assessed, Counts, check_keys, check_rows, read_assessed
from calhard.pipeline.fleet import JudgedFleet
from calhard.pipeline.judging import STAGE, Judged, JudgeShard, JudgeTask, SplitJudging
from calhard.pipeline.marks import mark_path
from calhard.pipeline.quarantine import Blamed, blamed_groups, blamed_shards
from calhard.pipeline.series import KeepSeries, KeptShard
from calhard.pipeline.shardfile import drain_batches
from calhard.pipeline.tasks import AssessShard, SplitShard
from calhard.schema import series_schema
from calhard.store import NightWriter

PATIENCE = (1.0, 4.0, 16.0)
"""Seconds; arrow's client of an object store has tried three times already each time."""


def _for_good(task: Any) -> Any:
    """A shard for its last try; of other tasks nothing else."""
    return task.for_good() if isinstance(task, ShardSpec) else task


TOLERANT = Policy(patience=PATIENCE, last=_for_good, fatal=(CalhardError, OSError), quarantine=True)
"""Crashes, lack of memory, hanging, and storage that fails in a way that may pass are tried again;
what fails for good is split down to single models, and these are told. What the input or the disk
refuse is raised.
"""


class Counted(Protocol):
    """A task by whose shard's place and rows progress is told."""

    @property
    def index(self) -> int:
        """The place of its shard."""
        ...

    @property
    def rows(self) -> int:
        """About how many rows it has."""
        ...


Unit = TypeVar("Unit", bound=Counted)


@dataclass(frozen=True, slots=True)
class Assessment:
    """All shards of a night that could be assessed, what they count, and who is to blame else."""

    shards: list[Assessed]
    counts: Counts
    blamed: list[Blamed]


@dataclass(frozen=True, slots=True)
class Stages:
    """Runs the stages of a night over an engine, in a folder for what workers leave."""

    engine: Engine
    folder: Path
    progress: Progress
    policy: Policy = TOLERANT

    def assess(self, function: AssessShard, shards: Sequence[ShardSpec]) -> Assessment:
        """Assess the shards.

        Raises
        ------
        CalhardError
            None of them could be, or what came back is not what went out.
        """
        found: list[Assessed] = []
        counts = Counts(CorrelationSketch.zero(len(function.rules.metrics)), RowAccount())

        def take(spec: ShardSpec) -> None:
            nonlocal counts
            shard, own = read_assessed(self.folder, spec)
            found.append(shard)
            counts += own

        split = SplitShard(function.reading)
        given_up = self._run("assess", function, shards, split, take)
        if given_up and not any(shard.groups for shard in found):
            raise given_up[0].error
        check_keys(found)
        whole = not given_up and not function.reading.refused
        if whole and not any(shard.excluded for shard in found):
            check_rows(shards, counts.account)
        return Assessment(found, counts, list(blamed_shards(given_up)))

    def judge(
        self, ruling: Ruling, assessed: Assessment, again: AssessShard
    ) -> tuple[JudgedFleet, list[Blamed]]:
        """Judge the assessed shards; what inflates their p-values is told by all together.

        ``again`` assesses a shard once more that an earlier try judged among others.
        """
        judge = JudgeShard(ruling, self.folder, f"{STAGE}-{_digest(assessed.counts.sketch)}")
        shards = self._with_series(judge, assessed.shards, again)
        found: list[Judged] = []
        scores = ScoreSketch.zero(len(ruling.metrics))

        def take(task: JudgeTask) -> None:
            nonlocal scores
            part, own = judge.read(task)
            found.append(part)
            scores += own
            if task.is_whole:  # its accumulators have served
                (self.folder / task.series).unlink(missing_ok=True)

        tasks = [JudgeTask.of(shard) for shard in shards]
        given_up = self._run("judge", judge, tasks, SplitJudging(self.folder), take)
        if given_up and not found:
            raise given_up[0].error
        _check_judged(shards, found)
        fleet = JudgedFleet(ruling, self.folder, found, scores.factors())
        return fleet, list(blamed_groups(given_up, self.folder))

    def _with_series(
        self, judge: JudgeShard, shards: Sequence[Assessed], again: AssessShard
    ) -> list[Assessed]:
        """The shards, of which those have their accumulators back that are still to be judged.

        They are gone where an earlier try judged a shard and then came to another ruling.
        """
        gone = [
            shard.spec
            for shard in shards
            if not (self.folder / shard.series_file).exists()
            and not judge.is_done(JudgeTask.of(shard))
        ]
        if not gone:
            return list(shards)
        for spec in gone:
            mark_path(self.folder, spec.name, ASSESSED).unlink(missing_ok=True)
        with closing(self.engine.map(again, gone)) as results:
            deque(results, maxlen=0)
        made = {spec.name: read_assessed(self.folder, spec)[0] for spec in gone}
        return [made.get(shard.spec.name, shard) for shard in shards]

    def keep(
        self, function: KeepSeries, shards: Sequence[KeptShard], writer: NightWriter
    ) -> list[Quarantined[KeptShard]]:
        """Write the values of the kept groups, in the order of their names; return what failed."""
        tell = _Tell("series", [shard.spec for shard in shards], self.progress)
        failed: list[Quarantined[KeptShard]] = []
        results = self.engine.run(function, shards, self.policy)
        schema = series_schema(function.rules.metrics)
        with writer.parts("series", schema) as sink, closing(results):
            for settled in results:
                tell(settled.task.spec)
                if isinstance(settled, Quarantined):
                    failed.append(settled)
                    continue
                for batch in drain_batches(self.folder / settled.value):
                    sink.write(batch)
        return failed

    def _run(
        self,
        stage: str,
        function: Callable[[Unit], None],
        tasks: Sequence[Unit],
        split: Split,
        take: Callable[[Unit], None],
    ) -> list[Quarantined[Unit]]:
        """Take each task that was done, in order; return those that were given up."""
        tell = _Tell(stage, tasks, self.progress)
        given_up: list[Quarantined[Unit]] = []
        with closing(self.engine.run(function, tasks, self.policy, split)) as results:
            for settled in results:
                if isinstance(settled, Quarantined):
                    given_up.append(settled)
                else:
                    take(settled.task)
                tell(settled.task)
        return given_up


class _Tell:
    """Tells how far a stage is; parts of a shard count with it."""

    def __init__(self, stage: str, tasks: Sequence[Counted], progress: Progress) -> None:
        self._stage, self._tasks, self._progress = stage, tasks, progress
        self._place = {task.index: place for place, task in enumerate(tasks, start=1)}
        self._rows = 0
        progress(stage, 0, len(tasks), 0)

    def __call__(self, task: Counted) -> None:
        self._rows += task.rows
        self._progress(self._stage, self._place[task.index], len(self._tasks), self._rows)


def _digest(sketch: CorrelationSketch) -> str:
    """What the ruling of a run depends on beside the run itself: which shards could be assessed."""
    return hashlib.sha256(np.ascontiguousarray(sketch.counts).tobytes()).hexdigest()[:16]


def _check_judged(shards: Sequence[Assessed], found: Sequence[Judged]) -> None:
    """Check that what was judged is what was assessed, key by key."""
    assessed = {shard.spec.name: shard.keys for shard in shards}
    for part in found:
        if part.task.is_whole and part.keys != assessed[part.task.name]:
            raise CalhardError("series are lost or doubled between assessing and judging")
        if part.keys.count != part.task.stop - part.task.start:
            raise CalhardError("series are lost or doubled where a shard was split")
