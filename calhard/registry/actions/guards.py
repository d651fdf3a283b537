"""Whether an alias may be moved: what the snapshots say, and what the registry says now."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from calhard.errors import CalhardError
from calhard.plan.duration import parse_duration
from calhard.registry.actions.move import ROLLBACK, Move, earlier
from calhard.registry.catalogue import VERDICT
from calhard.registry.snapshot import read_snapshot, snapshot_nights
from calhard.registry.verdicts import PASS
from calhard.sinks.mlflow.errors import MISSING, MlflowFailed
from calhard.store import Out

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

NOTHING = "INVALID_PARAMETER_VALUE"
"""What MLflow answers where a model has no such alias."""
READY = "READY"


def refusals(move: Move, out: Out, client: MlflowClient, *, max_age: str, now: float) -> list[str]:
    """Return every reason against carrying an order out; none where it may be.

    Raises
    ------
    MlflowFailed
        The registry does not answer.
    """
    told = list(_of_snapshots(move, out, max_age, now)) if move.kind == ROLLBACK else []
    return [*told, *_of_alias(move, client), *_of_target(move, client)]


def pointed_at(move: Move, client: MlflowClient) -> str | None:
    """Return the version that an order's alias points at now; None where it points at none."""
    try:
        return str(client.get_model_version_by_alias(move.model, move.alias).version)
    except MlflowFailed as e:
        if e.code in {MISSING, NOTHING}:
            return None
        raise


def _of_alias(move: Move, client: MlflowClient) -> Iterator[str]:
    now = pointed_at(move, client)
    if now != move.source:
        where = "points at nothing" if now is None else f"points at version {now}"
        yield (
            f"{move.model}@{move.alias} {where}, not at {move.source}, which the {move.kind} is "
            "about: somebody moved it; look again"
        )


def _of_target(move: Move, client: MlflowClient) -> Iterator[str]:
    try:
        version = client.get_model_version(move.model, move.target)
    except MlflowFailed as e:
        if e.code not in {MISSING, NOTHING}:
            raise
        yield f"{move.model} has no version {move.target} any more; choose another"
        return
    if version.status != READY:
        yield f"{move.model} version {move.target} is {version.status}, not {READY}"
    verdict = dict(version.tags or {}).get(VERDICT, PASS)
    if move.kind == ROLLBACK and verdict != PASS:
        yield f"{move.model} version {move.target} has the tag {VERDICT} = {verdict}, not {PASS}"


def _of_snapshots(move: Move, out: Out, max_age: str, now: float) -> Iterator[str]:
    try:
        yield from _of_night(move, out, max_age, now)
        yield from _of_history(move, out)
    except CalhardError as e:
        yield str(e)


def _of_night(move: Move, out: Out, max_age: str, now: float) -> Iterator[str]:
    """The night of the order must be the latest, young, and about what was in service."""
    nights = snapshot_nights(out)
    snapshot = read_snapshot(out, move.night) if move.night in nights else None
    if snapshot is None:
        yield f"no snapshot of night {move.night} shows what it audited"
        return
    if nights[-1] != move.night:
        yield f"night {nights[-1]} has spoken since {move.night}; plan with that one"
    if now - datetime.fromisoformat(snapshot.about["as_of"]).timestamp() > _seconds(max_age):
        yield f"night {move.night} is older than {max_age}; audit again first"
    rows = [r for r in snapshot.of(move.model) if r["alias"] == move.alias and r["in_service"]]
    if not rows or rows[0]["version"] != move.source:
        shown = rows[0]["version"] if rows else "none"
        yield f"night {move.night} audited version {shown}, not {move.source}"
    elif rows[0]["verdict"] in {PASS, None}:
        yield f"night {move.night} found nothing wrong with version {move.source}"


def _of_history(move: Move, out: Out) -> Iterator[str]:
    """The target must have been in service before, and have passed the last audit of it."""
    if move.target == move.source:
        yield f"version {move.target} is the one in service"
    shown = earlier(out, move.model, move.alias, move.night)
    last = next((s for s in shown if s.version == move.target and s.verdict), None)
    if last is None:
        yield (
            f"no snapshot shows that version {move.target} was audited in service as "
            f"{move.alias} before {move.night}"
        )
    elif last.verdict != PASS:
        yield f"version {move.target} did not pass its last audit: {last.verdict} on {last.night}"


def _seconds(duration: str) -> float:
    return parse_duration(duration) / 1e6
