"""Predictions as a whole: their files, their columns, their rows batch by batch."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.fs as pafs

from calhard.errors import InputError
from calhard.history.account import RowAccount
from calhard.history.batches import Unreadable, open_parquet, read_batches
from calhard.history.blocks import BadFile
from calhard.history.columns import ColumnPlan
from calhard.history.convert import ColumnError
from calhard.history.files import FAULTS, HistoryFile, list_files, open_source
from calhard.history.ids import Keys
from calhard.history.readable import file_schema, no_file, readable_files
from calhard.measure.columns import FLAGS, NUMBERS, TEXTS, plan_predictions
from calhard.measure.rows import PredictionRows
from calhard.measure.rules import Predicted
from calhard.uri import shown

if TYPE_CHECKING:
    from calhard.plan import AuditPlan


LATER = "measure again when its writer is done; write files elsewhere and move them"


@dataclass(frozen=True, slots=True)
class PredictionReading:
    """All that a worker needs to read predictions; it can be pickled."""

    filesystem: pafs.FileSystem
    files: tuple[HistoryFile, ...]
    plans: tuple[ColumnPlan, ...]
    tags: tuple[str, ...]
    timezone: str | None
    latest_us: int
    """Later rows lie in the future: clock + skew."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """The readable files of predictions and what their columns are.

    ``account`` holds the files that were refused; ``tags`` are those of all files together, by
    name.
    """

    source: str
    filesystem: pafs.FileSystem
    files: tuple[HistoryFile, ...]
    plans: tuple[ColumnPlan, ...]
    tags: tuple[str, ...]
    account: RowAccount
    timezone: str | None
    clock_skew_us: int

    @classmethod
    def open(
        cls,
        source: str | os.PathLike[str],
        plan: AuditPlan,
        filesystem: pafs.FileSystem | None = None,
    ) -> Predictions:
        """List the files of predictions and read their schemas.

        Raises
        ------
        InputError
            Nothing is there, or no file can be read; the message names each file's fault.
        """
        filesystem, root = open_source(source, filesystem)
        account = RowAccount()

        def columns_of(file: HistoryFile) -> ColumnPlan:
            numbers, instants = (*NUMBERS, *FLAGS), ("timestamp",)
            schema = file_schema(filesystem, file, plan.columns, numbers, TEXTS, instants)
            return plan_predictions(schema, plan.columns, dict(file.constants), plan.measure.tags)

        files = list_files(filesystem, root)
        found = readable_files(files, columns_of, plan.windows.timezone, account)
        if not found:
            raise InputError(no_file(shown(os.fspath(source)), account, "measured"))
        return cls(
            shown(os.fspath(source)),
            filesystem,
            tuple(file for file, _ in found),
            tuple(columns for _, columns in found),
            tuple(sorted({tag for _, columns in found for tag in columns.tags})),
            account,
            plan.windows.timezone,
            plan.windows.clock_skew_us,
        )

    def reading(self, now_us: int) -> PredictionReading:
        """Return what a worker needs to read these predictions at a moment of the clock."""
        latest = now_us + self.clock_skew_us
        return PredictionReading(
            self.filesystem, self.files, self.plans, self.tags, self.timezone, latest
        )


def read_rows(
    reading: PredictionReading,
    index: int,
    keys: Keys,
    account: RowAccount,
    row_groups: Sequence[int] | None = None,
) -> Iterator[PredictionRows]:
    """Yield the rows of a file, or of some of a Parquet file's row groups, batch by batch.

    Rows of predictions have no key here: two that are equal are both handed out. Rows without a
    usable id, instant, weight or mask are refused, and so are those of class ``__all__``, which
    measure makes itself.

    ``account`` gets the number of rows once all of them have been handed out, the refused ones
    ("rejected") by reason, and of those handed out once more the ones that are not used ("unused"),
    each reason with its first place. Nothing of a file may stay unless all of it was read: on
    `BadFile` drop what this call, and any call for other row groups of the same file, has handed
    out.

    Raises
    ------
    BadFile
        The file cannot be read to its end; nothing of it may be measured.
    """
    file, plan = reading.files[index], reading.plans[index]
    told = RowAccount()
    try:
        for groups, first_row in _runs(reading.filesystem, file, row_groups):
            row = first_row
            for batch in read_batches(reading.filesystem, file, plan, groups):
                found = Predicted(batch, plan, file.name, row, keys, reading.timezone)
                rows = found.rows(keys, reading.tags, reading.latest_us, told)
                row += batch.num_rows
                if len(rows):
                    yield rows
    except Unreadable as e:
        raise BadFile(file.path, str(e), e.remedy) from e
    except pa.ArrowException as e:
        raise BadFile(file.path, str(Unreadable.of(e))) from e
    except ColumnError as e:
        raise BadFile(file.path, e.reason, e.remedy) from e
    _add(account, told)


def _runs(
    filesystem: pafs.FileSystem, file: HistoryFile, row_groups: Sequence[int] | None
) -> Iterator[tuple[Sequence[int] | None, int]]:
    """Row groups that follow one another, and the number of the first row of each run."""
    if row_groups is None or file.kind != "parquet":
        yield None, 0
        return
    try:
        with open_parquet(filesystem, file.path) as opened:
            count = opened.num_row_groups
            rows = [opened.metadata.row_group(g).num_rows for g in range(count)]
    except FAULTS as e:
        raise Unreadable.of(e) from e
    if row_groups and max(row_groups) >= count:
        raise Unreadable(f"holds {count} row groups now: it was written while it was read", LATER)
    first = [0, *accumulate(rows)]
    for _, run in groupby(enumerate(sorted(row_groups)), key=lambda at: at[1] - at[0]):
        groups = [group for _, group in run]
        yield groups, first[groups[0]]


def _add(account: RowAccount, told: RowAccount) -> None:
    account.rows += told.rows
    for (outcome, reason), count in told.counts.items():
        account.add(outcome, reason, count, told.examples.get((outcome, reason)))
