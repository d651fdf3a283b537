"""Tables on disk: row groups of fixed size, so that bytes do not depend on how batches arrive."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

from calhard.store import disk

ROW_GROUP = 65_536


class TableSink:
    """Writes one Parquet file batch by batch; memory stays at a row group.

    ``encodings`` names those of columns that are not to be plain; text is dictionaries.
    """

    def __init__(
        self, path: Path, schema: pa.Schema, encodings: Mapping[str, str] | None = None
    ) -> None:
        text = [f.name for f in schema if pa.types.is_string(f.type)]
        self.rows = 0
        self._schema = schema
        self._waiting: list[pa.Table] = []
        self._waiting_rows = 0
        self._file = disk.create(path)
        self._writer = pq.ParquetWriter(
            self._file,
            schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=text,
            column_encoding=dict(encodings) if encodings else None,
            write_page_checksum=True,
        )

    def write(self, part: pa.Table | pa.RecordBatch) -> None:
        """Append rows."""
        table = pa.Table.from_batches([part]) if isinstance(part, pa.RecordBatch) else part
        self._waiting.append(table.select(self._schema.names).cast(self._schema))
        self._waiting_rows += table.num_rows
        self.rows += table.num_rows
        if self._waiting_rows >= ROW_GROUP:
            self._flush(self._waiting_rows - self._waiting_rows % ROW_GROUP)

    def _flush(self, rows: int) -> None:
        table = pa.concat_tables(self._waiting).combine_chunks()
        if rows:
            self._writer.write_table(table.slice(0, rows), row_group_size=ROW_GROUP)
        self._waiting = [table.slice(rows)]
        self._waiting_rows -= rows

    def __enter__(self) -> Self:
        """Return the sink itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write what waits and close the file; after an error close it as it is."""
        try:
            if error is None:
                if self._waiting:
                    self._flush(self._waiting_rows)
                self._writer.close()
                self._file.close()
        finally:
            self._abandon()

    def _abandon(self) -> None:
        """Close what is open still; the file is of no use, nor is a further complaint."""
        with suppress(OSError, ValueError, pa.ArrowException):
            try:
                self._writer.close()
            finally:
                self._file.close()
