"""The reliability bins that `calhard measure` keeps beside a history go with it, as they are."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pyarrow.fs as pafs

from calhard.history.bins import FOLDER
from calhard.history.files import list_files
from calhard.prepare.manifest import BinFile
from calhard.prepare.source import HistorySource
from calhard.store import disk


def bins_beside(source: HistorySource) -> dict[str, BinFile]:
    """Return the bin files beside a history's parts, by their names within its folder."""
    filesystem, root = source.filesystem, source.root
    place = f"{root}{FOLDER}"
    if filesystem.get_file_info(place).type != pafs.FileType.Directory:
        return {}
    files = list_files(filesystem, place)
    found = filesystem.get_file_info([file.path for file in files])
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
        with (
            source.filesystem.open_input_stream(f"{source.root}{name}") as old,
            disk.create(staged / name) as new,
        ):
            shutil.copyfileobj(old, new, disk.BUFFER)
    return {**before, **there}
