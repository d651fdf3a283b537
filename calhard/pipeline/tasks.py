"""The first task of a worker: assess a shard."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from calhard.assess.block import Rules, assess_block
from calhard.assess.correlation import CorrelationSketch
from calhard.history import (
    BadFile,
    NotSorted,
    Reading,
    RowAccount,
    ShardSpec,
    read_blocks,
)
from calhard.history.models import models_of
from calhard.history.shards import split_shard
from calhard.pipeline.assessed import STAGE, Counts, write_assessed
from calhard.pipeline.judging import is_judged
from calhard.pipeline.keys import KeyLedger
from calhard.pipeline.marks import begun, mark_path, read_mark
from calhard.pipeline.shardfile import Attempt, BatchSink, Pile
from calhard.plan.globs import matched
from calhard.series import SeriesBlock
from calhard.uri import StorageFailed
from calhard.wording.names import display_name


@dataclass(frozen=True, slots=True)
class AssessShard:
    """Reads a shard and leaves its groups and accumulators in ``folder``, then its mark.

    A shard whose mark is there, with sound files, is done already.
    """

    reading: Reading
    rules: Rules
    folder: Path
    retired: tuple[str, ...] = ()
    """Names or globs of models that are left out."""

    def __call__(self, spec: ShardSpec) -> None:
        """Assess one shard; a file that breaks in the middle is left out as a whole.

        Raises
        ------
        StorageFailed
            It may be read a little later, and this is not the shard's last try.
        """
        if self._is_done(spec):
            return
        with begun(self.folder, spec.name):
            self._assess(spec)

    def _assess(self, spec: ShardSpec) -> None:
        reading, refused = self.reading, RowAccount()
        while True:
            try:
                self._attempt(spec, reading, refused)
            except BadFile as e:
                if e.passing and not spec.final:
                    raise StorageFailed(f"{display_name(e.path, 200)}: {e.reason}") from e
                reading = reading.without(e.path)
                name = next(f.name for f in reading.files if f.path == e.path)
                refused.reject_file(name, e.reason, e.remedy)
            except NotSorted:
                spec = spec.gathered()
            else:
                return

    def _is_done(self, spec: ShardSpec) -> bool:
        """Whether an earlier try left what is needed: accumulators, or what was made of them."""
        mark = read_mark(mark_path(self.folder, spec.name, STAGE))
        if mark is None:
            return False
        return mark.is_sound(self.folder) or is_judged(self.folder, spec.name)

    def _attempt(self, spec: ShardSpec, reading: Reading, refused: RowAccount) -> None:
        attempt = Attempt(self.folder, spec.name)
        groups, series = attempt.path("groups"), attempt.path("series")
        account, ledger = RowAccount(), KeyLedger()
        sketch = CorrelationSketch.zero(len(self.rules.metrics))
        retired = set[str]()
        with BatchSink(groups) as keys, BatchSink(series) as rows:
            pile = Pile(keys, rows)
            for found in read_blocks(spec, reading, account):
                block = self._in_service(found, account, retired)
                if not len(block):
                    continue
                ledger.add(block.model_id, block.class_id)
                pile.add(*assess_block(block, self.rules, sketch))
            pile.write()
        counts = Counts(sketch, account + refused, frozenset(retired))
        files = {"groups": groups, "series": series}
        write_assessed(self.folder, spec, reading.excluded, ledger.span(), counts, files)

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
class SplitShard:
    """Splits a shard that cannot be assessed as a whole by its models, down to one of them."""

    reading: Reading

    def __call__(self, spec: ShardSpec) -> list[ShardSpec] | None:
        """Return the parts; None where there is nothing to split."""
        return None if spec.model is not None else split_shard(spec, models_of(spec, self.reading))
