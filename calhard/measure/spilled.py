"""Spilled rows are read back, bucket by bucket."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from calhard.history.ids import Codes, Ints, Keys
from calhard.measure.rows import PredictionRows
from calhard.measure.spill import Shape, Spill, names_path


@dataclass(slots=True)
class SpillReader:
    """Reads chosen batches of spilled files; codes are those of ``keys``."""

    shape: Shape
    keys: Keys
    _words: dict[str, dict[int, int]] = field(default_factory=dict)

    def read(self, path: Path, batches: Sequence[int]) -> PredictionRows:
        """Return the rows of some batches of a file, at least one."""
        with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as opened:
            parts = [opened.get_batch(index) for index in batches]
            columns: dict[str, NDArray[Any]] = {
                name: np.concatenate([part.column(name).to_numpy() for part in parts])
                for name in self.shape.schema.names
            }
        with pa.memory_map(str(names_path(path))) as source, pa.ipc.open_file(source) as opened:
            names = (opened.get_batch(index) for index in range(opened.num_record_batches))
            pair = self._pairs(columns["pair"], next(names))
            tags = {
                tag: self._tagged(tag, columns[f"tag:{tag}"], words)
                for tag, words in zip(self.shape.tags, names, strict=True)
            }
        return PredictionRows(
            pair,
            columns["timestamp"],
            columns["score"],
            columns["label"],
            columns.get("weight"),
            columns["state"],
            columns.get("example"),
            tags,
        )

    def _pairs(self, code: Codes, names: pa.RecordBatch) -> Codes:
        used, place = _used(code, names.num_rows)
        chosen = names.take(pa.array(used))
        pairs = zip(*(column.to_pylist() for column in chosen.columns), strict=True)
        return np.array([self.keys.pair(*pair) for pair in pairs], np.int32)[place]

    def _tagged(self, tag: str, code: Codes, names: pa.RecordBatch) -> Codes:
        used, place = _used(code, names.num_rows)
        there = used >= 0
        words = names.column(0).take(pa.array(used[there])).to_pylist()
        codes = np.full(len(used), -1, np.int32)
        codes[there] = [self.keys.word(tag, word) for word in words]
        return codes[place]


def _used(code: Codes, names: int) -> tuple[Ints, Ints]:
    """Return the distinct codes, ascending, and each row's place among them; −1 is one, too."""
    if names > 4 * len(code):
        used, place = np.unique(code, return_inverse=True)
        return used.astype(np.int64), place
    there = np.bincount(code.astype(np.int64) + 1, minlength=names + 1) > 0
    place = np.cumsum(there) - 1
    return np.flatnonzero(there) - 1, place[code.astype(np.int64) + 1]


def bucketed(spills: Sequence[Spill], most: int) -> Iterator[tuple[int, dict[Path, list[int]]]]:
    """Yield (rows, batches of each file) of buckets: slots in order, up to ``most`` rows together.

    A bucket of one slot may be larger.
    """
    if not spills:
        return
    slot = np.concatenate([spill.slot for spill in spills])
    rows = np.concatenate([spill.rows for spill in spills])
    file = np.repeat(np.arange(len(spills)), [len(spill.slot) for spill in spills])
    batch = np.concatenate([np.arange(len(spill.slot)) for spill in spills])
    total = np.bincount(slot, weights=rows).astype(np.int64)
    for begin, end in _packed(total, most):
        which = np.flatnonzero((slot >= begin) & (slot < end))
        chosen: dict[Path, list[int]] = {}
        for f, b in zip(file[which].tolist(), batch[which].tolist(), strict=True):
            chosen.setdefault(spills[f].path, []).append(b)
        if chosen:
            yield int(rows[which].sum()), chosen


def _packed(total: Ints, most: int) -> Iterator[tuple[int, int]]:
    """Ranges of slots that hold up to ``most`` rows."""
    begin, held = 0, 0
    for slot, rows in enumerate(total.tolist()):
        if held and held + rows > most:
            yield begin, slot
            begin, held = slot, 0
        held += rows
    yield begin, len(total)
