"""Rows on their way from files to parts: by ranges of keys, in Arrow files that are mapped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa

from calhard.history.ids import Ints, Keys
from calhard.prepare.columns import spilled
from calhard.prepare.keys import Bounds, Ranger
from calhard.prepare.rows import Placed
from calhard.store import disk

SPILL_ROWS = 2**18
SPILL_BYTES = 2**26
"""Rows and bytes that wait, at most, before they are brought in order and written."""

Batches = Mapping[Path, tuple[int, ...]]
"""Batches of spilled files."""


@dataclass(frozen=True, slots=True)
class Spill:
    """A file of rows; ``ranges`` and ``rows`` tell of each of its batches, in order."""

    path: Path
    ranges: Ints
    rows: Ints


class SpillWriter:
    """Writes rows to one file, a batch for every range as far as they wait together."""

    def __init__(self, path: Path, schema: pa.Schema, bounds: Bounds, keys: Keys) -> None:
        self._path, self._ranger = path, Ranger(bounds, keys)
        self._waiting: list[Placed] = []
        self._rows = self._bytes = 0
        self._written: list[tuple[int, int]] = []
        self._file = disk.create(path)
        self._writer = pa.ipc.new_file(self._file, spilled(schema))

    def write(self, rows: Placed) -> None:
        """Append rows."""
        self._waiting.append(rows)
        self._rows += len(rows)
        self._bytes += rows.table.nbytes
        if self._rows >= SPILL_ROWS or self._bytes >= SPILL_BYTES:
            self._flush()

    def _flush(self) -> None:
        if not self._waiting:
            return
        table = pa.Table.from_batches([part.table for part in self._waiting])
        pair, stamp = (
            np.concatenate([getattr(part, name) for part in self._waiting])
            for name in ("pair", "timestamp")
        )
        self._waiting, self._rows, self._bytes = [], 0, 0
        found = self._ranger.ranges_of(pair, stamp)
        table = table.combine_chunks()
        if (found[1:] < found[:-1]).any():
            order = np.argsort(found, kind="stable")
            table, found = table.take(pa.array(order)), found[order]
        ends = np.append(np.flatnonzero(found[1:] != found[:-1]) + 1, len(found)).tolist()
        begin = 0
        for end in ends:
            (batch,) = table.slice(begin, end - begin).combine_chunks().to_batches()
            self._writer.write_batch(batch)
            self._written.append((int(found[begin]), end - begin))
            begin = end

    def spill(self) -> Spill:
        """Return what was written; only after the file is closed."""
        told = np.array(self._written, np.int64).reshape(-1, 2)
        return Spill(self._path, told[:, 0], told[:, 1])

    def __enter__(self) -> Self:
        """Return the writer itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write what waits; after an error close the file as it is."""
        try:
            if error is None:
                self._flush()
                self._writer.close()
        finally:
            self._file.close()


def by_range(spills: Iterable[Spill], ranges: int) -> tuple[Ints, list[Batches]]:
    """Return the rows of every range, and the batches that hold them."""
    rows = np.zeros(ranges, np.int64)
    found: list[dict[Path, tuple[int, ...]]] = [{} for _ in range(ranges)]
    for spill in spills:
        np.add.at(rows, spill.ranges, spill.rows)
        for batch, place in enumerate(spill.ranges.tolist()):
            found[place][spill.path] = (*found[place].get(spill.path, ()), batch)
    return rows, list(found)


def read_spilled(batches: Batches) -> Iterator[pa.RecordBatch]:
    """Yield the batches of a range, mapped, not read."""
    for path, chosen in batches.items():
        with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as opened:
            for index in chosen:
                yield opened.get_batch(index)
