"""Shards: contiguous ranges of models in the order of their names, so that outputs concatenate.

A hash of the model would spread as evenly, but its outputs would have to be merged, and a giant
model is known beforehand either way. No model is ever split over two shards.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, pairwise

import pyarrow.fs as pafs

from calhard.history.columns import ColumnPlan
from calhard.history.files import HistoryFile

ORDERED_ROWS = 1_000_000
GATHERED_ROWS = 4_000_000
"""Rows of a shard: few where they are streamed, more where every shard reads everything again."""
PARTS = 8
"""What a shard is split into that does not get through."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some row groups of a file, all of it where ``row_groups`` is None."""

    file: int
    row_groups: tuple[int, ...] | None
    first_row: int
    owned: bool
    """Whether this shard accounts for the piece's rows that have no usable id."""
    low: str = ""
    high: str | None = None
    """The first and the last of the piece's models, as far as a footer tells; None: open."""
    rows: int | None = field(default=None, compare=False)
    """How many rows it has, as far as a footer tells."""

    def reaches(self, after: str | None, through: str | None) -> bool:
        """Return whether it may hold a model of a range."""
        return (through is None or self.low <= through) and (
            self.high is None or after is None or self.high > after
        )


@dataclass(frozen=True, slots=True)
class ShardSpec:
    """The models with ``after`` < model_id ≤ ``through`` (None: open) and where their rows are."""

    index: int
    after: str | None
    through: str | None
    pieces: tuple[Piece, ...]
    rows: int
    ordered: bool
    model: str | None = None
    """The shard's only model, where it is known to have one alone."""
    final: bool = field(default=False, compare=False)
    """Whether storage has failed it so often that what cannot be read now is left out."""

    @property
    def name(self) -> str:
        """A name for files: a hash of the range of models, which no other shard of a night has."""
        told = json.dumps([self.after, self.through])
        return hashlib.sha256(told.encode()).hexdigest()[:24]

    def holds(self, model_id: str) -> bool:
        """Return whether a model is in the range."""
        return (self.after is None or model_id > self.after) and (
            self.through is None or model_id <= self.through
        )

    def for_good(self) -> ShardSpec:
        """Return the same shard for the last try; what cannot be read then is left out."""
        return replace(self, final=True)

    def gathered(self) -> ShardSpec:
        """Return the same shard, read without trust in the order of its rows."""
        return replace(self, ordered=False)


@dataclass(frozen=True, slots=True)
class Reach:
    """Which rows a window may hold: those after an instant and the last ``samples`` of a series."""

    after_us: int
    samples: int


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
    reach: Reach | None = None
    """Where duplicates that disagree count; None: everywhere."""
    excluded: frozenset[str] = field(default_factory=frozenset)
    refused: frozenset[str] = field(default_factory=frozenset)
    """Models that are left out, for no worker could hold them."""

    def without(self, path: str) -> Reading:
        """Return the same reading less one file."""
        return replace(self, excluded=self.excluded | {path})

    def refusing(self, models: Iterable[str]) -> Reading:
        """Return the same reading less some models."""
        return replace(self, refused=self.refused | frozenset(models))


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
    highs = [e.high for e in extents]  # they never fall
    shards: list[ShardSpec] = []
    after: str | None = None
    begin = owned = 0
    while begin < len(extents):
        end, rows = begin, 0
        while end < len(extents) and (rows < target or end == begin):
            rows += extents[end].rows
            end += 1
        through: str | None = highs[end - 1]
        while end < len(extents) and extents[end].low == through:
            rows += extents[end].rows
            end += 1
        beyond = bisect_right(highs, highs[end - 1] if through is None else through)
        if beyond == len(extents):
            through = None
        placed = [(extents[p], p >= owned) for p in range(begin, end)]
        pieces = _pieces(placed, after, through)
        shards.append(ShardSpec(len(shards), after, through, pieces, rows, ordered=True))
        after, owned, begin = through, end, beyond
    return shards


def _pieces(
    placed: Sequence[tuple[Extent, bool]], after: str | None, through: str | None
) -> tuple[Piece, ...]:
    """Row groups as pieces; those that follow one another in a file are opened as one.

    One that also holds models of another shard stays alone, so that a row which its footer does not
    promise is seen as such: nobody else would look for it there.
    """

    def joined(place: int) -> tuple[int, int, bool, int]:
        extent, owned = placed[place]
        inside = (after is None or extent.low > after) and (
            through is None or extent.high <= through
        )
        return extent.file, extent.row_group - place, owned, -1 if inside else place

    found = []
    for _, run in groupby(range(len(placed)), key=joined):
        chosen = [placed[place] for place in run]
        (first, owned), (last, _) = chosen[0], chosen[-1]
        groups = tuple(extent.row_group for extent, _ in chosen)
        rows = sum(extent.rows for extent, _ in chosen)
        piece = Piece(first.file, groups, first.first_row, owned, first.low, last.high, rows)
        found.append(piece)
    return tuple(found)


def gathered_shards(
    counts: Mapping[str, int], files: Sequence[int], target: int = GATHERED_ROWS
) -> list[ShardSpec]:
    """Return shards that each look through every file for their models.

    None holds more than ``target`` rows but one that is a single larger model.
    """
    cuts: list[tuple[str, int]] = []
    last, rows = "", 0
    for model in sorted(counts):
        if rows and rows + counts[model] > target:
            cuts.append((last, rows))
            rows = 0
        last, rows = model, rows + counts[model]
    cuts.append((last, rows))
    shards = []
    after: str | None = None
    for index, (model, size) in enumerate(cuts):
        through = None if index == len(cuts) - 1 else model
        pieces = tuple(Piece(file, None, 0, index == 0) for file in files)
        shards.append(ShardSpec(index, after, through, pieces, size, ordered=False))
        after = model
    return shards


def split_shard(
    spec: ShardSpec, counts: Mapping[str, int], parts: int = PARTS
) -> list[ShardSpec] | None:
    """Return up to ``parts`` shards that together are one, of about as many rows each, in order.

    ``counts`` are the rows of its models. A single model comes alone, as a shard that names it;
    None where there is no model at all.
    """
    models = sorted(counts)
    if len(models) < 2:
        return [replace(spec, model=models[0], rows=counts[models[0]])] if models else None
    found = []
    after, free = spec.after, set(spec.pieces)
    for run in _runs(models, counts, parts):
        through = spec.through if run[-1] == models[-1] else run[-1]
        reached = [piece for piece in spec.pieces if piece.reaches(after, through)]
        part = replace(
            spec,
            after=after,
            through=through,
            pieces=tuple(replace(p, owned=p.owned and p in free) for p in reached),
            rows=sum(counts[m] for m in run),
            model=run[0] if len(run) == 1 else None,
        )
        found.append(part)
        after = through
        free.difference_update(reached)
    return found


def _runs(models: Sequence[str], counts: Mapping[str, int], parts: int) -> Iterator[list[str]]:
    """Up to ``parts`` runs of two or more models, of about as many rows each; never all in one."""
    left = sum(counts.values())
    run: list[str] = []
    rows = 0
    for model in models:
        if run and parts > 1 and (rows + counts[model]) * parts > left:
            yield run
            left, parts = left - rows, parts - 1
            run, rows = [], 0
        run.append(model)
        rows += counts[model]
    yield run
