"""Shards: contiguous ranges of models in the order of their names, so that outputs concatenate.

A hash of the model would spread as evenly, but its outputs would have to be merged, and a giant
model is known beforehand either way. No model is ever split over two shards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pyarrow.fs as pafs

from calhard.history.columns import ColumnPlan
from calhard.history.files import HistoryFile

ORDERED_ROWS = 1_000_000
GATHERED_ROWS = 4_000_000
"""Rows of a shard: few where they are streamed, more where every shard reads everything again."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some row groups of a file, all of it where ``row_groups`` is None."""

    file: int
    row_groups: tuple[int, ...] | None
    first_row: int
    owned: bool
    """Whether this shard accounts for the piece's rows that have no usable id."""


@dataclass(frozen=True, slots=True)
class ShardSpec:
    """The models with ``after`` < model_id ≤ ``through`` (None: open) and where their rows are."""

    index: int
    after: str | None
    through: str | None
    pieces: tuple[Piece, ...]
    rows: int
    ordered: bool

    def gathered(self) -> ShardSpec:
        """Return the same shard, read without trust in the order of its rows."""
        return replace(self, ordered=False)


@dataclass(frozen=True, slots=True)
class Reading:
    """All that a worker needs to read a shard."""

    filesystem: pafs.FileSystem
    files: tuple[HistoryFile, ...]
    plans: tuple[ColumnPlan, ...]
    metrics: tuple[str, ...]
    tags: tuple[str, ...]
    timezone: str | None
    since_us: int
    as_of_us: int
    latest_us: int
    excluded: frozenset[str] = field(default_factory=frozenset)

    def without(self, path: str) -> Reading:
        """Return the same reading less one file."""
        return replace(self, excluded=self.excluded | {path})


@dataclass(frozen=True, slots=True)
class Extent:
    """The models of a row group, as its footer tells them."""

    file: int
    row_group: int
    first_row: int
    rows: int
    low: str
    high: str


def ordered_shards(extents: Sequence[Extent], target: int = ORDERED_ROWS) -> list[ShardSpec] | None:
    """Return shards of row groups that follow one another; None where they overlap."""
    extents = sorted(extents, key=lambda e: (e.low, e.high, e.file, e.row_group))
    if any(a.high > b.low for a, b in pairwise(extents)):
        return None
    shards: list[ShardSpec] = []
    after: str | None = None
    begin = owned = 0
    while begin < len(extents):
        end, rows = begin, 0
        while end < len(extents) and (rows < target or end == begin):
            rows += extents[end].rows
            end += 1
        through = extents[end - 1].high
        while end < len(extents) and extents[end].low == through:
            end += 1
        pieces = tuple(
            Piece(e.file, (e.row_group,), e.first_row, place >= owned)
            for place, e in enumerate(extents[begin:end], start=begin)
        )
        beyond = [place for place, e in enumerate(extents) if e.high > through]
        final = not beyond
        shards.append(
            ShardSpec(len(shards), after, None if final else through, pieces, rows, ordered=True)
        )
        after, owned = through, end
        begin = beyond[0] if beyond else len(extents)
    return shards


def gathered_shards(
    counts: Mapping[str, int], files: Sequence[int], target: int = GATHERED_ROWS
) -> list[ShardSpec]:
    """Return shards that each look through every file for their models."""
    models = sorted(counts)
    cuts: list[tuple[str, int]] = []
    rows = 0
    for model in models:
        rows += counts[model]
        if rows >= target:
            cuts.append((model, rows))
            rows = 0
    if rows or not cuts:
        cuts.append((models[-1] if models else "", rows))
    shards = []
    after: str | None = None
    for index, (model, size) in enumerate(cuts):
        last = index == len(cuts) - 1
        pieces = tuple(Piece(file, None, 0, index == 0) for file in files)
        through = None if last else model
        shards.append(ShardSpec(index, after, through, pieces, size, ordered=False))
        after = model
    return shards
