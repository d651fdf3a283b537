"""The second half of the job: the rows of a bucket become history rows and bins, part by part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from calhard.history.account import RowAccount
from calhard.history.ids import Ints, Keys
from calhard.measure.duplicates import settle
from calhard.measure.manifest import labels_of
from calhard.measure.measured import measure_rows
from calhard.measure.rows import STATE_COUNT, USED, PredictionRows, concatenate
from calhard.measure.settings import Settings
from calhard.measure.spill import Shape
from calhard.measure.spilled import SpillReader
from calhard.measure.tally import numbers_of
from calhard.schema import WHOLE_MODEL
from calhard.store import disk

BUCKET_ROWS = 2**20
"""Rows of a bucket: its arrays and those of one more make the memory of a worker."""
SLOT_ROWS = 2**18
MOST_SLOTS = 256
CHUNK_ROWS = 2**13
"""Rows of a batch of outcomes: what a merge holds of each bucket at a time."""


def slots_for(rows: int) -> int:
    """Return over how many slots about so many rows are scattered."""
    return min(max(rows // SLOT_ROWS, 1), MOST_SLOTS)


@dataclass(frozen=True, slots=True)
class Bucket:
    """Batches of spilled rows that are measured together."""

    index: int
    batches: Mapping[Path, list[int]]
    rows: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """History rows or bins in an Arrow file: its batches, by part, in the order of their keys."""

    path: Path
    batches: Mapping[str, tuple[int, ...]]
    tags: Mapping[str, frozenset[str]]
    """By part, the tags that have a value there."""


@dataclass(frozen=True, slots=True)
class MeasuredBucket:
    """What came of a bucket."""

    history: Outcome
    bins: Outcome
    states: Ints
    """(9,) int64: rows by their state, see `calhard.measure.rows`."""
    waiting: int
    """Of the rows that could be used those that wait for a full period of rows."""
    account: RowAccount
    """Rows that say again, or contradict, what another one says."""
    pairs: frozenset[tuple[str, str]]
    """Models and classes that have a row in the history, whole models left out."""
    rows: int
    """History rows and bins."""


@dataclass(frozen=True, slots=True)
class MeasureBucket:
    """Measures the rows of a bucket and leaves the outcome in ``folder``."""

    shape: Shape
    settings: Settings
    folder: Path
    numbers: Ints
    """The periods that are measured; rows of others were scattered before that was known."""

    def __call__(self, bucket: Bucket) -> MeasuredBucket:
        """Measure one bucket."""
        keys = Keys()
        settled = settle(self._rows(bucket, keys), keys)
        account, states = settled.account, np.bincount(settled.rows.state, minlength=STATE_COUNT)
        measured = measure_rows(settled.rows, keys, self.settings)
        del settled
        classes = measured.history.filter(pc.field("class_id") != WHOLE_MODEL)
        return MeasuredBucket(
            self._leave(measured.history, f"{bucket.index:06d}.history"),
            self._leave(measured.bins, f"{bucket.index:06d}.bins"),
            states,
            int(states[USED]) - int(pc.sum(classes["total_samples"]).as_py() or 0),
            account,
            _pairs(classes),
            measured.history.num_rows + measured.bins.num_rows,
        )

    def _rows(self, bucket: Bucket, keys: Keys) -> PredictionRows:
        reader = SpillReader(self.shape, keys)
        parts = []
        for path, batches in bucket.batches.items():
            rows = reader.read(path, batches)
            inside = np.isin(numbers_of(self.settings.period, rows.timestamp), self.numbers)
            parts.append(rows if inside.all() else rows.take(inside))
        return concatenate(parts)

    def _leave(self, table: pa.Table, name: str) -> Outcome:
        """Write a table part by part; within a part its rows keep their order."""
        table = table.combine_chunks()
        label = labels_of(self.settings.period, table["timestamp"].to_numpy().astype(np.int64))
        batches: dict[str, tuple[int, ...]] = {}
        tags: dict[str, frozenset[str]] = {}
        path = self.folder / name
        count = 0
        with disk.create(path) as file, pa.ipc.new_file(file, table.schema) as writer:
            for part in np.unique(label).tolist():
                rows = table.filter(pa.array(label == part))
                tags[part] = frozenset(t for t in self.shape.tags if _has(rows, t))
                chunks = rows.combine_chunks().to_batches(max_chunksize=CHUNK_ROWS)
                for chunk in chunks:
                    writer.write_batch(chunk)
                batches[part] = tuple(range(count, count + len(chunks)))
                count += len(chunks)
        return Outcome(path, batches, tags)


def _pairs(history: pa.Table) -> frozenset[tuple[str, str]]:
    distinct = history.group_by(["model_id", "class_id"]).aggregate([])
    columns = (distinct[name].to_pylist() for name in ("model_id", "class_id"))
    return frozenset(zip(*columns, strict=True))


def _has(rows: pa.Table, tag: str) -> bool:
    return tag in rows.schema.names and rows[tag].null_count < rows.num_rows


def read_outcome(outcome: Outcome, part: str) -> Iterator[pa.RecordBatch]:
    """Yield a part's batches, one in memory at a time: pages of a map would stay with us."""
    with pa.OSFile(str(outcome.path)) as source, pa.ipc.open_file(source) as opened:
        for index in outcome.batches.get(part, ()):
            yield opened.get_batch(index)
