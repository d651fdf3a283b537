"""The files of a history: where they are and what their paths say."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.fs as pafs

from calhard.errors import InputError
from calhard.uri import no_such, open_uri, shown, told

SUFFIXES = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "ipc",
    ".ipc": "ipc",
    ".feather": "ipc",
    ".csv": "csv",
}
FAULTS = (
    *(pa.ArrowException, OSError, EOFError, MemoryError),
    *(ValueError, TypeError, LookupError, ArithmeticError, RuntimeError),
)
"""All that pyarrow raises on damaged bytes: C++ exceptions arrive as Python's own."""
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
"""What Hive and Spark name the folder of rows whose key is null."""


@dataclass(frozen=True, slots=True)
class HistoryFile:
    """One file: its path in the filesystem, its name for people, and what its path says."""

    path: str
    name: str
    kind: str
    constants: tuple[tuple[str, str], ...] = ()


def open_source(
    source: str | os.PathLike[str], filesystem: pafs.FileSystem | None = None
) -> tuple[pafs.FileSystem, str]:
    """Return the filesystem and path of a file, folder or URI; a path within ``filesystem`` if any.

    Raises
    ------
    InputError
        Nothing is there, or the URI's scheme is unknown.
    """
    text = os.fspath(source)
    if filesystem is not None:
        path = text
    elif "://" in text:
        filesystem, path = open_uri(text)
        text = shown(text)
    else:
        filesystem, path = pafs.LocalFileSystem(), str(Path(text).absolute())
    try:
        info = filesystem.get_file_info(path)
        missing = no_such(filesystem, path) if info.type == pafs.FileType.NotFound else ""
    except FAULTS as e:
        raise InputError(f"{text!r}: cannot be opened: {told(e)}") from e
    if missing:
        raise InputError(f"{text}: {missing}")
    return filesystem, path


def list_files(filesystem: pafs.FileSystem, root: str) -> list[HistoryFile]:
    """Return the files of a history in the order of their names.

    Names that begin with ``_`` or ``.`` are not part of it. ``key=value`` folders are columns.

    Raises
    ------
    InputError
        A folder cannot be listed.
    """
    try:
        return sorted(_listed(filesystem, root), key=lambda f: f.name)
    except UnicodeDecodeError as e:
        raise InputError(f"{root}: a file's name is not UTF-8 ({e.object!r}); rename it") from e
    except (pa.ArrowException, OSError) as e:
        raise InputError(f"{root}: cannot be listed: {told(e)}") from e


def _listed(filesystem: pafs.FileSystem, root: str) -> Iterator[HistoryFile]:
    info = filesystem.get_file_info(root)
    if info.type == pafs.FileType.File:
        name = PurePosixPath(root).name
        yield HistoryFile(root, name, _kind(name) or _sniff(filesystem, root))
        return
    for entry in filesystem.get_file_info(pafs.FileSelector(root, recursive=True)):
        name = entry.path[len(root) :].lstrip("/")
        parts = PurePosixPath(name).parts
        if entry.type == pafs.FileType.File and not any(p.startswith(("_", ".")) for p in parts):
            yield HistoryFile(entry.path, name, _kind(name), _partitions(parts[:-1]))


def _kind(name: str) -> str:
    return SUFFIXES.get(PurePosixPath(name).suffix.lower(), "")


def _sniff(filesystem: pafs.FileSystem, path: str) -> str:
    with filesystem.open_input_stream(path) as stream:
        head = stream.read(6)
    if head[:4] == b"PAR1":
        return "parquet"
    return "ipc" if head == b"ARROW1" else "csv"


def _partitions(folders: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Keys and values of folders, percent-decoded; bytes that are not UTF-8 come as surrogates."""
    pairs = [folder.split("=", 1) for folder in folders if "=" in folder]
    return tuple(
        (unquote(key), "" if value == NO_VALUE else unquote(value, errors="surrogateescape"))
        for key, value in pairs
    )
