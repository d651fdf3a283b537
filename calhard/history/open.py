"""A history as a whole: its files, its columns, its newest row, its shards."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.fs as pafs

from calhard.assess.windows import SPARSE_ANALYSIS, SPARSE_REFERENCE, Clock
from calhard.errors import InputError
from calhard.history.account import RowAccount
from calhard.history.batches import Unreadable, read_batches
from calhard.history.columns import ColumnPlan, plan_columns
from calhard.history.convert import ColumnError
from calhard.history.fetched import Fetched
from calhard.history.files import HistoryFile, list_files, open_source
from calhard.history.footers import row_group_extents
from calhard.history.ids import Names
from calhard.history.models import counted
from calhard.history.moment import least_lag, newest_instant, no_instant
from calhard.history.readable import file_schema, no_file, readable_files
from calhard.history.shards import (
    Extent,
    Reach,
    Reading,
    ShardSpec,
    gathered_shards,
    ordered_shards,
)
from calhard.uri import shown

if TYPE_CHECKING:
    from calhard.plan import AuditPlan


@dataclass(frozen=True, slots=True)
class History:
    """The readable files of a history and what their columns are.

    ``account`` holds the files that were refused; ``metrics`` and ``tags`` are those of all files
    together, in table order. ``origin`` tells of what the files are a copy, if of anything.
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
    origin: Fetched | None = None

    @classmethod
    def open(
        cls,
        source: str | os.PathLike[str],
        plan: AuditPlan,
        filesystem: pafs.FileSystem | None = None,
    ) -> History:
        """List a history's files and read their schemas.

        Parameters
        ----------
        filesystem : where ``source`` is a path; told by ``source`` itself by default

        Raises
        ------
        InputError
            Nothing is there, or no file can be read; the message names each file's fault.
        """
        filesystem, root = open_source(source, filesystem)
        origin = source if isinstance(source, Fetched) else None
        name = shown(os.fspath(source)) if origin is None else origin.name
        account = RowAccount()
        catalogue = list(plan.metric_catalogue())

        def columns_of(file: HistoryFile) -> ColumnPlan:
            schema = file_schema(filesystem, file, plan.columns, (*catalogue, "total_samples"))
            return plan_columns(schema, plan.columns, catalogue, dict(file.constants))

        files = list_files(filesystem, root)
        found = readable_files(files, columns_of, plan.windows.timezone, account)
        if not found:
            raise InputError(no_file(name, account, "audited"))
        present = {m for _, columns in found for m in columns.metrics}
        return cls(
            name,
            filesystem,
            tuple(file for file, _ in found),
            tuple(columns for _, columns in found),
            tuple(m for m in catalogue if m in present),
            tuple(m for m in catalogue if m not in present),
            tuple(sorted({t for _, columns in found for t in columns.tags})),
            account,
            plan.windows.timezone,
            plan.windows.clock_skew_us,
            origin,
        )

    @property
    def left_out(self) -> tuple[Mapping[str, object], ...]:
        """Rows of the coverage table: what its origin holds that became no rows."""
        return () if self.origin is None else self.origin.left_out

    def reading_of(self, clock: Clock, now_us: int) -> Reading:
        """Return what a worker needs to read the windows of a clock."""
        samples = (clock.reference_samples or SPARSE_REFERENCE) + (
            clock.analysis_samples or SPARSE_ANALYSIS
        )
        reading = self.reading(as_of_us=clock.as_of, now_us=now_us, since_us=clock.lookback)
        return replace(reading, reach=Reach(clock.reference, samples))

    def reading(self, *, as_of_us: int, now_us: int, since_us: int) -> Reading:
        """Return what a worker needs to read this history's shards since an instant."""
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

    def clock(self, plan: AuditPlan, as_of_us: int, now_us: int) -> Clock:
        """Return a plan's clock at ``as_of_us``, shifted by what rows are known too late."""
        clock, latest = Clock.of(plan, as_of_us), now_us + self.clock_skew_us
        return Clock.of(plan, as_of_us, least_lag(self, clock, latest))

    def newest_timestamp(self, now_us: int) -> int | None:
        """Return when the newest sound row became known, None without: its timestamp or later.

        Rows that become known only after the clock and its skew are none.
        """
        return newest_instant(self, now_us + self.clock_skew_us)

    def moment(self, now_us: int) -> int:
        """Return when the newest row became known, at which an audit stands by default.

        Raises
        ------
        InputError
            There is none; the message says what is wrong with the rows.
        """
        newest = self.newest_timestamp(now_us)
        if newest is None:
            raise InputError(no_instant(self, now_us + self.clock_skew_us))
        return newest

    def column(self, index: int, name: str) -> Iterator[pa.Array]:
        """Yield a column of one file, batch by batch."""
        file, plan = self.files[index], self.plans[index]
        for batch in read_batches(self.filesystem, file, plan.only((name, "timestamp"))):
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
            extents = row_group_extents(self.filesystem, file, plan, index)
            if extents is None:
                return None
            found += extents
        return found

    def _model_counts(self) -> Counter[str]:
        counts: Counter[str] = Counter()
        for index, plan in enumerate(self.plans):
            constant = plan.constants.get("model_id")
            try:
                for column in self.column(index, "model_id" if constant is None else "timestamp"):
                    if constant is not None:
                        counts[constant] += len(column)
                    else:
                        counts.update(counted(Names.of(column)))
            except (pa.ArrowException, Unreadable, ColumnError):
                continue  # the shard that reads the file tells what is wrong with it
        return counts

    def fingerprint(self) -> str:
        """Return a hash of what the history's files are, by name and size."""
        digest = hashlib.sha256()
        for file in self.files:
            size = self.filesystem.get_file_info(file.path).size
            digest.update(f"{file.name}\0{size}\0".encode())
        return digest.hexdigest()
