"""Sorted rows on the disk: Parquet files that follow one another, row groups that cut no model."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from calhard.history.ids import Ints
from calhard.prepare.columns import ORIGIN
from calhard.prepare.keys import Key, start_of
from calhard.prepare.order import KeyNames, first_of_models, key_at
from calhard.store import disk

GROUP_ROWS = 2**17
"""Rows of a row group at most; a cut between two models is looked for in its second half."""


def part_name(label: str) -> str:
    """Return the name of a part's file; files are in the order of their labels."""
    return f"part-{label}.parquet"


@dataclass(frozen=True, slots=True)
class Part:
    """A file of a prepared history: the first key that it may hold, its rows, bytes, origins."""

    low: Key
    rows: int
    bytes: int
    origins: tuple[int, ...]
    """Numbers of the files that its rows come from."""


class _File:
    """One part that is being written: lz4 pages with checksums, plain but for text."""

    def __init__(self, path: Path, schema: pa.Schema, low: Key) -> None:
        text = [f.name for f in schema if pa.types.is_string(f.type) or f.name == ORIGIN]
        self.low, self.rows, self._path, self._schema = low, 0, path, schema
        self._origins: set[int] = set()
        self._file = disk.create(path)
        self._writer = pq.ParquetWriter(
            self._file, schema, compression="lz4", use_dictionary=text, write_page_checksum=True
        )

    def write(self, group: pa.Table) -> None:
        """Append a row group."""
        self._origins.update(pc.unique(group[ORIGIN]).to_pylist())
        self._writer.write_table(group.cast(self._schema, safe=False), row_group_size=GROUP_ROWS)
        self.rows += group.num_rows

    def close(self) -> Part:
        """Return the part, which is whole."""
        self._writer.close()
        self._file.close()
        origins = tuple(sorted(self._origins))
        return Part(self.low, self.rows, self._path.stat().st_size, origins)

    def abandon(self) -> None:
        """Close what is of no use; nor is a further complaint."""
        with suppress(OSError, ValueError, pa.ArrowException):
            try:
                self._writer.close()
            finally:
                self._file.close()


class PartSink:
    """Writes sorted rows into one part for every label, of about as many rows each.

    Memory stays at two row groups. A part ends between two models, but within a model that is
    larger than a row group. Of no rows there is no part.
    """

    def __init__(
        self,
        folder: Path,
        schema: pa.Schema,
        names: KeyNames,
        low: Key,
        labels: Sequence[str],
        rows: int,
    ) -> None:
        self.parts: dict[str, Part] = {}
        self._folder, self._schema, self._names = folder, schema, names
        self._low, self._labels = low, list(labels)
        self._share = rows / len(labels)
        self._waiting: list[pa.Table] = []
        self._rows = 0
        self._open: _File | None = None

    def write(self, table: pa.Table) -> None:
        """Append rows that are not before those that were written."""
        self._waiting.append(table)
        self._rows += table.num_rows
        if self._rows >= 2 * GROUP_ROWS:
            self._flush(GROUP_ROWS)

    def _flush(self, least: int) -> None:
        """Write row groups until fewer rows than ``least`` wait."""
        table = pa.concat_tables(self._waiting).combine_chunks()
        heads = np.flatnonzero(first_of_models(table, self._names))
        begin = 0
        while table.num_rows - begin >= max(least, 1):
            end = _cut(heads, begin, table.num_rows)
            self._write(table.slice(begin, end - begin))
            begin = end
        self._waiting = [table.slice(begin)]
        self._rows = table.num_rows - begin

    def _write(self, group: pa.Table) -> None:
        part = self._open
        if part is not None and self._is_full(part):
            self._low = self._first_key(group)
            self._close()
            part = None
        if part is None:
            path = self._folder / part_name(self._labels[0])
            self._open = part = _File(path, self._schema, self._low)
        part.write(group)
        self._last = key_at(group, group.num_rows - 1, self._names)

    def _is_full(self, part: _File) -> bool:
        return len(self._labels) > 1 and part.rows + GROUP_ROWS // 2 >= self._share

    def _first_key(self, group: pa.Table) -> Key:
        """The least key that a part may hold that begins with some rows."""
        first = key_at(group, 0, self._names)
        return first if first[0] == self._last[0] else start_of(first[0])

    def _close(self) -> None:
        if self._open is not None:
            self.parts[self._labels.pop(0)] = self._open.close()
            self._open = None

    def __enter__(self) -> Self:
        """Return the sink itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write what waits and close the last part; after an error close it as it is."""
        try:
            if error is None:
                if self._rows:
                    self._flush(1)
                self._close()
        finally:
            if self._open is not None:
                self._open.abandon()


def _cut(heads: Ints, begin: int, size: int) -> int:
    """Return where a row group ends: at the last model's begin in its second half, if any."""
    if size - begin <= GROUP_ROWS:
        return size
    place = int(np.searchsorted(heads, begin + GROUP_ROWS, side="right")) - 1
    if place >= 0 and heads[place] >= begin + GROUP_ROWS // 2:
        return int(heads[place])
    return begin + GROUP_ROWS
