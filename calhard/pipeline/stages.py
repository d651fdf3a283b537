"""The driver's side of a night's stages: tasks out, what comes of them back, and checked."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from calhard.assess.correlation import CorrelationSketch
from calhard.engines import Engine, Finished, Policy, Progress, Quarantined, Settled, Split
from calhard.errors import CalhardError
from calhard.history import RowAccount, ShardSpec
from calhard.judge.ruling import Ruling, ScoreSketch
from calhard.pipeline.assessed import Assessed, check_assessed, read_assessed
from calhard.pipeline.fleet import JudgedFleet
from calhard.pipeline.judging import JudgeShard, JudgeTask, SplitJudging
from calhard.pipeline.quarantine import Blamed, blamed_groups, blamed_shards
from calhard.pipeline.series import KeepSeries, KeptShard
from calhard.pipeline.shardfile import drain_batches
from calhard.pipeline.tasks import AssessShard, SplitShard
from calhard.schema import series_schema
from calhard.store import NightWriter

HANG_SECONDS = 1_800.0
"""A shard of some million rows takes seconds; slow storage takes minutes."""
PATIENT = Policy(timeout=HANG_SECONDS, fatal=(CalhardError, OSError))
"""Crashes, lack of memory and hanging are tried again; what the input or the disk refuse is not."""
TOLERANT = Policy(timeout=HANG_SECONDS, fatal=(CalhardError, OSError), quarantine=True)
"""What fails for good is split down to single models, and these are told, not raised."""


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
class Stages:
    """Runs the stages of a night over an engine, in a folder for what workers leave."""

    engine: Engine
    folder: Path
    progress: Progress

    def assess(
        self, assess: AssessShard, shards: Sequence[ShardSpec]
    ) -> tuple[list[Assessed], list[Blamed]]:
        """Assess the shards; also return who is to blame for those that could not be.

        Raises
        ------
        CalhardError
            None of them could be, or what came back is not what went out.
        """
        done, given_up = self._run("assess", assess, shards, TOLERANT, SplitShard(assess.reading))
        found = [read_assessed(self.folder, spec) for spec in done]
        if given_up and not any(shard.groups for shard in found):
            raise given_up[0].error
        check_assessed(shards, found, whole=not given_up)
        return found, list(blamed_shards(given_up))

    def judge(
        self, ruling: Ruling, shards: Sequence[Assessed], sketch: CorrelationSketch
    ) -> tuple[JudgedFleet, list[Blamed]]:
        """Judge the assessed shards; what inflates their p-values is told by all together."""
        digest = hashlib.sha256(np.ascontiguousarray(sketch.counts).tobytes()).hexdigest()
        judge = JudgeShard(ruling, self.folder, f"judged-{digest[:16]}")
        tasks = [JudgeTask.of(shard) for shard in shards]
        done, given_up = self._run("judge", judge, tasks, TOLERANT, SplitJudging(self.folder))
        found = [judge.read(task) for task in done]
        if given_up and not any(part.keys.count for part in found):
            raise given_up[0].error
        _check_judged(shards, found)
        scores = (part.scores for part in found)
        factors = reduce(add, scores, ScoreSketch.zero(len(ruling.metrics))).factors()
        fleet = JudgedFleet(ruling, self.folder, found, factors)
        return fleet, list(blamed_groups(given_up, self.folder))

    def keep(self, keep: KeepSeries, shards: Sequence[KeptShard], writer: NightWriter) -> None:
        """Write the values of the kept groups, in the order of their names."""
        tasks = [shard.spec for shard in shards]
        settled = self.engine.run(keep, shards, PATIENT)
        tell = _Tell("series", tasks, self.progress)
        with writer.parts("series", series_schema(keep.rules.metrics)) as sink, closing(settled):
            for shard in settled:
                tell(shard.task.spec)
                for batch in drain_batches(self.folder / _value(shard)):
                    sink.write(batch)

    def _run(
        self,
        stage: str,
        function: Callable[[Unit], None],
        tasks: Sequence[Unit],
        policy: Policy,
        split: Split,
    ) -> tuple[list[Unit], list[Quarantined[Unit]]]:
        """Return the tasks that were done and those that were given up, each in order."""
        tell = _Tell(stage, tasks, self.progress)
        done: list[Unit] = []
        given_up: list[Quarantined[Unit]] = []
        with closing(self.engine.run(function, tasks, policy, split)) as results:
            for settled in results:
                tell(settled.task)
                if isinstance(settled, Quarantined):
                    given_up.append(settled)
                else:
                    done.append(settled.task)
        return done, given_up


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


def _value(settled: Settled[KeptShard, str]) -> str:
    if isinstance(settled, Finished):
        return settled.value
    raise settled.error


def _check_judged(shards: Sequence[Assessed], found: Sequence[Any]) -> None:
    """Check that what was judged is what was assessed, key by key."""
    assessed = {shard.spec.name: shard.keys for shard in shards}
    for part in found:
        if part.task.is_whole and part.keys != assessed[part.task.name]:
            raise CalhardError("series are lost or doubled between assessing and judging")
        if part.keys.count != part.task.stop - part.task.start:
            raise CalhardError("series are lost or doubled where a shard was split")


def sum_sketches(shards: Sequence[Assessed], metrics: int) -> CorrelationSketch:
    """Return the sketch of all shards together."""
    return reduce(add, (shard.sketch for shard in shards), CorrelationSketch.zero(metrics))


def sum_accounts(shards: Sequence[Assessed], first: RowAccount) -> RowAccount:
    """Return the account of all shards together."""
    return reduce(add, (shard.account for shard in shards), first)
