"""What workers leave for the driver: Arrow streams in the run's scratch folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True, slots=True)
class Attempt:
    """Names of what one try at a shard leaves: no other try has them, of this run or another."""

    folder: Path
    name: str
    """The shard's; made of no model's name."""
    token: str = field(default_factory=lambda: uuid4().hex)

    def path(self, kind: str) -> Path:
        """Return the file of one kind.

        ``groups``, ``series`` (accumulators), ``judged`` or ``windows`` (values that are kept).
        """
        return self.folder / f"{self.name}.{self.token}.{kind}.arrow"


class BatchSink:
    """Writes record batches of one schema to a file; the first batch tells the schema."""

    def __init__(self, path: Path) -> None:
        self._file = pa.OSFile(str(path), "wb")
        self._writer: pa.RecordBatchStreamWriter | None = None

    def write(self, batch: pa.RecordBatch) -> None:
        """Append a batch."""
        if self._writer is None:
            self._writer = pa.ipc.new_stream(self._file, batch.schema)
        self._writer.write_batch(batch)

    def __enter__(self) -> Self:
        """Return the sink itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
        self._file.close()


PILE = 4_096
"""Groups judged at once: each head is one call for all of them."""


class Pile:
    """Gathers the batches of several blocks and writes them as one, groups and series alike."""

    def __init__(self, keys: BatchSink, series: BatchSink) -> None:
        self._keys, self._series = keys, series
        self._groups: list[pa.RecordBatch] = []
        self._rows: list[pa.RecordBatch] = []
        self._height = 0

    def add(self, groups: pa.RecordBatch, series: pa.RecordBatch) -> None:
        """Add a block's groups and its series, whose ``group`` counts from the block's first."""
        place = series.schema.get_field_index("group")
        shifted = pc.add(series.column(place), self._height)
        self._groups.append(groups)
        self._rows.append(series.set_column(place, "group", shifted))
        self._height += groups.num_rows
        if self._height >= PILE:
            self.write()

    def write(self) -> None:
        """Write what is there."""
        if self._groups:
            self._keys.write(pa.concat_batches(self._groups))
            self._series.write(pa.concat_batches(self._rows))
        self._groups, self._rows, self._height = [], [], 0


def read_batches(path: Path) -> Iterator[pa.RecordBatch]:
    """Yield a file's batches, mapped, not copied; none of an empty file."""
    if path.stat().st_size == 0:
        return
    with pa.memory_map(str(path)) as source:
        yield from pa.ipc.open_stream(source)


def drain_batches(path: Path) -> Iterator[pa.RecordBatch]:
    """Yield a file's batches, one in memory at a time, and remove it; none of an empty file."""
    if path.stat().st_size:
        with pa.OSFile(str(path)) as source:
            yield from pa.ipc.open_stream(source)
    path.unlink()
