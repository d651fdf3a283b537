"""A large table on disk: parts of a fixed number of rows, whatever the batches they came in."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa

from calhard.store.tables import ROW_GROUP, TableSink

PART_ROWS = 16 * ROW_GROUP


class PartedSink:
    """Writes ``part-00000.parquet``, ``part-00001.parquet``, …; memory stays at a row group.

    There is always a first part, with no row if need be, so that the schema is known.
    ``rows`` tells the rows of every part by its name.
    """

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self.rows: dict[str, int] = {}
        self._folder = folder
        self._schema = schema
        self._sink = self._next()

    def _next(self) -> TableSink:
        self._name = f"part-{len(self.rows):05d}.parquet"
        return TableSink(self._folder / self._name, self._schema, compact_encodings(self._schema))

    def write(self, part: pa.Table | pa.RecordBatch) -> None:
        """Append rows."""
        while part.num_rows:
            if self._sink.rows == PART_ROWS:
                self._close(None)
                self._sink = self._next()
            room = PART_ROWS - self._sink.rows
            self._sink.write(part.slice(0, room))
            part = part.slice(room)

    def _close(self, error: BaseException | None) -> None:
        self._sink.__exit__(None if error is None else type(error), error, None)
        self.rows[self._name] = self._sink.rows

    def __enter__(self) -> Self:
        """Return the sink itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write what waits and close the last part."""
        self._close(error)


def compact_encodings(schema: pa.Schema) -> dict[str, str]:
    """Return the encodings by which sorted series take least room and time.

    Measured on hourly series of eight floats, zstd 1: 35 bytes and 196 ns a row, where plain pages
    take 40 and 206.
    """
    by_column = {}
    for field in schema:
        if pa.types.is_floating(field.type):
            by_column[field.name] = "BYTE_STREAM_SPLIT"
        elif pa.types.is_timestamp(field.type) or pa.types.is_integer(field.type):
            by_column[field.name] = "DELTA_BINARY_PACKED"
    return by_column
