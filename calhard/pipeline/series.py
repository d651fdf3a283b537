"""The values behind a night's series: read once more, cut to the windows, kept in ``series/``."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from calhard.assess.block import Rules, metric_windows
from calhard.assess.dense import aggregate_dense
from calhard.assess.windows import find_windows
from calhard.errors import InputError
from calhard.history import BadFile, History, NotSorted, Reading, RowAccount, ShardSpec, read_blocks
from calhard.history.footers import row_group_extents
from calhard.history.shards import Extent, Piece
from calhard.pipeline.assessed import Assessed
from calhard.pipeline.shardfile import Attempt, BatchSink
from calhard.plan.globs import matched
from calhard.schema import TIMESTAMP
from calhard.series import SeriesBlock
from calhard.uri import StorageFailed
from calhard.wording.names import display_name

Group = tuple[str, str]
VERSION = "model_version"
CHANGED = "changed while it was audited; nothing was published: audit it when nothing writes to it"


@dataclass(frozen=True, slots=True)
class KeptShard:
    """A shard of which some groups are kept, as it was read when it was assessed."""

    spec: ShardSpec
    excluded: frozenset[str]
    groups: frozenset[Group] | None
    """The groups to keep; None for all that were assessed."""
    expected: int
    """How many groups that are."""


def kept_shards(assessed: Sequence[Assessed], groups: Sequence[Group] | None) -> list[KeptShard]:
    """Return the shards that hold any of ``groups``, sorted keys; all of them where it is None."""
    if groups is None:
        return [KeptShard(a.spec, a.excluded, None, a.groups) for a in assessed if a.groups]
    models = [model for model, _ in groups]
    found = []
    for a in assessed:
        begin = 0 if a.spec.after is None else bisect_right(models, a.spec.after)
        end = len(models) if a.spec.through is None else bisect_right(models, a.spec.through)
        if end > begin:
            found.append(KeptShard(a.spec, a.excluded, frozenset(groups[begin:end]), end - begin))
    return found


@dataclass(frozen=True, slots=True)
class KeepSeries:
    """Reads a shard again and leaves the windows of its kept groups in ``folder``.

    Reading twice costs less than carrying every value from the first time, of which nothing may
    be kept, and nothing at all where no group of the shard is.
    """

    reading: Reading
    rules: Rules
    folder: Path
    retired: tuple[str, ...] = ()
    """Names or globs of models that were not assessed."""

    def __call__(self, shard: KeptShard) -> str:
        """Keep the series of one shard; return the name of their file.

        Raises
        ------
        InputError
            The shard does not hold what was assessed.
        StorageFailed
            It may be read a little later.
        """
        tags = tuple(tag for tag in self.reading.tags if tag == VERSION)
        reading = replace(self.reading, excluded=shard.excluded, tags=tags)
        path = Attempt(self.folder, shard.spec.name).path("windows")
        found = 0
        try:
            with BatchSink(path) as sink:
                for whole in read_blocks(_narrowed(shard, reading), reading, RowAccount()):
                    block = whole.select(self._kept(whole, shard.groups))
                    found += len(block)
                    if len(block):
                        sink.write(windowed_rows(block, self.rules))
        except (BadFile, NotSorted) as e:
            if isinstance(e, BadFile) and e.passing:
                raise StorageFailed(f"{display_name(e.path, 200)}: {e.reason}") from e
            raise InputError(f"the history {CHANGED}") from e
        if found != shard.expected:
            raise InputError(f"the history {CHANGED}")
        return path.name

    def _kept(self, block: SeriesBlock, groups: frozenset[Group] | None) -> NDArray[np.bool_]:
        if groups is None:
            return ~matched(self.retired, block.model_id)
        keys = zip(block.model_id, block.class_id, strict=True)
        return np.fromiter((key in groups for key in keys), np.bool_, len(block))


def _narrowed(shard: KeptShard, reading: Reading) -> ShardSpec:
    """The shard with those of its row groups that may hold a kept group."""
    spec = shard.spec
    if shard.groups is None or not spec.ordered:
        return spec
    models = sorted({model for model, _ in shard.groups})
    told: dict[int, list[Extent]] = {}
    for index in {piece.file for piece in spec.pieces}:
        file, plan = reading.files[index], reading.plans[index]
        told[index] = row_group_extents(reading.filesystem, file, plan, index) or []

    def holds(extent: Extent) -> bool:
        first = bisect_left(models, extent.low)
        return first < len(models) and models[first] <= extent.high

    def chosen(piece: Piece) -> tuple[int, ...]:
        own = piece.row_groups or ()
        return tuple(e.row_group for e in told[piece.file] if e.row_group in own and holds(e))

    pieces = (replace(piece, row_groups=chosen(piece)) for piece in spec.pieces)
    return replace(spec, pieces=tuple(piece for piece in pieces if piece.row_groups))


def windowed_rows(block: SeriesBlock, rules: Rules) -> pa.RecordBatch:
    """Return the rows of both windows as they were audited.

    The columns of `schema.series_schema`; text comes as dictionaries.
    """
    block = aggregate_dense(block, rules.clock, rules.metrics)
    owner, row = _audited(block, rules)
    weights = block.total_samples
    unknown = np.full(len(block.timestamp), np.nan)
    values = {**block.values, "total_samples": unknown if weights is None else weights}
    fields = {
        "model_id": _words(block.model_id, owner),
        "class_id": _words(block.class_id, owner),
        "timestamp": pa.array(block.timestamp[row]).cast(TIMESTAMP),
        **{name: _values(values[name][row]) for name in (*rules.metrics, "total_samples")},
        VERSION: _words(block.tags.get(VERSION, (None,) * len(block)), owner),
    }
    return pa.RecordBatch.from_pydict(fields)


def _audited(block: SeriesBlock, rules: Rules) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Group and place of the rows in a group's windows, or in a metric's own and reporting it."""
    whole = find_windows(block, rules.clock, restart=rules.restart_on_deployment)
    owner = np.repeat(np.arange(len(block)), np.diff(block.offsets))
    row = np.arange(len(owner))
    past = row < whole.stop[owner]
    chosen = past & (row >= whole.start[owner])
    for metric in rules.metrics:
        own, windows = metric_windows(block, metric, rules, whole)
        if own is block:
            continue
        since = np.full(len(block), np.iinfo(np.int64).max)
        some = windows.start < windows.stop
        since[some] = own.timestamp[windows.start[some]]
        reported = ~np.isnan(block.values[metric])
        chosen |= past & reported & (block.timestamp >= since[owner])
    return owner[chosen], row[chosen]


def _words(words: Sequence[str | None], owner: NDArray[np.int64]) -> pa.Array:
    """The word of each row's group."""
    return pa.DictionaryArray.from_arrays(pa.array(owner, pa.int32()), pa.array(words, pa.string()))


def _values(values: NDArray[np.float64]) -> pa.Array:
    """A block's values as they are published: null where none was reported, NaN where not finite.

    Source: `series.MISSING`, `series.NOT_FINITE`.
    """
    missing = np.isnan(values)
    return pa.array(np.where(np.isfinite(values), values, np.nan), mask=missing)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Name, size and time of change of a history's files: cheap, and any rewriting shows."""

    files: tuple[tuple[str, int | None, int | None], ...]

    @classmethod
    def of(cls, history: History) -> Fingerprint:
        """Look at every file."""
        found = history.filesystem.get_file_info([file.path for file in history.files])
        names = (file.name for file in history.files)
        return cls(tuple((n, i.size, i.mtime_ns) for n, i in zip(names, found, strict=True)))

    def check(self, history: History) -> None:
        """Look again.

        Raises
        ------
        InputError
            A file is not what it was; the message names the first one.
        """
        for before, after in zip(self.files, Fingerprint.of(history).files, strict=True):
            if before != after:
                raise InputError(f"{history.source}: {before[0]} {CHANGED}")
