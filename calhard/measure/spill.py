"""Rows on their way from files to buckets: sorted by slot, in files that are mapped, not read.

A slot is a hash of model and period. All classes of a model in a period lie in one slot, whatever
file they came from, so that a bucket of slots can be measured by itself.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from calhard.history.ids import Ints, Keys
from calhard.measure.periods import Period
from calhard.measure.rows import NO_EXAMPLE, PredictionRows
from calhard.measure.tally import numbers_of
from calhard.store import disk

SPILL_ROWS = 2**19
"""Rows that wait before they are sorted by slot and written."""
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
NAMES = pa.schema([("first", pa.large_string()), ("second", pa.large_string())])


@dataclass(frozen=True, slots=True)
class Shape:
    """What spilled rows carry, the same in every file of a run, and over how many slots."""

    period: Period
    slots: int
    tags: tuple[str, ...]
    weighted: bool
    examples: bool

    @property
    def schema(self) -> pa.Schema:
        """Columns of a file of rows."""
        fields = [
            pa.field("pair", pa.int32()),
            pa.field("timestamp", pa.int64()),
            pa.field("score", pa.float64()),
            pa.field("label", pa.float64()),
            pa.field("state", pa.int8()),
        ]
        if self.weighted:
            fields.append(pa.field("weight", pa.float64()))
        if self.examples:
            fields.append(pa.field("example", pa.int64()))
        return pa.schema([*fields, *(pa.field(f"tag:{tag}", pa.int32()) for tag in self.tags)])


@dataclass(frozen=True, slots=True)
class Spill:
    """A file of rows; ``slot`` and ``rows`` tell of each of its batches, in order."""

    path: Path
    slot: Ints
    rows: Ints


def slot_of(crc: NDArray[np.uint64], number: Ints, slots: int) -> NDArray[np.uint16]:
    """Return the slot of each row: a mix of its model's checksum and its period's number.

    Source: Steele, Lea & Flood 2014 (SplitMix64's finaliser).
    """
    mixed = (crc << np.uint64(32)) ^ number.astype(np.uint64)
    for factor, shift in zip(_MIX, (30, 27), strict=True):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * factor
    mixed ^= mixed >> np.uint64(31)
    return (mixed % np.uint64(slots)).astype(np.uint16)


class SpillWriter:
    """Writes rows to one file, sorted by slot as far as they wait together."""

    def __init__(self, path: Path, shape: Shape, keys: Keys) -> None:
        self._path, self._shape, self._keys = path, shape, keys
        self._crc = np.zeros(0, np.uint64)
        self._waiting: list[PredictionRows] = []
        self._waiting_rows = 0
        self._slot: list[int] = []
        self._rows: list[int] = []
        self._file = disk.create(path)
        self._writer = pa.ipc.new_file(self._file, shape.schema)

    def write(self, rows: PredictionRows) -> None:
        """Append rows."""
        self._waiting.append(rows)
        self._waiting_rows += len(rows)
        if self._waiting_rows >= SPILL_ROWS:
            self._flush()

    def _flush(self) -> None:
        if not self._waiting_rows:
            return
        columns = self._columns(self._waiting)
        self._waiting, self._waiting_rows = [], 0
        number = numbers_of(self._shape.period, columns["timestamp"])
        if self._shape.slots > 1:
            slot = slot_of(self._checksums()[columns["pair"]], number, self._shape.slots)
            order = np.argsort(slot, kind="stable")
            columns = {name: column[order] for name, column in columns.items()}
            counts = np.bincount(slot, minlength=self._shape.slots)
        else:
            counts = np.array([len(number)])
        end = 0
        for place in np.flatnonzero(counts).tolist():
            begin, end = end, end + int(counts[place])
            batch = [pa.array(column[begin:end]) for column in columns.values()]
            self._writer.write_batch(pa.RecordBatch.from_arrays(batch, schema=self._shape.schema))
            self._slot.append(place)
            self._rows.append(end - begin)

    def _columns(self, parts: Sequence[PredictionRows]) -> dict[str, NDArray[Any]]:
        shape = self._shape
        columns: dict[str, NDArray[Any]] = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in ("pair", "timestamp", "score", "label", "state")
        }
        if shape.weighted:
            columns["weight"] = np.concatenate([_or(p.weight, len(p), 1.0) for p in parts])
        if shape.examples:
            columns["example"] = np.concatenate([_or(p.example, len(p), NO_EXAMPLE) for p in parts])
        for tag in shape.tags:
            columns[f"tag:{tag}"] = np.concatenate([p.tags[tag] for p in parts])
        return columns

    def _checksums(self) -> NDArray[np.uint64]:
        """The checksum of each pair's model."""
        new = self._keys.pairs[len(self._crc) :]
        if new:
            found = np.array([zlib.crc32(model.encode()) for model, _ in new], np.uint64)
            self._crc = np.concatenate((self._crc, found))
        return self._crc

    def spill(self) -> Spill:
        """Return what was written; only after the file is closed."""
        return Spill(self._path, np.array(self._slot, np.int64), np.array(self._rows, np.int64))

    def __enter__(self) -> Self:
        """Return the writer itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write what waits, and the names; after an error close the file as it is."""
        try:
            if error is None:
                self._flush()
                self._writer.close()
                self._write_names()
        finally:
            self._file.close()

    def _write_names(self) -> None:
        """Write what the codes mean: a batch of pairs, then one for each tag."""
        models = [model for model, _ in self._keys.pairs]
        classes = [class_ for _, class_ in self._keys.pairs]
        with (
            disk.create(names_path(self._path)) as file,
            pa.ipc.new_file(file, NAMES) as writer,
        ):
            writer.write_batch(_named(models, classes))
            for tag in self._shape.tags:
                words = self._keys.words.get(tag, [])
                writer.write_batch(_named(words, [None] * len(words)))


def _or(column: NDArray[Any] | None, size: int, default: float) -> NDArray[Any]:
    if column is not None:
        return column
    return np.full(size, default, np.int64 if isinstance(default, int) else np.float64)


def _named(first: Sequence[str], second: Sequence[str | None]) -> pa.RecordBatch:
    columns = [pa.array(column, pa.large_string()) for column in (first, second)]
    return pa.RecordBatch.from_arrays(columns, schema=NAMES)


def names_path(path: Path) -> Path:
    """Return where the names of a file of rows are."""
    return path.with_suffix(".names")
