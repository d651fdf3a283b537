"""The last step: a part's new rows and what stays of the old ones, in order, in a new file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from calhard.errors import InputError
from calhard.history.ids import Ints
from calhard.measure.buckets import Outcome, read_outcome
from calhard.measure.folder import BINS as BINS_FOLDER
from calhard.measure.folder import part_name
from calhard.measure.manifest import MANIFEST, File, Part
from calhard.measure.merging import merged
from calhard.measure.settings import Settings
from calhard.measure.tables import BINS, history_schema
from calhard.measure.tally import numbers_of
from calhard.store.parts import compact_encodings
from calhard.store.reader import sha256_of
from calhard.store.tables import ROW_GROUP, TableSink

KEYS = ("model_id", "class_id", "timestamp")


@dataclass(frozen=True, slots=True)
class MergeTask:
    """A part, and what is there of it: None where there is nothing."""

    label: str
    old: Part | None


@dataclass(frozen=True, slots=True)
class MergePart:
    """Writes a part and its bins to ``staged``; what is the same as the old one is left out."""

    settings: Settings
    folder: Path
    """Where the old parts are."""
    staged: Path
    history: tuple[Outcome, ...]
    bins: tuple[Outcome, ...]
    measured: Ints
    """Numbers of the periods whose old rows are replaced."""

    def __call__(self, task: MergeTask) -> Part | None:
        """Merge one part; None where no row is left.

        Raises
        ------
        InputError
            The old part is not what was written.
        """
        name, old = part_name(task.label), task.old
        bins_name = f"{BINS_FOLDER}/{name}"
        if old is not None:
            self._check(name, old.history)
            self._check(bins_name, old.bins)
        schema = history_schema(self.settings.plan.measure.extras, self._tags(task))
        before = None if old is None else old.history
        history = self._merge(task.label, name, before, self.history, schema, KEYS)
        before = None if old is None else old.bins
        bins = self._merge(task.label, bins_name, before, self.bins, BINS, (*KEYS, "bin"))
        if not history.rows:
            for empty in (name, bins_name):
                (self.staged / empty).unlink()
            return None
        return Part(history, bins)

    def _merge(
        self,
        label: str,
        name: str,
        old: File | None,
        outcomes: Sequence[Outcome],
        schema: pa.Schema,
        keys: Sequence[str],
    ) -> File:
        """Write one file; it is gone again where it is the same as the old one."""
        runs = [read_outcome(o, label) for o in outcomes if label in o.batches]
        if old is not None:
            runs.append(self._kept(self.folder / name))
        path = self.staged / name
        with TableSink(path, schema, compact_encodings(schema)) as sink:
            for table in merged(runs, keys, schema):
                sink.write(table)
        new = File(sink.rows, path.stat().st_size, sha256_of(path))
        if new == old:
            path.unlink()
        return new

    def _check(self, name: str, file: File) -> None:
        """Refuse an old file that is not as it was written."""
        path = self.folder / name
        if sha256_of(path) != file.sha256:
            raise InputError(
                f"{path}: is not what was measured (its SHA-256 differs from that in {MANIFEST}); "
                "put the file back, or measure everything anew with --force"
            )

    def _kept(self, path: Path, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield an old file's rows of periods that are not measured, a row group at a time."""
        with pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False) as opened:
            for batch in opened.iter_batches(ROW_GROUP, columns=columns, use_threads=False):
                start = batch.column("timestamp").to_numpy().astype(np.int64)
                stays = ~np.isin(numbers_of(self.settings.period, start), self.measured)
                kept = batch if stays.all() else batch.filter(pa.array(stays))
                if kept.num_rows:
                    yield kept

    def _tags(self, task: MergeTask) -> tuple[str, ...]:
        """Tags that have a value in the part: a column of nulls would tell how it came about."""
        found = {tag for o in self.history for tag in o.tags.get(task.label, ())}
        if task.old is not None:
            path = self.folder / part_name(task.label)
            known = history_schema(self.settings.plan.measure.extras).names
            asked = set(pq.read_schema(path).names) - set(known) - found
            if asked:
                found |= _valued(self._kept(path, ["timestamp", *sorted(asked)]), asked)
        return tuple(sorted(found))


def _valued(batches: Iterable[pa.RecordBatch], tags: Iterable[str]) -> set[str]:
    """Return the tags that any row has a value of."""
    left = set(tags)
    found: set[str] = set()
    for batch in batches:
        found |= {tag for tag in left if batch.column(tag).null_count < batch.num_rows}
        left -= found
        if not left:
            break
    return found
