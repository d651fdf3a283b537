"""One writer per night or history: a lock that the system drops when its holder dies."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from calhard.errors import InProgress, NightInProgress
from calhard.store import disk


@contextmanager
def held(path: Path, night: str) -> Iterator[None]:
    """Hold a night's lock.

    Raises
    ------
    NightInProgress
        Another process holds it; the message names it.
    """
    with locked(path, f"night {night}", NightInProgress):
        yield


@contextmanager
def locked(path: Path, subject: str, refused: type[InProgress]) -> Iterator[None]:
    """Hold the lock of what one writes at a time; raise ``refused`` where another process does."""
    disk.make_folder(path.parent)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 200, 0).decode("utf-8", "replace").strip()
            raise refused(
                f"{subject} is being written by {holder or 'another process'} right now"
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        yield
    finally:
        os.close(handle)  # closing drops the lock; the file stays, so that no one locks a ghost
