"""A history as a whole: its files, its columns, its newest row, its shards."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from calhard.errors import InputError
from calhard.history.account import RowAccount
from calhard.history.columns import ColumnError, ColumnPlan, plan_columns, to_microseconds, to_text
from calhard.history.files import (
    HistoryFile,
    list_files,
    open_parquet,
    open_source,
    read_batches,
    read_schema,
)
from calhard.history.rows import YEAR_1990
from calhard.history.shards import (
    Extent,
    Reading,
    ShardSpec,
    gathered_shards,
    ordered_shards,
)

if TYPE_CHECKING:
    from calhard.plan import AuditPlan

DAMAGED = "write the file again, or move it out of the history"


@dataclass(frozen=True, slots=True)
class History:
    """The readable files of a history and what their columns are.

    ``account`` holds the files that were refused; ``metrics`` and ``tags`` are those of all files
    together, in table order.
    """

    source: str
    filesystem: pafs.FileSystem
    files: tuple[HistoryFile, ...]
    plans: tuple[ColumnPlan, ...]
    metrics: tuple[str, ...]
    missing_metrics: tuple[str, ...]
    tags: tuple[str, ...]
    account: RowAccount
    timezone: str | None
    clock_skew_us: int

    @classmethod
    def open(cls, source: str | os.PathLike[str], plan: AuditPlan) -> History:
        """List a history's files and read their schemas.

        Raises
        ------
        InputError
            Nothing is there, or no file can be read; the message names each file's fault.
        """
        filesystem, root = open_source(source)
        account = RowAccount()
        catalogue = list(plan.metric_catalogue())
        found: list[tuple[HistoryFile, ColumnPlan]] = []
        for file in list_files(filesystem, root):
            try:
                schema = _schema(filesystem, file)
                columns = plan_columns(schema, plan.columns, catalogue, dict(file.constants))
            except ColumnError as e:
                account.reject_file(file.name, e.reason, e.remedy)
            else:
                found.append((file, columns))
        if not found:
            raise InputError(_no_file(os.fspath(source), account))
        present = {m for _, columns in found for m in columns.metrics}
        return cls(
            os.fspath(source),
            filesystem,
            tuple(file for file, _ in found),
            tuple(columns for _, columns in found),
            tuple(m for m in catalogue if m in present),
            tuple(m for m in catalogue if m not in present),
            tuple(sorted({t for _, columns in found for t in columns.tags})),
            account,
            plan.windows.timezone,
            plan.windows.clock_skew_us,
        )

    def reading(self, *, as_of_us: int, now_us: int, since_us: int) -> Reading:
        """Return what a worker needs to read this history's shards."""
        return Reading(
            self.filesystem,
            self.files,
            self.plans,
            self.metrics,
            self.tags,
            self.timezone,
            since_us,
            as_of_us,
            now_us + self.clock_skew_us,
        )

    def newest_timestamp(self, now_us: int) -> int | None:
        """Return the newest timestamp not beyond the clock and its skew, None without any.

        Reads the timestamp column alone; a file that cannot be read has none.
        """
        latest = now_us + self.clock_skew_us
        newest = [self._newest(i, latest) for i in range(len(self.files))]
        return max((t for t in newest if t is not None), default=None)

    def _newest(self, index: int, latest: int) -> int | None:
        newest: int | None = None
        try:
            for column in self._column(index, "timestamp"):
                stamps = to_microseconds(column, self.timezone)
                sound = pc.and_(pc.less_equal(stamps, latest), pc.greater_equal(stamps, YEAR_1990))
                found = pc.max(stamps.filter(sound)).as_py()
                newest = found if newest is None else max(newest, found or newest)
        except (pa.ArrowException, OSError, EOFError, ColumnError):
            return newest  # the shard that reads the file tells what is wrong with it
        return newest

    def _column(self, index: int, name: str) -> Iterator[pa.Array]:
        file, plan = self.files[index], self.plans[index]
        source = {name: plan.source[name]}
        text = tuple(c for c in plan.text if c == plan.source[name])
        only = ColumnPlan(source, {}, (), (), text)
        for batch in read_batches(self.filesystem, file, only):
            yield batch[plan.source[name]]

    def plan_shards(self) -> list[ShardSpec]:
        """Return the shards, in the order of their models' names.

        Where the footers show row groups of models that follow one another, shards are streamed.
        Otherwise one pass over the model column alone counts what every shard will gather.
        """
        extents = self._extents()
        ordered = None if extents is None else ordered_shards(extents)
        if ordered is not None:
            return ordered
        return gathered_shards(self._model_counts(), range(len(self.files)))

    def _extents(self) -> list[Extent] | None:
        """Model ranges of all row groups; None where a footer does not tell."""
        found: list[Extent] = []
        for index, (file, plan) in enumerate(zip(self.files, self.plans, strict=True)):
            if file.kind != "parquet" or "model_id" not in plan.source:
                return None
            try:
                with open_parquet(self.filesystem, file.path) as opened:
                    extents = _row_group_extents(opened.metadata, index, plan.source["model_id"])
            except (pa.ArrowException, OSError):
                return None
            if extents is None:
                return None
            found += extents
        return found

    def _model_counts(self) -> Counter[str]:
        counts: Counter[str] = Counter()
        for index, plan in enumerate(self.plans):
            if "model_id" in plan.constants:
                counts[plan.constants["model_id"]] += 1
                continue
            try:
                for column in self._column(index, "model_id"):
                    encoded = to_text(column)
                    for entry in pc.value_counts(encoded.dictionary.take(encoded.indices)):
                        word = entry["values"].as_py()
                        if word:
                            counts[word] += entry["counts"].as_py()
            except (pa.ArrowException, OSError, EOFError, UnicodeDecodeError):
                continue  # the shard that reads the file tells what is wrong with it
        return counts

    def fingerprint(self) -> str:
        """Return a hash of what the history's files are, by name and size."""
        digest = hashlib.sha256()
        for file in self.files:
            size = self.filesystem.get_file_info(file.path).size
            digest.update(f"{file.name}\0{size}\0".encode())
        return digest.hexdigest()


def _schema(filesystem: pafs.FileSystem, file: HistoryFile) -> pa.Schema:
    if not file.kind:
        raise ColumnError(
            "not Parquet (.parquet), Arrow IPC (.arrow) or CSV (.csv)",
            "convert it; files whose names begin with _ are left alone",
        )
    try:
        return read_schema(filesystem, file)
    except (pa.ArrowException, OSError, EOFError) as e:
        reason = (str(e).splitlines() or [type(e).__name__])[0][:200]
        raise ColumnError(f"cannot be read: {reason}", DAMAGED) from e


def _no_file(source: str, account: RowAccount) -> str:
    if not account.files:
        return f"{source}: no Parquet, Arrow IPC or CSV file there"
    lines = [f"{source}: none of {len(account.files)} file(s) can be audited"]
    for path, (reason, remedy) in sorted(account.files.items())[:10]:
        lines.append(f"  {path}: {reason}" + (f" — {remedy}" if remedy else ""))
    return "\n".join(lines)


def _row_group_extents(metadata: pq.FileMetaData, file: int, column: str) -> list[Extent] | None:
    names = [metadata.schema.column(i).path for i in range(metadata.num_columns)]
    if column not in names:
        return None
    place, row, found = names.index(column), 0, []
    for group in range(metadata.num_row_groups):
        part = metadata.row_group(group)
        statistics = part.column(place).statistics
        if part.num_rows and (statistics is None or not isinstance(statistics.min, str)):
            return None
        if part.num_rows:
            found.append(Extent(file, group, row, part.num_rows, statistics.min, statistics.max))
        row += part.num_rows
    return found
