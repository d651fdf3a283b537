"""Who may move an alias now: numbered claims, each the immutable parameter of a run.

MLflow cannot compare and swap, but a parameter once logged never changes: of two who log one, the
first wins and the other sees it. The claims of an alias are numbered; who holds the last one may
move it, until it is closed. A claim of which the holder died is overtaken by the next number, and
whoever wakes up behind it sees that.

All claims of a registered model are parameters of one run, the ledger: made by whoever made its
experiment, of whose name there is but one. Should there ever be two ledgers, a claim counts that
was won on every one: the sets that two executors see are nested, so no two win on all.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from calhard.errors import InProgress
from calhard.registry.actions.move import Move
from calhard.sinks.mlflow.errors import MlflowFailed

if TYPE_CHECKING:
    from calhard.sinks.mlflow.client import Server

LEASE = 600.0
"""Seconds after which a claim counts as that of the dead."""


class ActionInProgress(InProgress):
    """Someone else is moving this alias right now."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One entry of the ledger; ``outcome`` is None while it is open."""

    number: int
    key: str
    owner: str
    host: str
    pid: int
    at: float
    outcome: str | None = None

    def is_dead(self, now: float) -> bool:
        """Whether its holder cannot go on: its process is gone, or its time is over."""
        if now - self.at > LEASE:
            return True
        return self.host == here() and not _is_running(self.pid)

    @property
    def who(self) -> str:
        """Return its holder in words."""
        return f"process {self.pid} on {self.host.partition(' ')[0]}"


def here() -> str:
    """Return where process numbers are told apart: machine, its start, container."""
    boot, space = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    try:
        return f"{socket.gethostname()} {boot.read_text().strip()} {space.readlink()}"
    except OSError:  # no Linux
        return socket.gethostname()


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@dataclass(frozen=True, slots=True)
class Ledger:
    """The claims of a registered model's aliases."""

    server: Server
    experiment_id: str
    runs: tuple[str, ...]
    owner: str = field(default_factory=lambda: uuid4().hex)

    def claims(self, move: Move) -> list[Claim]:
        """Return the claims of an order's alias, in order."""
        slot, found = _slot(move), dict[int, Claim]()
        for run_id in self.runs:
            params = self._params(run_id)
            for name, text in params.items():
                kind, _, rest = name.partition("/")
                if kind == "claim" and rest.startswith(f"{slot}/"):
                    number = int(rest.rpartition("/")[2])
                    claim = _claim(number, text, params.get(f"done/{rest}"))
                    found.setdefault(number, claim)
        return [found[number] for number in sorted(found)]

    def take(self, move: Move, now: float) -> Claim:
        """Claim an order's alias.

        Raises
        ------
        ActionInProgress
            Someone else holds it; the message says who, and for how long at most.
        """
        while True:
            last = next(reversed(self.claims(move)), None)
            if last is not None and last.outcome is None and not last.is_dead(now):
                left = max(0.0, LEASE - (now - last.at))
                raise ActionInProgress(
                    f"{move.model}@{move.alias} is being moved by {last.who} right now; if that "
                    f"has died, run again in {left:.0f} s"
                )
            number = 1 if last is None else last.number + 1
            claim = Claim(number, move.key, self.owner, here(), os.getpid(), now)
            if self._won(move, claim):
                return claim

    def is_last(self, claims: Sequence[Claim], claim: Claim) -> bool:
        """Whether a claim of this process is still the last one of its alias."""
        last = claims[-1] if claims else None
        return last is not None and (last.number, last.owner) == (claim.number, self.owner)

    def close(self, move: Move, claim: Claim, outcome: str) -> None:
        """Say what became of a claim; what was said first stays."""
        for run_id in self.runs:
            self._log(run_id, f"done/{_slot(move)}/{claim.number:06d}", outcome)

    def _won(self, move: Move, claim: Claim) -> bool:
        name, text = f"claim/{_slot(move)}/{claim.number:06d}", _text(claim)
        for run_id in self.runs:
            self._log(run_id, name, text)
            if self._params(run_id).get(name) != text:
                return False
        return True

    def _log(self, run_id: str, name: str, text: str) -> None:
        """Log a parameter unless another value is there: the caller looks which one it is."""
        try:
            self.server.client.log_param(run_id, name, text)
        except MlflowFailed as e:
            if e.code != "INVALID_PARAMETER_VALUE":
                raise

    def _params(self, run_id: str) -> dict[str, str]:
        return dict(self.server.client.get_run(run_id).data.params)


def _slot(move: Move) -> str:
    """What claims of one alias have in common."""
    text = json.dumps([move.model, move.alias])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _text(claim: Claim) -> str:
    told = {n: getattr(claim, n) for n in ("key", "owner", "host", "pid", "at")}
    return json.dumps(told, sort_keys=True)


def _claim(number: int, text: str, outcome: str | None) -> Claim:
    """A claim as it was logged; one that nobody of ours wrote counts as closed."""
    try:
        told = json.loads(text)
        return Claim(
            number,
            str(told["key"]),
            str(told["owner"]),
            str(told["host"]),
            int(told["pid"]),
            float(told["at"]),
            outcome,
        )
    except (ValueError, KeyError, TypeError):
        return Claim(number, "", "", "", 0, 0.0, outcome or "unreadable")
