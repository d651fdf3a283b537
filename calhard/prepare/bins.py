"""The reliability bins that `calhard measure` keeps beside a history go with it, as they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow.fs as pafs

from calhard.errors import InputError
from calhard.history.bins import FOLDER
from calhard.history.files import FAULTS, list_files
from calhard.prepare.manifest import BinFile
from calhard.prepare.source import HistorySource, infos
from calhard.store import disk
from calhard.uri import told


def bins_beside(source: HistorySource) -> dict[str, BinFile]:
    """Return the bin files beside a history's parts, by their names within its folder."""
    filesystem, root = source.filesystem, source.root
    place = f"{root}{FOLDER}"
    if infos(filesystem, [place])[0].type != pafs.FileType.Directory:
        return {}
    files = list_files(filesystem, place)
    found = infos(filesystem, [file.path for file in files])
    return {
        f"{FOLDER}/{file.name}": BinFile(info.size or 0, info.mtime_ns or 0)
        for file, info in zip(files, found, strict=True)
    }


def copy_bins(
    source: HistorySource, staged: Path, before: Mapping[str, BinFile]
) -> dict[str, BinFile]:
    """Copy the bins that are new or changed to ``staged``; return those that are there then.

    Bins of periods that are gone stay, as the rows do.
    """
    there = bins_beside(source)
    for name in (name for name, file in there.items() if before.get(name) != file):
        disk.make_folder((staged / name).parent)
        with disk.create(staged / name) as file:
            for chunk in _chunks(source.filesystem, f"{source.root}{name}"):
                file.write(chunk)
    return {**before, **there}


def _chunks(filesystem: pafs.FileSystem, path: str) -> Iterator[bytes]:
    """Yield a file's bytes.

    Raises
    ------
    InputError
        It cannot be read.
    """
    try:
        with filesystem.open_input_stream(path) as stream:
            while chunk := stream.read(disk.BUFFER):
                yield chunk
    except FAULTS as e:
        raise InputError(f"{path}: cannot be read: {told(e)}") from e
