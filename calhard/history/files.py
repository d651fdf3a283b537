"""The files of a history: where they are, how they are read, what their footers say."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from pyarrow import csv

from calhard.errors import InputError
from calhard.history.columns import ColumnPlan

BATCH_ROWS = 2**17
SUFFIXES = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "ipc",
    ".ipc": "ipc",
    ".feather": "ipc",
    ".csv": "csv",
}
CSV_NULLS = ["", "null", "NULL", "NA", "N/A"]
"""Empty cells; "NaN" is no empty cell but a value that is not finite."""


@dataclass(frozen=True, slots=True)
class HistoryFile:
    """One file: its path in the filesystem, its name for people, and what its path says."""

    path: str
    name: str
    kind: str
    constants: tuple[tuple[str, str], ...] = ()


def open_source(source: str | os.PathLike[str]) -> tuple[pafs.FileSystem, str]:
    """Return the filesystem and path of a file, folder or URI.

    Raises
    ------
    InputError
        Nothing is there, or the URI's scheme is unknown.
    """
    text = os.fspath(source)
    if "://" in text:
        try:
            filesystem, path = pafs.FileSystem.from_uri(text)
        except (pa.ArrowInvalid, OSError) as e:
            raise InputError(f"{text}: cannot open the URI: {e}") from e
    else:
        filesystem, path = pafs.LocalFileSystem(), str(Path(text).absolute())
    try:
        info = filesystem.get_file_info(path)
    except OSError as e:
        raise InputError(f"{text}: {e}") from e
    if info.type == pafs.FileType.NotFound:
        raise InputError(f"{text}: no such file or folder")
    return filesystem, path


def list_files(filesystem: pafs.FileSystem, root: str) -> list[HistoryFile]:
    """Return the files of a history in the order of their names.

    Names that begin with ``_`` or ``.`` are not part of it. ``key=value`` folders are columns.
    """
    info = filesystem.get_file_info(root)
    if info.type == pafs.FileType.File:
        name = PurePosixPath(root).name
        return [HistoryFile(root, name, _kind(name) or _sniff(filesystem, root))]
    found = []
    for entry in filesystem.get_file_info(pafs.FileSelector(root, recursive=True)):
        name = entry.path[len(root) :].lstrip("/")
        parts = PurePosixPath(name).parts
        if entry.type != pafs.FileType.File or any(p.startswith(("_", ".")) for p in parts):
            continue
        found.append(HistoryFile(entry.path, name, _kind(name), _partitions(parts[:-1])))
    return sorted(found, key=lambda f: f.name)


def _kind(name: str) -> str:
    return SUFFIXES.get(PurePosixPath(name).suffix.lower(), "")


def _sniff(filesystem: pafs.FileSystem, path: str) -> str:
    with filesystem.open_input_stream(path) as stream:
        head = stream.read(6)
    if head[:4] == b"PAR1":
        return "parquet"
    return "ipc" if head == b"ARROW1" else "csv"


def _partitions(folders: Sequence[str]) -> tuple[tuple[str, str], ...]:
    pairs = [folder.split("=", 1) for folder in folders if "=" in folder]
    return tuple((key, unquote(value)) for key, value in pairs)


def open_parquet(
    filesystem: pafs.FileSystem, path: str, text: Sequence[str] = ()
) -> pq.ParquetFile:
    """Open a Parquet file with checksums verified; ``text`` columns come as dictionaries."""
    return pq.ParquetFile(
        path,
        filesystem=filesystem,
        read_dictionary=list(text),
        page_checksum_verification=True,
        pre_buffer=False,
    )


def read_schema(filesystem: pafs.FileSystem, file: HistoryFile) -> pa.Schema:
    """Return a file's own schema."""
    if file.kind == "parquet":
        with open_parquet(filesystem, file.path) as opened:
            return opened.schema_arrow
    if file.kind == "ipc":
        with filesystem.open_input_file(file.path) as raw, pa.ipc.open_file(raw) as opened:
            return opened.schema
    with filesystem.open_input_stream(file.path) as raw, csv.open_csv(raw) as opened:
        return opened.schema


def read_batches(
    filesystem: pafs.FileSystem,
    file: HistoryFile,
    plan: ColumnPlan,
    row_groups: Sequence[int] | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield a file's batches of the planned columns, at most `BATCH_ROWS` rows each."""
    columns = plan.needed
    if file.kind == "parquet":
        with open_parquet(filesystem, file.path, plan.text) as opened:
            groups = range(opened.num_row_groups) if row_groups is None else row_groups
            yield from opened.iter_batches(
                BATCH_ROWS, row_groups=list(groups), columns=columns, use_threads=False
            )
    elif file.kind == "ipc":
        with filesystem.open_input_file(file.path) as raw, pa.ipc.open_file(raw) as opened:
            for index in range(opened.num_record_batches):
                yield from _sliced(opened.get_batch(index).select(columns))
    else:
        yield from _csv_batches(filesystem, file, plan)


def _csv_batches(
    filesystem: pafs.FileSystem, file: HistoryFile, plan: ColumnPlan
) -> Iterator[pa.RecordBatch]:
    keys = [plan.source[key] for key in ("model_id", "class_id") if key in plan.source]
    types = dict.fromkeys(plan.numbers, pa.float64()) | dict.fromkeys(plan.text, pa.string())
    convert = csv.ConvertOptions(
        include_columns=plan.needed,
        column_types=types | dict.fromkeys(keys, pa.string()),
        null_values=CSV_NULLS,
        strings_can_be_null=True,
    )
    read = csv.ReadOptions(use_threads=False, block_size=2**24)
    with (
        filesystem.open_input_stream(file.path) as raw,
        csv.open_csv(raw, read_options=read, convert_options=convert) as opened,
    ):
        for batch in opened:
            yield from _sliced(batch)


def _sliced(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    for start in range(0, batch.num_rows, BATCH_ROWS):
        yield batch.slice(start, BATCH_ROWS)
