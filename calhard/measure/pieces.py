"""What a worker reads at a time: files, or some row groups of a Parquet file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Protocol

import pyarrow.fs as pafs
import pyarrow.parquet as pq

from calhard.history.batches import open_parquet
from calhard.history.columns import ColumnPlan
from calhard.history.convert import EPOCH_LIMIT
from calhard.history.files import FAULTS, HistoryFile
from calhard.history.footers import column_ends
from calhard.schema import MICROSECONDS_PER_DAY

TASK_ROWS = 2**20
TASK_FILES = 64
ROW_BYTES = 40
"""A row of a file whose footer does not tell its rows; only a guess at how much work it is."""
ZONE_MARGIN_US = 2 * MICROSECONDS_PER_DAY
"""Statistics name local times; no zone is further from UTC, and a day is for doubt."""
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()


class Files(Protocol):
    """Files and where they hold their columns."""

    @property
    def filesystem(self) -> pafs.FileSystem:
        """Where they are."""
        ...

    @property
    def files(self) -> tuple[HistoryFile, ...]:
        """What they are."""
        ...

    @property
    def plans(self) -> tuple[ColumnPlan, ...]:
        """Their columns."""
        ...


@dataclass(frozen=True, slots=True)
class Piece:
    """A file, or some row groups of a Parquet file, and about how many rows that is."""

    file: int
    row_groups: tuple[int, ...] | None
    rows: int


@dataclass(frozen=True, slots=True)
class ScatterTask:
    """Pieces that one worker reads."""

    index: int
    pieces: tuple[Piece, ...]

    @property
    def rows(self) -> int:
        """About how many rows that is."""
        return sum(piece.rows for piece in self.pieces)

    def without(self, files: Iterable[int]) -> ScatterTask:
        """Return the same task less some files."""
        gone = frozenset(files)
        return replace(self, pieces=tuple(p for p in self.pieces if p.file not in gone))


@dataclass(frozen=True, slots=True)
class Groups:
    """A Parquet file's row groups: rows of each, and its latest instant where that is told."""

    rows: tuple[int, ...]
    latest_us: tuple[int | None, ...]


def row_groups(filesystem: pafs.FileSystem, file: HistoryFile, column: str | None) -> Groups | None:
    """Return a file's row groups; None where no footer tells. Instants only where ``column`` is.

    What is wrong with a footer is told by whoever reads the file.
    """
    if file.kind != "parquet":
        return None
    try:
        with open_parquet(filesystem, file.path) as opened:
            count = opened.num_row_groups
            rows = tuple(opened.metadata.row_group(g).num_rows for g in range(count))
            latest = tuple(_latest(opened, g, column) for g in range(count))
    except FAULTS:
        return None
    return Groups(rows, latest)


def _latest(opened: pq.ParquetFile, group: int, column: str | None) -> int | None:
    """The latest instant of a row group by its statistics, in microseconds of its own zone."""
    if column is None:
        return None
    try:
        _, latest = column_ends(opened, group, column)
    except FAULTS:  # nanoseconds that Python cannot hold
        return None
    if isinstance(latest, datetime):
        told = latest if latest.tzinfo is not None else latest.replace(tzinfo=UTC)
        return int(told.timestamp() * 1e6)
    if isinstance(latest, date):
        return (latest.toordinal() - _EPOCH_ORDINAL + 1) * MICROSECONDS_PER_DAY
    if isinstance(latest, int) and abs(latest) <= EPOCH_LIMIT:
        return latest * 1_000_000
    return None


@dataclass(frozen=True, slots=True)
class Plan:
    """The tasks of a round, about how many rows they read, and files of which a part is skipped."""

    tasks: tuple[ScatterTask, ...]
    rows: int
    skipped: frozenset[int] = frozenset()


def plan_scatter(reading: Files, sizes: Mapping[int, int], since_us: int | None = None) -> Plan:
    """Return tasks that read some files, of about `TASK_ROWS` rows each.

    Parameters
    ----------
    sizes : bytes of each file, by its index
    since_us : row groups that end before it by their statistics are not read
    """
    pieces: list[Piece] = []
    skipped = set()
    for file, size in sizes.items():
        column = reading.plans[file].source["timestamp"] if since_us is not None else None
        groups = row_groups(reading.filesystem, reading.files[file], column)
        if groups is None:
            pieces.append(Piece(file, None, max(size // ROW_BYTES, 1)))
            continue
        chosen = [g for g, latest in enumerate(groups.latest_us) if not _is_old(latest, since_us)]
        if len(chosen) < len(groups.rows):
            skipped.add(file)
        pieces += _pieces(file, chosen, groups.rows)
    tasks = tuple(ScatterTask(i, tuple(p)) for i, p in enumerate(_together(pieces)))
    return Plan(tasks, sum(piece.rows for piece in pieces), frozenset(skipped))


def _is_old(latest: int | None, since_us: int | None) -> bool:
    return latest is not None and since_us is not None and latest + ZONE_MARGIN_US < since_us


def _pieces(file: int, groups: Sequence[int], rows: Sequence[int]) -> list[Piece]:
    """A file's row groups, in runs of up to `TASK_ROWS` rows; one piece even where there is none.

    Somebody has to look at a file to say that it holds nothing.
    """
    if sum(rows[g] for g in groups) <= TASK_ROWS:
        told = tuple(groups) if len(groups) < len(rows) else None
        return [Piece(file, told, sum(rows[g] for g in groups))]
    found: list[Piece] = []
    run: list[int] = []
    held = 0
    for group in groups:
        if run and held + rows[group] > TASK_ROWS:
            found.append(Piece(file, tuple(run), held))
            run, held = [], 0
        run.append(group)
        held += rows[group]
    return [*found, Piece(file, tuple(run), held)]


def _together(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    """Small pieces that one task reads together."""
    task: list[Piece] = []
    held = 0
    for piece in pieces:
        if task and (held + piece.rows > TASK_ROWS or len(task) == TASK_FILES):
            yield task
            task, held = [], 0
        task.append(piece)
        held += piece.rows
    if task:
        yield task
