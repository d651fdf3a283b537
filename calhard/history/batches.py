"""A file's schema and its rows, batch by batch, out of any container; damage told as such."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from pyarrow import csv

from calhard.history.account import DAMAGED
from calhard.history.cells import NO_NUMBER, odd_cell, without_nulls
from calhard.history.columns import KNOWN, ColumnPlan
from calhard.history.convert import value_type
from calhard.history.files import FAULTS, HistoryFile
from calhard.uri import is_remote, passes, told

BATCH_ROWS = 2**17
FLAG_WORDS = pa.dictionary(pa.int32(), pa.string())
"""Cells of a CSV that may be booleans or numbers; their few words are converted later."""


class Unreadable(Exception):
    """A file's bytes are not what its kind promises; the message says what was found."""

    def __init__(self, reason: str, remedy: str = DAMAGED, *, passing: bool = False) -> None:
        super().__init__(reason)
        self.remedy = remedy
        self.passing = passing
        """Whether storage failed, in a way that may pass."""

    @classmethod
    def of(cls, error: BaseException) -> Unreadable:
        """Return an error of pyarrow in one line."""
        if is_remote(error):
            remedy = "run again when that is mended"
            return cls(f"cannot be read: {told(error)}", remedy, passing=passes(error))
        lines = str(error).splitlines() or [type(error).__name__]
        return cls(f"cannot be read: {lines[0][:200]}", passing=passes(error))


def open_parquet(
    filesystem: pafs.FileSystem, path: str, text: Sequence[str] = ()
) -> pq.ParquetFile:
    """Open a Parquet file with page checksums verified; ``text`` columns come as dictionaries.

    Checksums are in the file only if its writer was told so. Without them a flipped bit in a value
    is a value like any other: only the metrics' ranges may show it.
    """
    return pq.ParquetFile(
        path,
        filesystem=filesystem,
        read_dictionary=list(text),
        page_checksum_verification=True,
        pre_buffer=False,
    )


def read_schema(filesystem: pafs.FileSystem, file: HistoryFile) -> pa.Schema:
    """Return a file's own schema.

    Raises
    ------
    Unreadable
        The file is damaged, or of another kind than its name says.
    """
    try:
        schema = _schema_of(filesystem, file)
        for field in schema:  # raises where a name or a zone is not UTF-8
            _ = field.name, getattr(value_type(field.type), "tz", None)
    except FAULTS as e:
        raise Unreadable.of(e) from e
    return schema


def _schema_of(filesystem: pafs.FileSystem, file: HistoryFile) -> pa.Schema:
    if file.kind == "parquet":
        with open_parquet(filesystem, file.path) as opened:
            _check_rows(opened.metadata)
            return opened.schema_arrow
    if file.kind == "ipc":
        with filesystem.open_input_file(file.path) as raw, pa.ipc.open_file(raw) as opened:
            return opened.schema
    with filesystem.open_input_stream(file.path) as raw, csv.open_csv(raw) as opened:
        return opened.schema


def _check_rows(metadata: pq.FileMetaData) -> None:
    """Raise where a footer contradicts itself; no checksum guards it, and rows would be lost."""
    rows = sum(metadata.row_group(g).num_rows for g in range(metadata.num_row_groups))
    if rows != metadata.num_rows:
        raise ValueError(f"row groups of {rows} rows where the footer says {metadata.num_rows}")


def read_batches(
    filesystem: pafs.FileSystem,
    file: HistoryFile,
    plan: ColumnPlan,
    row_groups: Sequence[int] | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield a file's batches of the planned columns, at most `BATCH_ROWS` rows each.

    Raises
    ------
    Unreadable
        The file is damaged.
    """
    try:
        if file.kind == "parquet":
            yield from _parquet_batches(filesystem, file, plan, row_groups)
        elif file.kind == "ipc":
            yield from _ipc_batches(filesystem, file, plan)
        else:
            yield from _csv_batches(filesystem, file, plan)
    except FAULTS as e:
        raise Unreadable.of(e) from e


def _parquet_batches(
    filesystem: pafs.FileSystem,
    file: HistoryFile,
    plan: ColumnPlan,
    row_groups: Sequence[int] | None,
) -> Iterator[pa.RecordBatch]:
    with open_parquet(filesystem, file.path, plan.text) as opened:
        groups = list(range(opened.num_row_groups) if row_groups is None else row_groups)
        promised = sum(opened.metadata.row_group(g).num_rows for g in groups)
        found = 0
        for batch in opened.iter_batches(
            BATCH_ROWS, row_groups=groups, columns=plan.needed, use_threads=False
        ):
            found += batch.num_rows
            yield batch
    if found != promised:
        raise ValueError(f"{found} rows where the footer says {promised}")


def _ipc_batches(
    filesystem: pafs.FileSystem, file: HistoryFile, plan: ColumnPlan
) -> Iterator[pa.RecordBatch]:
    with filesystem.open_input_file(file.path) as raw:
        with pa.ipc.open_file(raw) as opened:
            fields = [opened.schema.get_field_index(name) for name in plan.needed]
        options = pa.ipc.IpcReadOptions(included_fields=sorted(fields), use_threads=False)
        with pa.ipc.open_file(raw, options=options) as opened:
            for index in range(opened.num_record_batches):
                batch = opened.get_batch(index)
                _check_offsets(batch)
                yield from _sliced(batch)


def _check_offsets(batch: pa.RecordBatch) -> None:
    """Raise where a damaged batch points outside of itself: reading it would end the process."""
    for column in batch.columns:
        kind = column.type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            # As bytes: whether they are UTF-8 is told row by row.
            column.cast(pa.large_binary()).validate(full=True)
        elif pa.types.is_dictionary(kind):
            column.indices.validate(full=True)
            pa.DictionaryArray.from_arrays(column.indices, pa.nulls(len(column.dictionary)))
            _check_offsets(pa.RecordBatch.from_arrays([column.dictionary], ["words"]))
        else:
            column.validate(full=True)


def _csv_batches(
    filesystem: pafs.FileSystem, file: HistoryFile, plan: ColumnPlan
) -> Iterator[pa.RecordBatch]:
    """Batches of a CSV file. A file cut at the end of a line, or in its last cell, looks whole."""
    convert = csv.ConvertOptions(
        include_columns=plan.needed,
        column_types=_csv_types(plan),
        null_values=NO_NUMBER,
    )
    read = csv.ReadOptions(use_threads=False, block_size=2**24)
    parse = csv.ParseOptions(newlines_in_values=True)
    try:
        with (
            filesystem.open_input_stream(file.path) as raw,
            csv.open_csv(
                raw, read_options=read, parse_options=parse, convert_options=convert
            ) as opened,
        ):
            for batch in opened:
                yield from _sliced(without_nulls(batch))
    except pa.ArrowInvalid as e:
        told = odd_cell(e, _schema_of(filesystem, file).names)
        if told is None:
            raise
        raise Unreadable(*told) from e


def _csv_types(plan: ColumnPlan) -> Mapping[str, pa.DataType]:
    """Types of the columns, whatever the first rows look like."""
    types: dict[str, pa.DataType] = dict.fromkeys(plan.numbers, pa.float64())
    types |= dict.fromkeys((plan.source[name] for name in plan.flags), FLAG_WORDS)
    types |= dict.fromkeys((*plan.text, *plan.names), pa.string())
    types[plan.source["timestamp"]] = _csv_instant(plan.time)
    if KNOWN in plan.source:  # empty cells first, as of an older writer, tell no type
        kind = plan.time if pa.types.is_null(plan.known) else plan.known
        types[plan.source[KNOWN]] = _csv_instant(kind)
    return types


def _csv_instant(kind: pa.DataType) -> pa.DataType:
    """The type that also holds the later cells of a column whose first ones are of a type."""
    if pa.types.is_timestamp(kind) and kind.unit != "ns":
        return pa.timestamp("us", kind.tz)
    return pa.timestamp("us") if pa.types.is_date(kind) else kind


def _sliced(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    for start in range(0, batch.num_rows, BATCH_ROWS):
        yield batch.slice(start, BATCH_ROWS)
