"""How much memory this process and its workers have: the machine's, or a container's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

LIMITS = ("memory.max", "memory.limit_in_bytes")
"""Of a control group, as the second and the first version of them name it."""


def machine_memory(root: Path = Path("/")) -> int | None:
    """Return the machine's memory in bytes, or the least limit of a control group, if that is less.

    None where the system does not tell.
    """
    found = [*_total(root / "proc" / "meminfo"), *_limits(root)]
    return min(found) if found else None


def _total(meminfo: Path) -> Iterator[int]:
    for line in _lines(meminfo):
        if line.startswith("MemTotal:"):
            yield int(line.split()[1]) * 1024


def _limits(root: Path) -> Iterator[int]:
    """Limits of this process's groups and of those above them; a container sees its own at /."""
    mounts = root / "sys" / "fs" / "cgroup"
    for line in _lines(root / "proc" / "self" / "cgroup"):
        _, kinds, path = line.split(":", 2)
        if kinds not in {"", "memory"}:
            continue
        below = PurePosixPath(path.strip()).relative_to("/")
        for folder in (below, *below.parents):
            for name in LIMITS:
                for told in _lines(mounts / kinds / folder / name):
                    if told.strip().isdecimal():
                        yield int(told)


def _lines(path: Path) -> list[str]:
    with suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    return []
