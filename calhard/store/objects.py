"""Puts, copies and removes nights on an object store, file by file, the manifest apart."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs

from calhard.store.place import BLOCK, RemotePath, sha256_of, size_of
from calhard.store.reader import MANIFEST

AT_ONCE = 8
"""Files that are on their way at a time."""
COPIED_WHOLE = 5 * 2**30
"""Bytes that S3 copies in one request; what is larger is read and put."""
OTHERWISE = "what was put reads back otherwise; run again, and look into the store if it stays so"


def upload(folder: Path, target: RemotePath, files: Sequence[Mapping[str, Any]]) -> None:
    """Put files and read each back; ``files`` tells name and sha256 of each."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        tasks = [
            pool.submit(_put, folder / file["name"], target / file["name"], file["sha256"])
            for file in files
        ]
        try:
            for task in tasks:
                task.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _put(source: Path, target: RemotePath, sha256: str) -> None:
    with source.open("rb") as old, target.filesystem.open_output_stream(target.key) as new:
        shutil.copyfileobj(old, new, BLOCK)
    if size_of(target) != source.stat().st_size or sha256_of(target) != sha256:
        raise OSError(f"{target}: {OTHERWISE}")


def copy(source: RemotePath, target: RemotePath) -> None:
    """Copy a night within the store, its manifest last."""
    there = source.objects()
    for name in sorted(there, key=lambda n: (n == MANIFEST, n)):
        _copy(source / name, target / name, there[name].size)
    if {n: i.size for n, i in target.objects().items()} != {n: i.size for n, i in there.items()}:
        raise OSError(f"{target}: {OTHERWISE}")


def _copy(source: RemotePath, target: RemotePath, size: int) -> None:
    if size <= COPIED_WHOLE:
        source.filesystem.copy_file(source.key, target.key)
    else:
        pafs.copy_files(
            source.key,
            target.key,
            source_filesystem=source.filesystem,
            destination_filesystem=target.filesystem,
        )


def clear(place: RemotePath) -> None:
    """Remove a night, its manifest first, so that it never shows in part."""
    there = place.objects()
    if MANIFEST in there:
        (place / MANIFEST).unlink(missing_ok=True)
    if there:
        with suppress(FileNotFoundError):
            place.filesystem.delete_dir(place.key)
