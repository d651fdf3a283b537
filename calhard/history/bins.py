"""Reads the reliability bins that `calhard measure` keeps beside a history, in ``_bins/``."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs

from calhard.errors import InputError
from calhard.history.batches import BATCH_ROWS, Unreadable, open_parquet
from calhard.history.bin_rows import COLUMNS, BadBins, Group, bin_rows, check_columns, to_words
from calhard.history.columns import ColumnPlan
from calhard.history.convert import ColumnError
from calhard.history.files import FAULTS, HistoryFile, list_files
from calhard.history.footers import row_group_extents
from calhard.history.shards import Extent
from calhard.reliability import BinRows

if TYPE_CHECKING:
    from calhard.history.open import History

FOLDER = "_bins"
_NAMED = re.compile(r"(?:.*/)?(\d{4})-(\d{2})(?:-(\d{2}))?\.parquet")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MODEL = ColumnPlan({"model_id": "model_id"}, {}, (), (), ("model_id",))


@dataclass(frozen=True, slots=True)
class BinFolder:
    """The bin files of a history, and what their footers tell of their models."""

    filesystem: pafs.FileSystem
    files: tuple[HistoryFile, ...]
    _extents: dict[str, list[Extent] | None] = field(default_factory=dict, repr=False)

    @classmethod
    def beside(cls, history: History) -> BinFolder | None:
        """Return the bins beside a history's parts, None where it has none.

        Raises
        ------
        InputError
            The folder cannot be listed.
        """
        first = history.files[0]
        return cls.within(history.filesystem, first.path.removesuffix(first.name))

    @classmethod
    def within(cls, filesystem: pafs.FileSystem, root: str) -> BinFolder | None:
        """Return the bins of a measured folder, None where it has none.

        Raises
        ------
        InputError
            The folder cannot be listed.
        """
        place = f"{root.rstrip('/')}/{FOLDER}" if root else FOLDER
        try:
            kind = filesystem.get_file_info(place).type
        except FAULTS as e:
            raise InputError(f"{place}: cannot be opened: {e}") from e
        if kind != pafs.FileType.Directory:
            return None
        found = [f for f in list_files(filesystem, place) if f.kind == "parquet"]
        return cls(filesystem, tuple(replace(f, name=f"{FOLDER}/{f.name}") for f in found))

    def without(self, file: HistoryFile) -> BinFolder:
        """Return the folder less one file."""
        return replace(self, files=tuple(f for f in self.files if f != file))

    def read(self, groups: Collection[Group], since: int, until: int) -> Iterator[BinRows]:
        """Yield the bins of some models' classes with ``since`` ≤ timestamp < ``until``, µs.

        ``group`` is the place in ``groups``. Only row groups are read that may hold one of them;
        memory stays at a batch. Files that are named by their month or day are passed over where
        it ends before ``since`` or begins at ``until`` or later.

        Raises
        ------
        BadBins
            A file is damaged, or its columns are no bins.
        """
        codes = {group: code for code, group in enumerate(groups)}
        models = sorted({model for model, _ in codes})
        for file in self.files:
            begin, end = named_span(file.name) or (since, until)
            if end > since and begin < until:
                yield from self._of_file(file, codes, models, since, until)

    def _of_file(
        self,
        file: HistoryFile,
        codes: Mapping[Group, int],
        models: list[str],
        since: int,
        until: int,
    ) -> Iterator[BinRows]:
        wanted = pa.array(models, pa.string())
        try:
            with open_parquet(self.filesystem, file.path) as opened:
                check_columns(file, opened.schema_arrow)
                chosen = self._chosen(file, models, opened.num_row_groups)
                for batch in opened.iter_batches(
                    BATCH_ROWS, row_groups=chosen, columns=list(COLUMNS), use_threads=False
                ):
                    mine = batch.filter(pc.is_in(to_words(batch["model_id"]), value_set=wanted))
                    bins = bin_rows(file, mine, codes)
                    kept = (bins.timestamp >= since) & (bins.timestamp < until)
                    yield bins.take(kept & (bins.group >= 0))
        except FAULTS as e:
            raise BadBins(file, str(Unreadable.of(e))) from e
        except ColumnError as e:
            raise BadBins(file, e.reason) from e

    def _chosen(self, file: HistoryFile, models: list[str], groups: int) -> list[int]:
        """Row groups that may hold any of the models; all where the footer does not tell."""
        if file.path not in self._extents:
            self._extents[file.path] = row_group_extents(self.filesystem, file, _MODEL, 0)
        extents = self._extents[file.path]
        if extents is None:
            return list(range(groups))
        place = np.searchsorted(models, [e.low for e in extents]).tolist()
        near = zip(place, extents, strict=True)
        return [e.row_group for at, e in near if at < len(models) and models[at] <= e.high]

    def names(self) -> Iterator[Group]:
        """Yield every model and class that has bins, some more than once.

        Raises
        ------
        BadBins
            A file is damaged, or its columns are no bins.
        """
        for file in self.files:
            try:
                with open_parquet(self.filesystem, file.path) as opened:
                    check_columns(file, opened.schema_arrow)
                    for batch in opened.iter_batches(columns=["model_id", "class_id"]):
                        pairs = pa.Table.from_batches([batch]).group_by(batch.schema.names)
                        yield from (tuple(row.values()) for row in pairs.aggregate([]).to_pylist())
            except FAULTS as e:
                raise BadBins(file, str(Unreadable.of(e))) from e


def named_span(name: str) -> tuple[int, int] | None:
    """Return the first instant and the end, µs, of the month or day by which a file is named."""
    found = _NAMED.fullmatch(name)
    if found is None:
        return None
    year, month, day = (None if part is None else int(part) for part in found.groups())
    try:
        first = date(year or 0, month or 0, day or 1)
    except ValueError:
        return None
    following = first + timedelta(days=1 if day else 31)
    end = following if day else following.replace(day=1)
    return _instant(first), _instant(end)


def _instant(day: date) -> int:
    moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return (moment - _EPOCH) // timedelta(microseconds=1)
