"""Cells of CSV files: which are empty, and where the one stands that cannot be read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs
from pyarrow import csv

from calhard.history.columns import INSTANTS, NAMES
from calhard.history.convert import ColumnError, is_text
from calhard.history.files import FAULTS, HistoryFile

NO_WORD = ("", "null", "NULL", "NA", "N/A")
"""Empty cells of text."""
NO_NUMBER = [*NO_WORD, "n/a", "na", "None", "none", "-"]
"""Empty cells of numbers and timestamps; "NaN" is no empty cell but a value that is not finite."""
ISO = "write ISO 8601, for example 2026-05-01T12:00:00Z, with a zone in every row or in none"
MEND = "mend the cell or leave it empty"
SEPARATORS = {";": "semicolons", "\t": "tabs"}
HEADER_BYTES = 2**16
LONGEST = 80
_FAULT = re.compile(
    r"In CSV column #(\d+): Row #(\d+): CSV conversion error to ([^:]*): [^']*'(.*)'", re.DOTALL
)


def without_nulls(batch: pa.RecordBatch | pa.Table) -> Any:
    """Return a batch or table with null for each empty cell of text, which pyarrow left."""
    nulls = pa.array(NO_WORD)
    columns = [
        pc.if_else(pc.is_in(column, nulls), pa.scalar(None, column.type), column)
        if pa.types.is_string(column.type)
        else column
        for column in batch.columns
    ]
    return type(batch).from_arrays(columns, names=batch.schema.names)


def odd_cell(error: BaseException, names: list[str]) -> tuple[str, str] | None:
    """Return (reason, remedy) of a cell that pyarrow could not convert; None of other errors.

    Rows count from 1, the first below the header.
    """
    found = _FAULT.search(str(error))
    if found is None or int(found[1]) >= len(names):
        return None
    number = not found[3].startswith("timestamp")
    wanted, remedy = ("number", MEND) if number else ("timestamp like those before it", ISO)
    place = f'row {int(found[2]) - 1}: column "{names[int(found[1])]}"'
    return f"{place} holds {found[4][:LONGEST]!r}, which is no {wanted}", remedy


def _first_cells(
    filesystem: pafs.FileSystem, file: HistoryFile, column: str, kind: pa.DataType | None
) -> pa.Array:
    """A column's cells of the first block, from which types are inferred."""
    convert = csv.ConvertOptions(
        include_columns=[column],
        column_types={} if kind is None else {column: kind},
        null_values=NO_NUMBER,
    )
    parse = csv.ParseOptions(newlines_in_values=True)
    with (
        filesystem.open_input_stream(file.path) as raw,
        csv.open_csv(raw, parse_options=parse, convert_options=convert) as opened,
    ):
        return opened.read_next_batch()[0]


def _time_type(filesystem: pafs.FileSystem, file: HistoryFile, column: str) -> pa.DataType:
    """The type of timestamps among which are words for empty cells; text if that is not all."""
    try:
        kind = _first_cells(filesystem, file, column, None).type
        odd = _odd_instant(_first_cells(filesystem, file, column, pa.string()).to_pylist())
    except FAULTS:
        return pa.string()
    if is_text(kind) and odd:
        raise ColumnError(f'column "{column}" holds {kind}; {odd}', ISO)
    return kind


def _odd_instant(cells: list[str]) -> str:
    """Which cell keeps timestamps from being read as such; "" where none is seen."""
    first: bool | None = None
    for row, cell in enumerate(cells, start=1):
        if cell in NO_NUMBER:
            continue
        try:
            aware = datetime.fromisoformat(cell).tzinfo is not None
        except ValueError:
            return f"row {row} holds {cell[:LONGEST]!r}, which is no ISO timestamp"
        if first is not None and aware != first:
            return f"row {row} names {'a' if aware else 'no'} zone, unlike those before it"
        first = aware
    return ""


def check_separator(filesystem: pafs.FileSystem, file: HistoryFile) -> None:
    """Raise `ColumnError` where something else than a comma seems to separate the columns."""
    try:
        with filesystem.open_input_stream(file.path) as raw:
            header = raw.read(HEADER_BYTES).decode("utf-8", "replace").split("\n", 1)[0]
    except FAULTS:
        return  # reading the schema tells it
    found = [name for mark, name in SEPARATORS.items() if mark in header and "," not in header]
    if found:
        raise ColumnError(
            f"the file seems to be separated by {found[0]}", "write it separated by commas"
        )


def csv_schema(
    filesystem: pafs.FileSystem,
    file: HistoryFile,
    schema: pa.Schema,
    mapping: Mapping[str, str],
    numbers: Sequence[str],
    texts: Sequence[str] = NAMES,
    instants: Sequence[str] = INSTANTS,
) -> pa.Schema:
    """Return a CSV's schema with ids as text and metrics as numbers, whatever they look like.

    ``numbers``, ``texts`` and ``instants`` are canonical names.

    Raises
    ------
    ColumnError
        The timestamps are text; the message names the first cell that is no timestamp.
    """
    types = {mapping.get(name, name): pa.string() for name in texts}
    for time in (mapping.get(name, name) for name in instants):
        if schema.names.count(time) == 1 and is_text(schema.field(time).type):
            types[time] = _time_type(filesystem, file, time)
    types |= {mapping.get(name, name): pa.float64() for name in numbers}
    return pa.schema([pa.field(f.name, types.get(f.name, f.type)) for f in schema])
