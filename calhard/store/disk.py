"""The few operations by which a night touches the disk; every one of them may fail or be the last.

The store changes nothing on the disk but through these, and these through `os` alone, so a test can
break or end the process at each step.
"""

from __future__ import annotations

import ctypes
import errno
import io
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, cast

_EXCHANGE = 2
_AT_FDCWD = -100
BUFFER = 2**20
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}
_NO_EXCHANGE = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP}
_NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP}


def make_folder(path: Path) -> None:
    """Create a folder and its parents, to stay."""
    if path.is_dir():
        return
    make_folder(path.parent)
    try:
        os.mkdir(path)  # noqa: PTH102  # see the module's docstring
    except FileExistsError:
        if not path.is_dir():  # else another writer made it first
            raise
    sync(path.parent)


class _File(io.RawIOBase):
    """A new file, written by `os.write`."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        return os.write(self._handle, data)  # type: ignore[arg-type]  # any buffer; typeshed has no public name for it

    def close(self) -> None:
        if not self.closed:
            super().close()
            os.close(self._handle)


def create(path: Path) -> BinaryIO:
    """Open a new file for writing."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    return cast("BinaryIO", io.BufferedWriter(_File(handle), BUFFER))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file."""
    with create(path) as file:
        file.write(content)


def sync(path: Path) -> None:
    """Bring a file, or a folder's entries, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as e:
        if e.errno not in _NO_FOLDER_SYNC or not path.is_dir():
            raise
    finally:
        os.close(handle)


def sync_tree(path: Path) -> None:
    """Bring a folder and all in it to the disk."""
    for entry in sorted(path.iterdir()):
        if entry.is_dir():
            sync_tree(entry)
        else:
            sync(entry)
    sync(path)


def move(source: Path, target: Path) -> None:
    """Rename a folder; the target must not exist. What cannot be made to last is taken back."""
    os.rename(source, target)  # noqa: PTH104  # see the module's docstring
    try:
        _sync_parents(source, target)
    except OSError:
        with suppress(OSError):
            os.rename(target, source)  # noqa: PTH104
        raise


def replace(source: Path, target: Path) -> None:
    """Put a file in the place of another, or where there is none, in one step."""
    os.rename(source, target)  # noqa: PTH104  # see the module's docstring
    _sync_parents(source, target)


def remove(path: Path) -> None:
    """Remove a file."""
    os.unlink(path)  # noqa: PTH108  # see the module's docstring
    sync(path.parent)


def exchange(a: Path, b: Path) -> bool:
    """Swap two folders in one step; False where the system cannot."""
    code = _swap(a, b)
    if code in _NO_EXCHANGE:
        return False
    if code:
        raise OSError(code, os.strerror(code), str(a))
    try:
        _sync_parents(a, b)
    except OSError:
        _swap(a, b)
        raise
    return True


def _swap(a: Path, b: Path) -> int:
    """Return 0, or the number of the error."""
    if not sys.platform.startswith("linux"):
        return errno.ENOSYS
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "renameat2"):
        return errno.ENOSYS
    code = libc.renameat2(_AT_FDCWD, os.fsencode(a), _AT_FDCWD, os.fsencode(b), _EXCHANGE)
    return ctypes.get_errno() if code else 0


def _sync_parents(a: Path, b: Path) -> None:
    for parent in sorted({a.parent, b.parent}):
        sync(parent)


def keep(source: Path, target: Path) -> None:
    """Give a folder's files a second name in a new folder; copies where there are no hard links."""
    os.mkdir(target)  # noqa: PTH102  # see the module's docstring
    for entry in sorted(source.iterdir()):
        if entry.is_dir():
            keep(entry, target / entry.name)
        else:
            _link(entry, target / entry.name)
    sync(target)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError as e:
        if e.errno not in _NO_LINKS:
            raise
        with source.open("rb") as old, create(target) as new:
            shutil.copyfileobj(old, new, BUFFER)
        sync(target)


def remove_tree(path: Path) -> None:
    """Remove a folder and all in it, if it is there."""
    if os.path.lexists(path):
        shutil.rmtree(path)
