"""What workers do: draw a sample of keys, scatter rows over ranges, write the parts of ranges."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from calhard.errors import InputError
from calhard.history.account import RowAccount
from calhard.history.blocks import BadFile
from calhard.history.files import FAULTS
from calhard.history.ids import Ints, Keys
from calhard.measure.pieces import ScatterTask
from calhard.prepare.columns import ORIGIN, spilled
from calhard.prepare.keys import Bounds, Key
from calhard.prepare.order import KeyNames, in_order, merged
from calhard.prepare.rows import PrepareReading, draw_keys, read_placed
from calhard.prepare.sink import Part, PartSink, part_name
from calhard.prepare.spill import Batches, Spill, SpillWriter, read_spilled


@dataclass(frozen=True, slots=True)
class Sample:
    """Draws one row of about ``step``, at random and always the same ones; returns their keys.

    What cannot be read is told by whoever scatters it.
    """

    reading: PrepareReading
    step: int

    def __call__(self, task: ScatterTask) -> list[Key]:
        """Draw from one task."""
        rng, share = np.random.default_rng(task.index), 1.0 / self.step
        found: list[Key] = []
        for piece in task.pieces:
            try:
                found += draw_keys(self.reading, piece.file, piece.row_groups, share, rng)
            except BadFile:
                continue
        return found


@dataclass(frozen=True, slots=True)
class Scattered:
    """What a task left behind: its spill, and of each of its files what became of the rows."""

    task: ScatterTask
    spill: Spill | None
    accounts: tuple[tuple[int, RowAccount], ...]
    broken: tuple[int, str, str] | None = None
    """(file, reason, remedy) of a file that broke; nothing of the task is of use then."""


@dataclass(frozen=True, slots=True)
class Scatter:
    """Reads a task's pieces and leaves their rows in ``folder``, by ranges of keys."""

    reading: PrepareReading
    bounds: Bounds
    folder: Path
    attempt: str
    """Part of the names of what it leaves: tasks of several rounds have the same numbers."""

    def __call__(self, task: ScatterTask) -> Scattered:
        """Scatter one task; a file that breaks in the middle ends it."""
        keys = Keys()
        path = self.folder / f"{self.attempt}-{task.index:06d}.rows"
        accounts = []
        with SpillWriter(path, self.reading.schema, self.bounds, keys) as writer:
            for piece in task.pieces:
                account = RowAccount()
                try:
                    groups = piece.row_groups
                    for rows in read_placed(self.reading, piece.file, keys, account, groups):
                        writer.write(rows)
                except BadFile as e:
                    return Scattered(task, None, (), (piece.file, e.reason, e.remedy))
                accounts.append((piece.file, account))
        return Scattered(task, writer.spill(), tuple(accounts))


@dataclass(frozen=True, slots=True)
class WriteTask:
    """Ranges whose rows make one part, or several; ``old`` is the part that they stand in."""

    index: int
    low: Key
    labels: tuple[str, ...]
    ranges: tuple[Batches, ...]
    rows: int
    old: str | None = None


@dataclass(frozen=True, slots=True)
class WriteParts:
    """Brings the rows of a task in order and writes its parts to ``staged``."""

    schema: pa.Schema
    names: KeyNames
    folder: Path
    """Where the old parts are."""
    staged: Path
    replaced: frozenset[int]
    """Origins whose old rows are left out."""

    def __call__(self, task: WriteTask) -> dict[str, Part]:
        """Write the parts of one task; none where no row is left.

        Raises
        ------
        InputError
            The old part cannot be read.
        """
        schema = spilled(self.schema)
        new = (t for t in (self._sorted(b, schema) for b in task.ranges) if t.num_rows)
        old = iter([]) if task.old is None else self._old(task.old, schema)
        sink = PartSink(
            self.staged, self.schema, self.names, task.low, task.labels, max(task.rows, 1)
        )
        with sink:
            for table in merged(old, new, self.names):
                sink.write(table)
        return sink.parts

    def _sorted(self, batches: Batches, schema: pa.Schema) -> pa.Table:
        return in_order(pa.Table.from_batches(read_spilled(batches), schema), self.names)

    def _old(self, label: str, schema: pa.Schema) -> Iterator[pa.Table]:
        """Yield what stays of an old part, a row group at a time."""
        path = self.folder / part_name(label)
        try:
            with pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False) as opened:
                for group in range(opened.num_row_groups):
                    table = opened.read_row_group(group, use_threads=False)
                    yield _fitted(self._kept(table), schema)
        except FAULTS as e:
            if isinstance(e, OSError) and e.errno:
                raise  # of the system, not of the bytes
            told = (str(e).splitlines() or [type(e).__name__])[0][:200]
            raise InputError(
                f"{path}: cannot be read ({told}); put the file back, or prepare everything anew "
                "with --force"
            ) from e

    def _kept(self, table: pa.Table) -> pa.Table:
        origin: Ints = table[ORIGIN].to_numpy()
        gone = np.isin(origin, sorted(self.replaced))
        return table.filter(pa.array(~gone)) if gone.any() else table


def _fitted(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return a table with the columns of a schema; those that it lacks are null."""
    columns = [
        table[field.name].cast(field.type, safe=False)
        if field.name in table.schema.names
        else pa.chunked_array([pa.nulls(table.num_rows, field.type)])
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)
