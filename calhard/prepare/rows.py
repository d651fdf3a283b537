"""Batches of a file become rows of the prepared history; what has no place is accounted for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs

from calhard.history.account import RowAccount
from calhard.history.batches import Unreadable, open_parquet, read_batches
from calhard.history.blocks import BadFile
from calhard.history.columns import KNOWN, ColumnPlan
from calhard.history.convert import (
    ColumnError,
    is_text,
    to_latest_microseconds,
    to_microseconds,
    to_text,
)
from calhard.history.files import FAULTS, HistoryFile
from calhard.history.ids import Bools, Codes, Ints, Keys, pair_codes
from calhard.history.rows import names_in
from calhard.history.rules import YEAR_1990, CheckedBatch, Span
from calhard.prepare.columns import INSTANT, ORIGIN, FileColumns, spilled
from calhard.prepare.keys import Key

ANY = Span(YEAR_1990, 0, 0)
"""No rule asks for it."""
LATER = "prepare again when its writer is done; write files elsewhere and move them"


@dataclass(frozen=True, slots=True)
class PrepareReading:
    """All that a worker needs to read a history's files; it can be pickled."""

    filesystem: pafs.FileSystem
    files: tuple[HistoryFile, ...]
    plans: tuple[ColumnPlan, ...]
    """All columns of each file, though named as an audit does where it reads them."""
    columns: tuple[FileColumns, ...]
    origins: tuple[int, ...]
    """The number of each file in the manifest."""
    schema: pa.Schema = field(repr=False)
    timezone: str | None


@dataclass(frozen=True, slots=True)
class Placed:
    """Rows that have a key; ``table`` holds them as they are spilled."""

    pair: Codes
    timestamp: Ints
    table: pa.RecordBatch

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.pair)


class Keyed(CheckedBatch):
    """A batch held against the rules that tell whether a row can be placed, and no other."""

    def __init__(
        self,
        batch: pa.RecordBatch,
        plan: ColumnPlan,
        file: str,
        first_row: int,
        keys: Keys,
        timezone: str | None,
    ) -> None:
        model, class_ = (names_in(batch, plan, name) for name in ("model_id", "class_id"))
        pairs = pair_codes(model, class_, lambda _: True, keys)
        time = to_microseconds(batch[plan.source["timestamp"]], timezone)
        none = np.zeros(0)
        super().__init__(batch, plan, file, first_row, (model, class_), pairs, time, none, timezone)

    def _all_stay(self, span: Span) -> bool:
        del span
        return self.unknown is None and bool((self.pairs.code >= 0).all())

    def _rules(self, span: Span) -> list[tuple[str, str, str, Bools]]:
        del span
        rules = self.refused_ids()
        return rules if self.unknown is None else [*rules, *self.unknown_instants()]


def read_placed(
    reading: PrepareReading,
    index: int,
    keys: Keys,
    account: RowAccount,
    row_groups: Sequence[int] | None = None,
) -> Iterator[Placed]:
    """Yield the rows of a file, or of some row groups that follow one another, batch by batch.

    Rows without a usable id or instant have no place; they are counted in ``account``.

    Raises
    ------
    BadFile
        The file cannot be read to its end; nothing of it may be kept.
    """
    file, plan = reading.files[index], reading.plans[index]
    with _told(file):
        row = _first_row(reading.filesystem, file, row_groups)
        for batch in read_batches(reading.filesystem, file, plan, row_groups):
            checked = Keyed(batch, plan, file.name, row, keys, reading.timezone)
            keep = checked.refuse(ANY, account)
            row += batch.num_rows
            table = _table(checked, reading, index)
            pair, stamp = checked.pairs.code, checked.stamp
            if keep is not None:
                pair, stamp, table = pair[keep], stamp[keep], table.filter(pa.array(keep))
            account.rows += len(pair)
            if len(pair):
                yield Placed(pair, stamp, table)


def draw_keys(
    reading: PrepareReading,
    index: int,
    row_groups: Sequence[int] | None,
    share: float,
    rng: np.random.Generator,
) -> Iterator[Key]:
    """Yield the keys of about a share of the rows that `read_placed` would; of no others is asked.

    Raises
    ------
    BadFile
        As `read_placed`.
    """
    file = reading.files[index]
    plan = reading.plans[index].only(("model_id", "class_id", "timestamp"))
    with _told(file):
        for batch in read_batches(reading.filesystem, file, plan, row_groups):
            count = rng.binomial(batch.num_rows, share)
            if not count:
                continue
            drawn = batch.take(pa.array(rng.integers(0, batch.num_rows, count)))
            keys = Keys()
            checked = Keyed(drawn, plan, file.name, 0, keys, reading.timezone)
            keep = checked.refuse(ANY, RowAccount())
            chosen = slice(None) if keep is None else keep
            pair, stamp = checked.pairs.code[chosen], checked.stamp[chosen]
            for code, instant in zip(pair.tolist(), stamp.tolist(), strict=True):
                yield (*keys.pairs[code], instant)


@contextmanager
def _told(file: HistoryFile) -> Iterator[None]:
    """Raise as `BadFile` whatever is wrong with a file."""
    try:
        yield
    except Unreadable as e:
        raise BadFile(file.path, str(e), e.remedy) from e
    except pa.ArrowException as e:
        raise BadFile(file.path, str(Unreadable.of(e))) from e
    except ColumnError as e:
        raise BadFile(file.path, e.reason, e.remedy) from e


def _first_row(
    filesystem: pafs.FileSystem, file: HistoryFile, row_groups: Sequence[int] | None
) -> int:
    """The number of the first row of some row groups, from 0."""
    if row_groups is None or file.kind != "parquet":
        return 0
    try:
        with open_parquet(filesystem, file.path) as opened:
            count = opened.num_row_groups
            before = range(min(row_groups[0], count))
            rows: int = sum(opened.metadata.row_group(g).num_rows for g in before)
    except FAULTS as e:
        raise Unreadable.of(e) from e
    if max(row_groups) >= count:
        raise Unreadable(f"holds {count} row groups now: it was written while it was read", LATER)
    return rows


def _table(checked: Keyed, reading: PrepareReading, index: int) -> pa.RecordBatch:
    """All columns of a batch as the prepared history has them."""
    schema, columns = spilled(reading.schema), reading.columns[index]
    role = {name: key for key, name in columns.keys.items()}
    found = []
    for kept in schema:
        key = role.get(kept.name, "")
        if kept.name == ORIGIN:
            column = pa.repeat(pa.scalar(reading.origins[index], pa.int32()), len(checked.stamp))
        elif key in ("timestamp", KNOWN):
            column = _instants(checked, key, columns.source[kept.name])
        elif kept.name in columns.constants:
            column = _constant(columns.constants[kept.name], len(checked.stamp))
        elif kept.name in columns.source:
            column = _kept(checked.batch[columns.source[kept.name]], key, kept.type)
        else:
            column = pa.nulls(len(checked.stamp), kept.type)
        found.append(column)
    return pa.RecordBatch.from_arrays(found, schema=schema)


def _instants(checked: Keyed, key: str, column: str) -> pa.Array:
    if key == "timestamp":
        return pa.array(checked.stamp).cast(INSTANT)
    return to_latest_microseconds(checked.batch[column], checked.timezone).cast(INSTANT)


def _constant(word: str, size: int) -> pa.Array:
    """What a path says of all rows; null where it says nothing or no text."""
    raw = word.encode("utf-8", "surrogateescape")
    try:
        told = raw.decode("utf-8") or None
    except UnicodeDecodeError:
        told = None
    return pa.repeat(pa.scalar(told, pa.large_string()), size)


def _kept(column: pa.Array, key: str, kind: pa.DataType) -> pa.Array:
    """A column's values: ids and versions as the text that an audit makes of them."""
    if key and not is_text(column.type):
        column = to_text(column)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column if column.type == kind else pc.cast(column, kind, safe=False)
