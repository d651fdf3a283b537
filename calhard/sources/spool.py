"""Rows on their way to sorted Parquet: spooled as they come, then sorted range by range of models.

Neither holds more than a range of rows in memory, however long the history is.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import ipc

from calhard.schema import CANONICAL
from calhard.sources.rows import Rows
from calhard.store import disk

TIME = pa.timestamp("ms", tz="UTC")
VERSION, SAMPLES = "model_version", "total_samples"
BATCH_ROWS = 2**16
RANGE_ROWS = 2**20
"""Rows that are sorted at a time; a model that has more is sorted alone."""
GROUP_ROWS = 2**17


class Spool:
    """Writes rows as they come; ``columns`` are those of values, the metrics first."""

    def __init__(self, path: Path, columns: Sequence[str], tags: Sequence[str]) -> None:
        text = [(name, pa.string()) for name in (VERSION, *tags)]
        numbers = [(name, pa.float64()) for name in columns]
        keys = [("model_id", pa.string()), ("class_id", pa.string()), ("timestamp", TIME)]
        self.schema = pa.schema([*keys, *numbers, *text], CANONICAL)
        self.columns, self.tags = tuple(columns), tuple(tags)
        self.rows, self.models = 0, Counter[str]()
        self._path, self._used, self._waiting = path, set[str](), list[pa.RecordBatch]()
        self._writer = ipc.new_file(str(path), self.schema)

    def __enter__(self) -> Self:
        """Return the spool."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """Close the file; it stays in the folder of the fetch, which goes as a whole."""
        self._writer.close()

    def write(self, rows: Rows) -> None:
        """Append rows."""
        if not len(rows.ms):
            return
        batch = self._batch(rows)
        for owner, count in zip(*np.unique(rows.owner, return_counts=True), strict=True):
            self.models[rows.owners[owner].model_id] += int(count)
        self._used |= {n for n in self.schema.names if batch[n].null_count < batch.num_rows}
        self.rows += batch.num_rows
        self._waiting.append(batch)
        if sum(b.num_rows for b in self._waiting) >= BATCH_ROWS:
            self._flush()

    def _batch(self, rows: Rows) -> pa.RecordBatch:
        owners = rows.owners
        words = {
            "model_id": [o.model_id for o in owners],
            "class_id": [o.class_id for o in owners],
            VERSION: [o.model_version for o in owners],
            **{name: [o.tags[i] for o in owners] for i, name in enumerate(self.tags)},
        }
        fields = {n: pa.array(w, pa.string()).take(pa.array(rows.owner)) for n, w in words.items()}
        fields["timestamp"] = pa.array(rows.ms).cast(TIME)
        for index, name in enumerate(self.columns):
            fields[name] = pa.array(rows.values[:, index], mask=~rows.there[:, index])
        if SAMPLES in fields:
            own = pa.array([o.samples for o in owners], pa.float64()).take(pa.array(rows.owner))
            fields[SAMPLES] = pc.coalesce(fields[SAMPLES], own)
        return pa.RecordBatch.from_arrays(
            [fields[name] for name in self.schema.names], schema=self.schema
        )

    def _flush(self) -> None:
        whole = pa.Table.from_batches(self._waiting, self.schema).combine_chunks()
        self._writer.write_table(whole, BATCH_ROWS)
        self._waiting = []

    def sort_into(self, folder: Path) -> Path:
        """Write all rows to one Parquet file, sorted, named by its content; the spool is spent.

        The same rows give the same bytes, name and time of change, in whatever order they came.
        """
        if self._waiting:
            self._flush()
        self._writer.close()
        names = [name for name in self.schema.names if name in self._used]
        schema = pa.schema([self.schema.field(name) for name in names], CANONICAL)
        text = [f.name for f in schema if pa.types.is_string(f.type)]
        half = folder / "_half.parquet"
        with pq.ParquetWriter(
            half, schema, compression="lz4", use_dictionary=text, write_page_checksum=True
        ) as writer:
            for first, last in ranges(self.models):
                found = self._between(first, last, schema)
                writer.write_table(found, row_group_size=GROUP_ROWS)
        disk.remove(self._path)
        whole = folder / f"logged-{_digest(half)}.parquet"
        os.utime(half, ns=(0, 0))  # what goes on with an audit that died knows a file by its time
        disk.replace(half, whole)
        return whole

    def _between(self, first: str, last: str, schema: pa.Schema) -> pa.Table:
        """Return the sorted rows of the models from ``first`` to ``last``."""
        kept = [batch for batch in self._picked(first, last) if batch.num_rows]
        table = pa.Table.from_batches(kept, self.schema).select(schema.names)
        order = [(name, "ascending") for name in schema.names]  # the keys come first
        return table.take(pc.sort_indices(table, sort_keys=order)).replace_schema_metadata(
            CANONICAL
        )

    def _picked(self, first: str, last: str) -> Iterator[pa.RecordBatch]:
        with pa.memory_map(str(self._path)) as source:
            opened = ipc.open_file(source)
            for index in range(opened.num_record_batches):
                batch = opened.get_batch(index)
                models = batch["model_id"]
                inside = pc.and_(pc.greater_equal(models, first), pc.less_equal(models, last))
                yield batch.filter(inside)


def ranges(models: Counter[str]) -> Iterator[tuple[str, str]]:
    """Yield the first and last model of every range that is sorted at a time."""
    names = sorted(models, key=str.encode)  # as arrow compares text
    begin, rows = 0, 0
    for end, name in enumerate(names):
        if rows and rows + models[name] > RANGE_ROWS:
            yield names[begin], names[end - 1]
            begin, rows = end, 0
        rows += models[name]
    if names:
        yield names[begin], names[-1]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
