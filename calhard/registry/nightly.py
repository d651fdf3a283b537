"""What a published night does with the registry: a snapshot of the aliases, verdicts as tags.

Nothing here ends a night otherwise than it was: what the registry refuses is told.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calhard.errors import CalhardError
from calhard.plan.duration import parse_duration
from calhard.plan.registry import Registry
from calhard.registry.catalogue import read_models
from calhard.registry.names import wanted
from calhard.registry.snapshot import Snapshot, keep, read_snapshot, snapshot_of
from calhard.registry.tags import write_verdicts
from calhard.registry.verdicts import model_verdicts
from calhard.store import NightReader, Out, list_nights

if TYPE_CHECKING:
    from calhard.sinks.mlflow.client import Server

ARTIFACT = "registry/aliases.parquet"
OFF = "[mlflow.registry] snapshots = false and verdicts = false leave the registry alone"


@dataclass(frozen=True, slots=True)
class RegisteredNight:
    """A night beside the registry; ``told`` is what a person must know, a line each."""

    server: Server
    snapshot: Snapshot | None = None
    told: tuple[str, ...] = ()
    is_latest: bool = True
    """Whether the verdicts are the latest: those of an earlier night speak no more."""

    def write(self, folder: Path) -> None:
        """Write the snapshot below a folder of artifacts, if there is one; the same every time."""
        if self.snapshot is not None:
            file = folder / ARTIFACT
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(self.snapshot.content())

    def tag(self, run_id: str) -> tuple[str, ...]:
        """Write the verdicts that changed to the versions in service; return what is to be told."""
        registry = self.server.settings.registry
        if self.snapshot is None or not (registry.verdicts and self.is_latest):
            return ()
        try:
            done = write_verdicts(self.server.client, self.snapshot, run_id, registry.max_tags)
        except CalhardError as e:
            return (f"registry: not every verdict was written ({e}); the next night goes on",)
        return tuple(done.told(self.server.shown))


def look_up(
    out: Out, night: NightReader, server: Server, *, clock: Callable[[], float] = time.time
) -> RegisteredNight:
    """Return a published night beside the registry, whose aliases are kept beside it.

    Only the latest night of ``out`` is set beside what the aliases point at now, and only while
    it is young (``max_age``); a night that has a snapshot of this server keeps it, with the
    verdicts of its latest revision: what another server's aliases pointed at means nothing here.
    A fleet of which nothing is registered leaves no trace.
    """
    registry = server.settings.registry
    if not (registry.snapshots or registry.verdicts):
        return RegisteredNight(server)
    try:
        return _looked_up(out, night, server, clock())
    except CalhardError as e:
        return RegisteredNight(server, None, (f"registry: no snapshot of the aliases: {e}; {OFF}",))


def _looked_up(out: Out, night: NightReader, server: Server, now: float) -> RegisteredNight:
    registry, about = server.settings.registry, _about(night)
    known = read_snapshot(out, night.night, server.shown)
    is_latest = list_nights(out)[-1] == night.night
    if known is not None and all(known.about.get(k) == v for k, v in about.items()):
        return RegisteredNight(server, known, is_latest=is_latest)
    if known is None and not is_latest:
        return RegisteredNight(server)
    verdicts = model_verdicts(night.table("health"))
    if known is not None:
        found = known.judged(verdicts, about)
    else:
        found = _taken(server, registry, verdicts, about, now)
        if not found.table.num_rows:
            return RegisteredNight(server)
        if now - _as_of(night) > parse_duration(registry.max_age) / 1e6:
            return RegisteredNight(server, None, (_too_old(night, registry),))
    if registry.snapshots:
        keep(out, found)
    return RegisteredNight(server, found, is_latest=is_latest)


def _taken(
    server: Server,
    registry: Registry,
    verdicts: dict[str, str],
    about: dict[str, Any],
    now: float,
) -> Snapshot:
    places = wanted(registry, sorted(verdicts))
    there = read_models(server.client, {place.model for place in places.values()})
    taken = datetime.fromtimestamp(now, tz=UTC).isoformat(timespec="seconds")
    about = about | {"server": server.shown, "taken_at": taken}
    return snapshot_of(places, there, verdicts, registry.aliases, about)


def _about(night: NightReader) -> dict[str, Any]:
    return {
        "night": night.night,
        "revision": night.revision,
        "manifest_sha256": night.manifest_sha256,
        "fleet": str(night.summary["fleet"]),
        "as_of": str(night.summary["as_of"]),
    }


def _as_of(night: NightReader) -> float:
    """The audit's moment, seconds since 1970."""
    return datetime.fromisoformat(night.summary["as_of"]).timestamp()


def _too_old(night: NightReader, registry: Registry) -> str:
    return (
        f"registry: night {night.night} is older than {registry.max_age}, and what the aliases "
        "point at now was perhaps not what it audited: no snapshot, no verdicts; [mlflow.registry] "
        "max_age allows more"
    )
