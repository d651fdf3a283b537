"""One writer per night on an object store, which has no locks: a claim is put, then looked for.

Each writer puts an object of its own beside the others', then lists them. Stores list what was put
before, so of two writers at least one sees the other: never do both find themselves alone. Who is
not alone gives way to whoever holds the night, or to the older claim; the older one waits until it
is alone. Ages are told by the store's clock. A claim that was not renewed for `LEASE` is that of a
writer that died, or that was stopped for as long; it is swept, and its writer, should it wake up,
looks for its claim before it shows anything (in the moment between that look and the next request
it could still be wrong: a lock on an object store can do no better).
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from calhard.errors import NightInProgress, PublishError
from calhard.store.place import FAULTS, RemotePath

LEASE = timedelta(minutes=15)
RENEWALS = 5
"""How often a claim is renewed within a lease."""
PATIENCE = 30.0
"""Seconds for which an older claim waits for a younger one to give way."""
PAUSE = 0.2
HOLDS = "holds"


@dataclass(frozen=True, slots=True)
class Claim:
    """A writer's claim to a night: ``folder`` holds the claims, ``owner`` is this one's name."""

    folder: RemotePath
    night: str
    owner: str

    @property
    def _mine(self) -> str:
        return f"{self.owner}.json"

    def check(self) -> None:
        """Refuse to go on where someone else has taken the night over meanwhile.

        Raises
        ------
        PublishError
            The claim is gone.
        """
        if self._mine not in self.folder.objects():
            raise PublishError(
                f"night {self.night}: this process stood still for longer than {_span(LEASE)}, and "
                "another may have taken the night over; nothing was published: run again"
            )

    def take(self) -> None:
        """Hold the night, or give way.

        Raises
        ------
        NightInProgress
            Someone else writes it; the message says who, and since when.
        """
        try:
            self.put("claims")
            self._outlast()
            self.put(HOLDS)
        except BaseException:
            self.drop()
            raise

    def _outlast(self) -> None:
        """Wait until no other claim is there."""
        until = time.monotonic() + PATIENCE
        while rival := self._rival():
            if rival.must_wait and time.monotonic() < until:
                time.sleep(PAUSE)
                continue
            raise NightInProgress(
                f"night {self.night} is being written by {rival.who} right now; if that has died, "
                f"run again {_span(LEASE)} after it did, or remove {self.folder / rival.name}"
            )

    def put(self, state: str) -> None:
        """Put the claim, or renew it."""
        who = f"process {os.getpid()} on {socket.gethostname()}"
        (self.folder / self._mine).write_bytes(json.dumps({"who": who, "state": state}).encode())

    def renew(self) -> bool:
        """Renew it if it is still there; return whether it is."""
        if self._mine not in self.folder.objects():
            return False
        self.put(HOLDS)
        return True

    def drop(self) -> None:
        """Take the claim back; one that cannot be is swept when its lease is over."""
        with suppress(*FAULTS):
            self._remove(self._mine)

    def _rival(self) -> _Rival | None:
        """One that has the night, or may have it; None where this writer is alone."""
        there = self.folder.objects()
        mine = there.pop(self._mine, None)
        if mine is None:
            return _Rival(self._mine, "another process", must_wait=False)
        waiting = None
        for name, info in there.items():
            if mine.mtime - info.mtime > LEASE:
                self._remove(name)
                continue
            told = self._told(name)
            is_younger = (mine.mtime_ns, self._mine) < (info.mtime_ns, name)
            if told.get("state") != HOLDS and is_younger:
                waiting = _Rival(name, str(told.get("who", "another process")), must_wait=True)
                continue
            return _Rival(name, str(told.get("who", "another process")), must_wait=False)
        return waiting

    def _told(self, name: str) -> dict[str, Any]:
        """What a claim says; nothing where it has just been taken back."""
        try:
            content = json.loads((self.folder / name).read_bytes())
        except (*FAULTS, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def _remove(self, name: str) -> None:
        (self.folder / name).unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class _Rival:
    """Another's claim; ``must_wait``: it is younger and gives way."""

    name: str
    who: str
    must_wait: bool


def _span(span: timedelta) -> str:
    return f"{round(span.total_seconds() / 60)} minutes"


@contextmanager
def claimed(folder: RemotePath, night: str, owner: str) -> Iterator[Claim]:
    """Hold a night, and renew the claim to it as long as the context lasts.

    ``owner`` must be one writer's at a time; its own claim of an earlier try, which died, is taken
    up again at once.

    Raises
    ------
    NightInProgress
        Someone else writes the night.
    """
    claim = Claim(folder, night, owner)
    claim.take()
    over = threading.Event()
    keeper = threading.Thread(target=_keep, args=(claim, over), daemon=True)
    keeper.start()
    try:
        yield claim
    finally:
        over.set()
        keeper.join()
        claim.drop()


def _keep(claim: Claim, over: threading.Event) -> None:
    """Renew a claim until all is over, or it is gone; a store that is down is asked again."""
    while not over.wait(LEASE.total_seconds() / RENEWALS):
        with suppress(*FAULTS):
            if not claim.renew():
                return
