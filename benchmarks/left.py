"""What audits leave in their folder: every file and folder, byte for byte, and who still writes."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

PATIENCE_SECONDS = 30.0
"""For workers of a process that was killed to end."""
TIMED = ("summary.json", "manifest.json")
"""The files that tell the time it took."""
FOLDER = b"a folder"


def tree(out: Path) -> Mapping[str, bytes]:
    """Return all that lies under a folder; folders count, so that none stays unseen."""
    return {
        path.relative_to(out).as_posix(): path.read_bytes() if path.is_file() else FOLDER
        for path in out.rglob("*")
    }


def files(out: Path) -> Mapping[str, bytes]:
    """Return all that lies under a folder, less what tells times and processes."""
    return {name: _timeless(name, content) for name, content in tree(out).items()}


def _timeless(name: str, content: bytes) -> bytes:
    if name.startswith(".locks/"):
        return b""
    if not name.endswith(TIMED):
        return content
    told = json.loads(content)
    told.pop("timings")
    if "files" in told:
        told["files"] = [file for file in told["files"] if file["name"] != "summary.json"]
    return json.dumps(told, sort_keys=True).encode()


def difference(one: Mapping[str, bytes], other: Mapping[str, bytes]) -> int:
    """Return how many bytes differ; those that one has and the other lacks are among them."""
    return sum(_differing(one.get(n, b""), other.get(n, b"")) for n in {*one, *other})


def _differing(one: bytes, other: bytes) -> int:
    if one == other:
        return 0
    shorter = min(len(one), len(other))
    pair = (np.frombuffer(content, np.uint8)[:shorter] for content in (one, other))
    return int(np.count_nonzero(np.not_equal(*pair))) + abs(len(one) - len(other))


def writers(out: Path) -> list[str]:
    """Return the processes that still have files under a folder open after some patience."""
    due = time.monotonic() + PATIENCE_SECONDS
    while (found := _open_under(out)) and time.monotonic() < due:
        time.sleep(0.05)
    return found


def _open_under(out: Path) -> list[str]:
    found = []
    for handle in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            target = str(handle.readlink())
        except OSError:  # another's process, or one that ended meanwhile
            continue
        if target.startswith(f"{out}{os.sep}"):
            found.append(f"process {handle.parts[2]} has {target} open")
    return found
