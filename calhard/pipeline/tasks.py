"""The two tasks of a worker: assess a shard, and judge it once the fleet has been seen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from calhard.assess.block import Rules, assess_block
from calhard.assess.columns import to_columns
from calhard.assess.correlation import CorrelationSketch
from calhard.history import (
    BadFile,
    NotSorted,
    Reading,
    RowAccount,
    ShardSpec,
    read_blocks,
)
from calhard.judge.batch import judge_batch
from calhard.judge.ruling import Ruling, ScoreSketch
from calhard.pipeline.shardfile import BatchSink, Pile, ShardFiles, read_batches
from calhard.plan.globs import matched
from calhard.series import SeriesBlock


@dataclass(frozen=True, slots=True)
class Assessed:
    """What the driver learns of an assessed shard."""

    spec: ShardSpec
    """The shard as it was read in the end: gathered if its rows turned out not to be sorted."""
    excluded: frozenset[str]
    """Files that were left out."""
    groups: int
    sketch: CorrelationSketch
    account: RowAccount
    retired: frozenset[str]
    """Models whose rows were left out."""


@dataclass(frozen=True, slots=True)
class AssessShard:
    """Reads a shard and leaves its groups and accumulators in ``folder``."""

    reading: Reading
    rules: Rules
    folder: Path
    retired: tuple[str, ...] = ()
    """Names or globs of models that are left out."""

    def __call__(self, spec: ShardSpec) -> Assessed:
        """Assess one shard; a file that breaks in the middle is left out as a whole."""
        reading, refused = self.reading, RowAccount()
        while True:
            try:
                found = self._attempt(spec, reading)
            except BadFile as e:
                reading = reading.without(e.path)
                name = next(f.name for f in reading.files if f.path == e.path)
                refused.reject_file(name, e.reason, e.remedy)
            except NotSorted:
                spec = spec.gathered()
            else:
                return replace(found, account=found.account + refused)

    def _attempt(self, spec: ShardSpec, reading: Reading) -> Assessed:
        files = ShardFiles(self.folder, spec.index)
        account = RowAccount()
        sketch = CorrelationSketch.zero(len(self.rules.metrics))
        groups, retired = 0, set[str]()
        with BatchSink(files.path("groups")) as keys, BatchSink(files.path("series")) as series:
            pile = Pile(keys, series)
            for found in read_blocks(spec, reading, account):
                block = self._in_service(found, account, retired)
                if not len(block):
                    continue
                pile.add(*assess_block(block, self.rules, sketch))
                groups += len(block)
            pile.write()
        return Assessed(spec, reading.excluded, groups, sketch, account, frozenset(retired))

    def _in_service(
        self, block: SeriesBlock, account: RowAccount, retired: set[str]
    ) -> SeriesBlock:
        """Leave out retired models; their rows are accounted for, their names kept."""
        if not self.retired:
            return block
        gone = matched(self.retired, block.model_id)
        kept = block.select(~gone)
        rows = len(block.timestamp) - len(kept.timestamp)
        account.rows -= rows
        account.add("retired", "its model is on retired_models", rows)
        retired.update(
            m for m, is_gone in zip(block.model_id, gone.tolist(), strict=True) if is_gone
        )
        return kept


@dataclass(frozen=True, slots=True)
class JudgeShard:
    """Turns a shard's accumulators into judged columns, one row per series in key order."""

    ruling: Ruling
    folder: Path

    def __call__(self, index: int) -> ScoreSketch:
        """Judge one shard."""
        files = ShardFiles(self.folder, index)
        scores = ScoreSketch.zero(len(self.ruling.metrics))
        batches = zip(
            read_batches(files.path("groups")), read_batches(files.path("series")), strict=True
        )
        with BatchSink(files.path("judged")) as sink:
            for groups, series in batches:
                sink.write(judge_batch(groups, to_columns(series), self.ruling, scores))
        files.path("series").unlink()
        return scores
