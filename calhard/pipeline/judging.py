"""The second task of a worker: judge a shard, once the fleet has been seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from calhard.assess.columns import to_columns
from calhard.errors import CalhardError
from calhard.judge.batch import judge_batch
from calhard.judge.ruling import Ruling, ScoreSketch
from calhard.pipeline.assessed import Assessed
from calhard.pipeline.keys import KeyLedger, KeySpan
from calhard.pipeline.marks import begun, mark_path, read_mark, verified_mark, write_mark
from calhard.pipeline.shardfile import Attempt, BatchSink, read_batches

PARTS = 8
STAGE = "judged"


@dataclass(frozen=True, slots=True)
class JudgeTask:
    """An assessed shard, or its groups ``start`` … ``stop`` − 1."""

    index: int
    rows: int
    name: str
    """The shard's."""
    groups: str
    series: str
    """The names of its files."""
    count: int
    start: int
    stop: int
    model: str | None = None
    """Its only model, where it is known to have one alone."""

    @classmethod
    def of(cls, shard: Assessed) -> JudgeTask:
        """Return the task of a whole shard."""
        spec, count = shard.spec, shard.groups
        files = shard.groups_file, shard.series_file
        return cls(spec.index, spec.rows, spec.name, *files, count, 0, count, spec.model)

    @property
    def is_whole(self) -> bool:
        """Whether it is all of its shard."""
        return (self.start, self.stop) == (0, self.count)

    @property
    def mark(self) -> str:
        """A name for files, which no other task of a night has."""
        return self.name if self.is_whole else f"{self.name}-{self.start}-{self.stop}"


@dataclass(frozen=True, slots=True)
class Judged:
    """A judged shard, or part of one, as the driver keeps it."""

    task: JudgeTask
    groups_file: str
    judged_file: str
    keys: KeySpan


@dataclass(frozen=True, slots=True)
class JudgeShard:
    """Turns a shard's accumulators into judged columns, one row per series in key order."""

    ruling: Ruling
    folder: Path
    stage: str
    """Names the marks: another fleet makes another ruling."""

    def __call__(self, task: JudgeTask) -> None:
        """Judge one shard, or part of one, and leave its mark."""
        path = mark_path(self.folder, task.mark, self.stage)
        if self.is_done(task):
            return
        with begun(self.folder, task.mark):
            self._judge(task, path)

    def _judge(self, task: JudgeTask, path: Path) -> None:
        attempt, ledger = Attempt(self.folder, task.mark), KeyLedger()
        scores = ScoreSketch.zero(len(self.ruling.metrics))
        judged, own = attempt.path("judged"), self.folder / task.groups
        with ExitStack() as stack:
            sink, keys = stack.enter_context(BatchSink(judged)), None
            if not task.is_whole:
                own = attempt.path("groups")
                keys = stack.enter_context(BatchSink(own))
            for groups, series in batches_of(task, self.folder):
                ledger.add(groups["model_id"].to_pylist(), groups["class_id"].to_pylist())
                sink.write(judge_batch(groups, to_columns(series), self.ruling, scores))
                if keys is not None:
                    keys.write(groups)
        facts = {"keys": ledger.span().told(), "shape": list(scores.counts.shape)}
        write_mark(path, facts, scores.counts, {"groups": own, "judged": judged})

    def is_done(self, task: JudgeTask) -> bool:
        """Return whether an earlier try left a sound result of this very ruling."""
        return verified_mark(mark_path(self.folder, task.mark, self.stage)) is not None

    def read(self, task: JudgeTask) -> tuple[Judged, ScoreSketch]:
        """Return what the mark of a judged task tells."""
        mark = read_mark(mark_path(self.folder, task.mark, self.stage))
        if mark is None:
            raise CalhardError(
                f"{self.folder}: a shard's result is gone; nothing was published: run again"
            )
        scores = ScoreSketch(mark.counts.reshape(mark.facts["shape"]))
        keys = KeySpan.from_told(mark.facts["keys"])
        return Judged(task, mark.file("groups"), mark.file("judged"), keys), scores


def is_judged(folder: Path, name: str) -> bool:
    """Return whether a whole shard was judged, by any ruling, and its files are sound."""
    return any(verified_mark(path) is not None for path in folder.glob(f"{name}.{STAGE}-*"))


def batches_of(task: JudgeTask, folder: Path) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """Yield a task's groups and their series, whose ``group`` counts from the batch's first."""
    begin = 0
    files = read_batches(folder / task.groups), read_batches(folder / task.series)
    for groups, series in zip(*files, strict=True):
        low, high = max(task.start - begin, 0), min(task.stop - begin, groups.num_rows)
        begin += groups.num_rows
        if (low, high) == (0, groups.num_rows):
            yield groups, series
        elif low < high:
            yield groups.slice(low, high - low), _of_groups(series, low, high)


def _of_groups(series: pa.RecordBatch, low: int, high: int) -> pa.RecordBatch:
    place = series.schema.get_field_index("group")
    group = series.column(place)
    inside = pc.and_(pc.greater_equal(group, low), pc.less(group, high))
    kept = series.filter(inside)
    return kept.set_column(place, series.schema.field(place), pc.subtract(kept.column(place), low))


@dataclass(frozen=True, slots=True)
class SplitJudging:
    """Splits a shard that cannot be judged as a whole between models, down to one of them."""

    folder: Path

    def __call__(self, task: JudgeTask) -> list[JudgeTask] | None:
        """Return the parts; None where there is nothing to split."""
        if task.model is not None:
            return None
        models = [m for g, _ in batches_of(task, self.folder) for m in g["model_id"].to_pylist()]
        cuts = _cuts(models, PARTS)
        edges = zip([0, *cuts], [*cuts, len(models)], strict=True)
        return [
            replace(
                task,
                start=task.start + a,
                stop=task.start + b,
                model=models[a] if models[a] == models[b - 1] else None,
            )
            for a, b in edges
        ]


def _cuts(models: Sequence[str], parts: int) -> list[int]:
    """Up to ``parts`` − 1 places where another model begins, about as far from one another."""
    heads = [i for i in range(1, len(models)) if models[i] != models[i - 1]]
    if len(heads) < parts:
        return heads
    wanted = np.linspace(0, len(heads), parts + 1)[1:-1].astype(int)
    return [heads[i] for i in sorted(set(wanted.tolist()))]
