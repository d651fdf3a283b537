"""An order to move an alias from one version to another, and the snapshots that it rests on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal

from calhard.errors import InputError
from calhard.registry.snapshot import (
    Snapshot,
    read_snapshot,
    snapshot_nights,
    snapshot_servers,
)
from calhard.store import Out

Kind = Literal["rollback", "undo"]
ROLLBACK: Final = "rollback"
UNDO: Final = "undo"
AUDIT = "audit again with --mlflow-uri, so that a snapshot of the aliases is taken"


@dataclass(frozen=True, slots=True)
class Move:
    """Let an alias point at ``target`` instead of ``source``, because of an incident.

    Parameters
    ----------
    fleet, incident, night : what it is about; the night audited ``source``
    model, alias : of the registry at ``server``, its address without credentials
    created : when the registered model was made, ms since 1970: another of its name is not meant
    source, target : versions
    undoes : the key of the rollback that an undo takes back
    """

    kind: Kind
    fleet: str
    incident: str
    night: str
    model: str
    alias: str
    source: str
    target: str
    server: str
    created: int
    undoes: str = ""

    @property
    def key(self) -> str:
        """What the same order has in common with itself: carried out once, however often given."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]

    @property
    def undone(self) -> Move:
        """Return the order that takes this rollback back."""
        turned = replace(self, kind=UNDO, source=self.target, target=self.source)
        return replace(turned, undoes=self.key)

    @property
    def mirrored(self) -> Move:
        """Return the rollback that this undo takes back, if it is one."""
        return replace(self, kind=ROLLBACK, source=self.target, target=self.source, undoes="")

    @property
    def told(self) -> str:
        """Return it in words."""
        return (
            f"{self.kind} of {self.model}@{self.alias}: version {self.source} -> {self.target} "
            f"(incident {self.incident}, night {self.night})"
        )


@dataclass(frozen=True, slots=True)
class Shown:
    """What a snapshot shows under an alias."""

    night: str
    version: str
    verdict: str | None
    created: int


def plan_rollback(
    out: Out,
    model: str,
    *,
    incident: str,
    server: str | None = None,
    night: str | None = None,
    alias: str | None = None,
    target: str | None = None,
) -> Move:
    """Return the order that would put a registered model's previous version into service.

    The previous version is the one that the snapshots show under the alias before the one that
    ``night`` audited. Nothing is asked of a server, nor whether the order may be carried out: see
    `guards.refusals`.

    Parameters
    ----------
    model : the registered model's name
    server : the registry's address without credentials; needed where there are snapshots of several
    night : the latest snapshot's by default
    alias : needed where several are in service
    target : another version than the previous one

    Raises
    ------
    InputError
        No snapshot shows the model in service, or a version before the one in service.
    """
    snapshot = snapshot_of_night(out, night, server)
    row = _in_service(snapshot, model, alias)
    return Move(
        kind=ROLLBACK,
        fleet=str(snapshot.about["fleet"]),
        incident=incident,
        night=snapshot.night,
        model=model,
        alias=row["alias"],
        source=row["version"],
        target=target or _previous(out, snapshot, row),
        server=snapshot.server,
        created=row["created"],
    )


def _previous(out: Out, snapshot: Snapshot, row: dict[str, Any]) -> str:
    """The version that was under the alias before the one of a snapshot's row."""
    model, alias, source = row["registered_model"], row["alias"], row["version"]
    for shown in earlier(out, snapshot.server, model, alias, snapshot.night):
        if shown.version != source and shown.created == row["created"]:
            return shown.version
    raise InputError(
        f"{model}@{alias}: no snapshot shows a version before {source}; name one that was in "
        "service, or move the alias by hand"
    )


def snapshot_of_night(out: Out, night: str | None, server: str | None = None) -> Snapshot:
    """Return a night's snapshot, the latest by default, of the only server by default.

    Raises
    ------
    InputError
        There is none, or there are those of several servers.
    """
    servers = snapshot_servers(out) if server is None else [server]
    if len(servers) > 1:
        names = ", ".join(servers)
        raise InputError(f"{out}: there are snapshots of {names}; name one of them as server")
    place = servers[0] if servers else ""
    nights = snapshot_nights(out, place)
    wanted = night or (nights[-1] if nights else "")
    found = read_snapshot(out, wanted, place) if wanted in nights else None
    if found is None:
        which = f"of night {night}" if night else "of any night"
        which += f" at {server}" if server else ""
        raise InputError(f"{out}: no snapshot of the aliases {which}; {AUDIT}")
    return found


def earlier(out: Out, server: str, model: str, alias: str, before: str) -> Iterator[Shown]:
    """Yield what earlier snapshots show under an alias, the latest night first."""
    for night in reversed(snapshot_nights(out, server)):
        if night >= before:
            continue
        snapshot = read_snapshot(out, night, server)
        for row in () if snapshot is None else snapshot.of(model):
            if row["alias"] == alias:
                yield Shown(night, row["version"], row["verdict"], row["created"])


def _in_service(snapshot: Snapshot, model: str, alias: str | None) -> dict[str, Any]:
    rows = [r for r in snapshot.of(model) if r["in_service"] and alias in {None, r["alias"]}]
    if len(rows) > 1:
        names = ", ".join(row["alias"] for row in rows)
        raise InputError(f"{model}: {names} are in service on {snapshot.night}; name one of them")
    if not rows:
        under = f" under {alias}" if alias else ""
        raise InputError(
            f"{model}: the snapshot of {snapshot.night} shows no version in service{under}; check "
            "the name, [mlflow.registry] aliases and models"
        )
    return rows[0]
