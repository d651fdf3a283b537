"""Which files of a source can be read, what their columns are, and why the others cannot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa
import pyarrow.fs as pafs

from calhard.history.account import RowAccount
from calhard.history.batches import Unreadable, read_schema
from calhard.history.cells import check_separator, csv_schema
from calhard.history.columns import INSTANTS, NAMES, ColumnPlan
from calhard.history.convert import ColumnError
from calhard.history.files import HistoryFile
from calhard.wording.names import display_name

Found = list[tuple[HistoryFile, ColumnPlan]]


def readable_files(
    files: Sequence[HistoryFile],
    columns_of: Callable[[HistoryFile], ColumnPlan],
    timezone: str | None,
    account: RowAccount,
) -> Found:
    """Return the files whose columns can be used; the others are rejected in ``account``.

    ``columns_of`` plans a file's columns or raises `ColumnError`. Without a ``timezone``, files of
    naive timestamps cannot stand beside others that name their zone.
    """
    found: Found = []
    for file in files:
        try:
            found.append((file, columns_of(file)))
        except ColumnError as e:
            account.reject_file(file.name, e.reason, e.remedy)
    return found if timezone is not None else _of_one_clock(found, account)


def file_schema(
    filesystem: pafs.FileSystem,
    file: HistoryFile,
    mapping: Mapping[str, str],
    numbers: Sequence[str],
    texts: Sequence[str] = NAMES,
    instants: Sequence[str] = INSTANTS,
) -> pa.Schema:
    """Return a file's schema; a CSV's holds numbers, text and instants where they are wanted.

    Raises
    ------
    ColumnError
        The file is damaged, of no known kind, or its timestamps are no such.
    """
    if not file.kind:
        raise ColumnError(
            "not Parquet (.parquet), Arrow IPC (.arrow) or CSV (.csv)",
            "convert it; files whose names begin with _ are left alone",
        )
    try:
        if file.kind == "csv":
            check_separator(filesystem, file)
        schema = read_schema(filesystem, file)
    except Unreadable as e:
        raise ColumnError(str(e), e.remedy) from e
    if file.kind != "csv":
        return schema
    return csv_schema(filesystem, file, schema, mapping, numbers, texts, instants)


def _of_one_clock(found: Found, account: RowAccount) -> Found:
    """Refuse files of naive timestamps beside others that name their zone."""
    zoned = next((file.name for file, columns in found if columns.aware), None)
    if zoned is None:
        return found
    for file, columns in found:
        if columns.aware is False:
            account.reject_file(
                file.name,
                f'column "{columns.source["timestamp"]}" names no zone, but that of {zoned} does',
                "write all with a zone, or name theirs: [calibration.hardening.windows] "
                'timezone = "UTC"',
            )
    return [(file, columns) for file, columns in found if columns.aware is not False]


def no_file(source: str, account: RowAccount, done: str) -> str:
    """Return why no file of a source can be ``done`` (audited, measured)."""
    source = display_name(source, 200)
    if not account.files:
        return f"{source}: no Parquet, Arrow IPC or CSV file there"
    lines = [f"{source}: none of {len(account.files)} file(s) can be {done}"]
    for path, told in sorted(account.files.items())[:10]:
        reason, remedy = (display_name(text, 300) for text in told)
        lines.append(f"  {display_name(path, 200)}: {reason}" + (f" — {remedy}" if remedy else ""))
    return "\n".join(lines)
