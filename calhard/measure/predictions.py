"""Predictions as a whole: their files, their columns, their rows batch by batch."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pyarrow.fs as pafs

from calhard.history.account import RowAccount
from calhard.history.columns import ColumnPlan
from calhard.history.files import HistoryFile, list_files, open_source
from calhard.history.ids import Keys
from calhard.measure.rows import PredictionRows

if TYPE_CHECKING:
    from calhard.plan import AuditPlan


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
    excluded: frozenset[str] = field(default_factory=frozenset)
    """Paths of files that broke while they were read."""

    def without(self, path: str) -> PredictionReading:
        """Return the same reading less one file."""
        return replace(self, excluded=self.excluded | {path})


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
        files = tuple(list_files(filesystem, root))
        zone, skew = plan.windows.timezone, plan.windows.clock_skew_us
        return cls(os.fspath(source), filesystem, files, (), (), RowAccount(), zone, skew)

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

    Refused rows are counted in ``account``. Nothing of a file may stay unless all of it was read:
    on `BadFile` the rows and the account of the same file are to be dropped, and the file refused.

    Raises
    ------
    BadFile
        The file cannot be read to its end; nothing of it may be measured.
    """
    yield from ()
