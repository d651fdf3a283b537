"""The machine: processors, memory, the disk of the nights and its clock."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from calhard.doctor.finding import Finding, note, ok, wrong
from calhard.engines.local import usable_cores

GIB = 2**30
LEAST_MEMORY = 1.0
"""GiB for each worker process."""
LEAST_DISK = 1.0
"""GiB."""
SKEW_SECONDS = 2.0
"""Between the clock and the times of files; some file systems tell whole seconds alone."""


def machine(out: Path) -> Iterator[Finding]:
    """Examine the machine, and the folder that nights go to."""
    cores = usable_cores()
    yield ok("cores", f"{cores} usable of {os.cpu_count() or cores}")
    yield memory(available_memory(), cores)
    yield from folder(out)


def memory(free: float | None, cores: int) -> Finding:
    """Judge so much free memory, GiB, for so many workers."""
    if free is None:
        return note("memory", "how much is free cannot be told on this system")
    told = f"{free:.1f} GiB free for {cores} workers"
    if free < LEAST_MEMORY * cores:
        fewer = max(int(free / LEAST_MEMORY), 1)
        return note("memory", told, f"try --workers {fewer} where an audit runs out of it")
    return ok("memory", told)


def available_memory(root: Path = Path("/")) -> float | None:
    """Return what is free in GiB, by the system or by a container's limit, whichever is less."""
    told = _lines(root / "proc" / "meminfo")
    found = [int(line.split()[1]) * 1024 for line in told if line.startswith("MemAvailable:")]
    group = root / "sys" / "fs" / "cgroup"
    limit, used = (next(_lines(group / f"memory.{name}"), "") for name in ("max", "current"))
    if limit.isdecimal() and used.isdecimal():
        found.append(max(int(limit) - int(used), 0))
    return min(found) / GIB if found else None


def folder(out: Path, clock: Callable[[], float] = time.time) -> Iterator[Finding]:
    """Examine a folder, or where it would be created: can it be written, its clock, its room."""
    there = next(place for place in (out.absolute(), *out.absolute().parents) if place.exists())
    if not there.is_dir():
        yield wrong("out", f"{there} is no folder", "name another --out")
        return
    try:
        with tempfile.NamedTemporaryFile(dir=there, prefix=".calhard-doctor-") as file:
            file.write(b"x")
            file.flush()
            os.fsync(file.fileno())
            written, now = os.fstat(file.fileno()).st_mtime, clock()
    except OSError as e:
        yield wrong("out", f"{there} cannot be written ({e.strerror})", "mend that, or name --out")
        return
    yield ok("out", f"{there} can be written")
    yield _clock(written - now)
    yield _room(there)


def _clock(ahead: float) -> Finding:
    if abs(ahead) <= SKEW_SECONDS:
        return ok("clock", f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}, as the files'")
    way = "ahead of" if ahead > 0 else "behind"
    told = f"the time of new files is {abs(ahead):.0f} s {way} this machine's clock"
    return wrong("clock", told, "set both by NTP: rows from the future are refused")


def _room(there: Path) -> Finding:
    free = shutil.disk_usage(there).free / GIB
    told = f"{free:.1f} GiB free at {there}"
    if free < LEAST_DISK:
        return wrong("disk", told, "calhard prune drops old nights")
    return ok("disk", told)


def _lines(path: Path) -> Iterator[str]:
    try:
        yield from path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
