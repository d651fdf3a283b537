"""Whether a killed process was killed by the system, for want of memory."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

COUNTER = Path("/proc/vmstat")


def system_killings(path: Path = COUNTER) -> int | None:
    """Return how many processes the kernel has killed for want of memory; None: it does not tell.

    It counts before it kills, and its count is the whole machine's, in containers too.
    """
    with suppress(OSError, ValueError):
        for line in path.read_text(encoding="ascii", errors="replace").splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
    return None


class Killings:
    """Tells the system's killings since it was made from others."""

    def __init__(self, path: Path = COUNTER) -> None:
        self._path = path
        self._seen = system_killings(path)

    def by_the_system(self) -> bool:
        """Return whether the system has killed since the last question; True if nobody can tell."""
        now = system_killings(self._path)
        if now is None or self._seen is None:
            return True
        risen, self._seen = now > self._seen, now
        return risen
