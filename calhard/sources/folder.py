"""The folder of one fetch: its own, gone when it is done with, swept when its process died."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from calhard.store import disk

SOURCES, LOCK = ".sources", "_lock"
ABANDONED_SECONDS = 86_400
"""A folder without a lock is younger while its owner is about to take it."""


@contextmanager
def own_folder(base: Path | None) -> Iterator[Path]:
    """Give a new folder under ``BASE/.sources``, or a temporary one, and remove it at the end.

    Folders of processes that died are removed first; the system drops a lock with its holder.
    """
    if base is None:
        with TemporaryDirectory(prefix="calhard-") as name:
            yield Path(name)
        return
    root = base / SOURCES
    sweep(root)
    folder = root / uuid4().hex
    disk.make_folder(folder)
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        with suppress(OSError):  # a store that knows no locks; a day later it is swept all the same
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield folder
    finally:
        disk.remove_tree(folder)
        os.close(handle)
        with suppress(OSError):
            root.rmdir()  # unless another fetch is in it


def sweep(root: Path) -> None:
    """Remove folders that nobody holds any more."""
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        if _is_left(folder):
            disk.remove_tree(folder)


def _is_left(folder: Path) -> bool:
    try:
        handle = os.open(folder / LOCK, os.O_RDWR)
    except OSError:
        with suppress(OSError):
            return time.time() - folder.stat().st_mtime > ABANDONED_SECONDS
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True
