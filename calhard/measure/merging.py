"""Sorted runs of rows become one, a slice of each in memory at a time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

Key = tuple[Any, ...]


@dataclass(slots=True)
class _Run:
    """A sorted run: the batch at hand, of which the rows from ``place`` on are left."""

    batches: Iterator[pa.RecordBatch]
    keys: Sequence[str]
    batch: pa.RecordBatch
    place: int = 0

    @classmethod
    def begun(cls, batches: Iterator[pa.RecordBatch], keys: Sequence[str]) -> Iterator[_Run]:
        """Yield a run if it has any row."""
        first = next(batches, None)
        if first is not None:
            run = cls(batches, keys, first)
            if run.advance():
                yield run

    def advance(self) -> bool:
        """Take up the next batch if the one at hand is used up; return whether rows are left."""
        while self.place == self.batch.num_rows:
            batch = next(self.batches, None)
            if batch is None:
                return False
            self.batch, self.place = batch, 0
        return True

    def _key(self, row: int) -> Key:
        return tuple(_plain(self.batch.column(name)[row]) for name in self.keys)

    @property
    def last(self) -> Key:
        """The greatest key at hand."""
        return self._key(self.batch.num_rows - 1)

    def through(self, bound: Key) -> pa.RecordBatch:
        """Return the rows at hand up to a key, which are used up with that."""
        rows = range(self.batch.num_rows)
        end = bisect_right(rows, bound, lo=self.place, key=self._key)
        found = self.batch.slice(self.place, end - self.place)
        self.place = end
        return found


def _plain(cell: pa.Scalar) -> Any:
    """A timestamp as the integer that it is; Python would make a slow object of it."""
    return cell.value if pa.types.is_timestamp(cell.type) else cell.as_py()


def merged(
    runs: Sequence[Iterator[pa.RecordBatch]], keys: Sequence[str], schema: pa.Schema
) -> Iterator[pa.Table]:
    """Yield the rows of sorted runs in the order of their keys, of which no two are equal.

    Columns of ``schema`` that a run lacks are null. Every step takes from each run what is not
    beyond the least of their batches' ends: nothing smaller can follow.
    """
    at_hand = [run for batches in runs for run in _Run.begun(batches, keys)]
    while at_hand:
        bound = min(run.last for run in at_hand)
        step = [part for part in (run.through(bound) for run in at_hand) if part.num_rows]
        table = pa.concat_tables(_fitted(part, schema) for part in step)
        if len(step) > 1:
            order = [(name, "ascending") for name in keys]
            table = table.take(pc.sort_indices(table, sort_keys=order))
        yield table
        at_hand = [run for run in at_hand if run.advance()]


def _fitted(batch: pa.RecordBatch, schema: pa.Schema) -> pa.Table:
    names = batch.schema.names
    columns = [
        batch.column(field.name) if field.name in names else pa.nulls(batch.num_rows, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)
