"""An order to move an alias from one version to another, and the snapshots that it rests on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from calhard.errors import InputError
from calhard.registry.snapshot import Snapshot, read_snapshot, snapshot_nights
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
    model, alias : of the registry
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
    undoes: str = ""

    @property
    def key(self) -> str:
        """What the same order has in common with itself: carried out once, however often given."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]

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


def plan_rollback(
    out: Out,
    model: str,
    *,
    incident: str,
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
    night : the latest snapshot's by default
    alias : needed where several are in service
    target : another version than the previous one

    Raises
    ------
    InputError
        No snapshot shows the model in service, or a version before the one in service.
    """
    snapshot = snapshot_of_night(out, night)
    row = _in_service(snapshot, model, alias)
    source = row["version"]
    if target is None:
        before = earlier(out, model, row["alias"], snapshot.night)
        found = next((shown for shown in before if shown.version != source), None)
        if found is None:
            raise InputError(
                f"{model}@{row['alias']}: no snapshot shows a version before {source}; name one "
                "that was in service, or move the alias by hand"
            )
        target = found.version
    return Move(
        ROLLBACK,
        str(snapshot.about["fleet"]),
        incident,
        snapshot.night,
        model,
        row["alias"],
        source,
        target,
    )


def snapshot_of_night(out: Out, night: str | None) -> Snapshot:
    """Return a night's snapshot, the latest by default.

    Raises
    ------
    InputError
        There is none.
    """
    nights = snapshot_nights(out)
    wanted = night or (nights[-1] if nights else "")
    found = read_snapshot(out, wanted) if wanted in nights else None
    if found is None:
        which = f"of night {night}" if night else "of any night"
        raise InputError(f"{out}: no snapshot of the aliases {which}; {AUDIT}")
    return found


def earlier(out: Out, model: str, alias: str, before: str) -> Iterator[Shown]:
    """Yield what earlier snapshots show under an alias, the latest night first."""
    for night in reversed(snapshot_nights(out)):
        if night >= before:
            continue
        snapshot = read_snapshot(out, night)
        for row in () if snapshot is None else snapshot.of(model):
            if row["alias"] == alias:
                yield Shown(night, row["version"], row["verdict"])


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
