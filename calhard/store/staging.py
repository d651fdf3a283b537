"""Where on this machine a night is staged that goes to an object store."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from calhard.errors import PublishError
from calhard.store import disk
from calhard.store.layout import Layout
from calhard.store.place import RemotePath

OPTION = "[calibration.hardening.storage] scratch"


def staging_root(out: RemotePath, scratch: str | None) -> Path:
    """Return the local folder of what is staged for a place on a store."""
    base = _own_temporary() if scratch is None else Path(scratch).expanduser()
    return base / f"calhard-{hashlib.sha256(out.identity.encode()).hexdigest()[:16]}"


def _own_temporary() -> Path:
    """Make a folder that this user alone can enter; its name stays, so that a next try finds it."""
    path = Path(tempfile.gettempdir()) / f"calhard-{os.getuid()}"
    with suppress(FileExistsError):
        path.mkdir(0o700)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PublishError(
            f"{path}: is not a folder of this user alone; remove it, or name a folder: "
            f'{OPTION} = "/scratch/calhard"'
        )
    return path


def owner_of(layout: Layout[Path]) -> str:
    """Return the name by which one staging folder claims a night; its lock must be held."""
    path = layout.out / ".owners" / f"night={layout.night}"
    with suppress(OSError, ValueError):
        return _known(path.read_text("ascii"))
    disk.make_folder(path.parent)
    disk.write_bytes(path, uuid4().hex.encode())
    return path.read_text("ascii")


def _known(name: str) -> str:
    if len(name) != 32 or not name.isalnum():
        raise ValueError(name)
    return name
