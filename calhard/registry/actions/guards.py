"""Whether an alias may be moved: what the snapshots say, and what the registry says now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from calhard.errors import CalhardError
from calhard.plan.duration import parse_duration
from calhard.registry.actions.ledger import Claim
from calhard.registry.actions.move import ROLLBACK, UNDO, Move, earlier
from calhard.registry.actions.undo import of_ledger
from calhard.registry.catalogue import Registered, registered
from calhard.registry.snapshot import read_snapshot, snapshot_nights
from calhard.registry.tags import bad_verdicts
from calhard.registry.verdicts import PASS
from calhard.sinks.mlflow.errors import MISSING, MlflowFailed
from calhard.store import Out

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

    from calhard.sinks.mlflow.client import Server

NOTHING = "INVALID_PARAMETER_VALUE"
"""What MLflow answers to a name that no model can have, or a version that is no number."""
READY = "READY"


def refusals(
    move: Move, out: Out, server: Server, claims: Sequence[Claim], *, now: float
) -> list[str]:
    """Return every reason against carrying an order out; none where it may be.

    The alias is looked at last, so that nothing lies between that and the setting.

    Parameters
    ----------
    claims : all that were ever made on the order's alias

    Raises
    ------
    MlflowFailed
        The registry does not answer.
    """
    wrong = list(_of_order(move, server))
    if wrong:
        return wrong
    if move.kind == UNDO:
        told = list(of_ledger(move, claims))
    else:
        told = list(_of_snapshots(move, out, server.settings.registry.max_age, now))
    return [*told, *_of_target(move, server.client), *_of_alias(move, server.client)]


def pointed_at(move: Move, client: MlflowClient) -> str | None:
    """Return the version that an order's alias points at now; None where it points at none."""
    there = _registered(move, client)
    return None if there is None else there.aliases.get(move.alias)


def _registered(move: Move, client: MlflowClient) -> Registered | None:
    try:
        return registered(client.get_registered_model(move.model))
    except MlflowFailed as e:
        if e.code in {MISSING, NOTHING}:
            return None
        raise


def _of_order(move: Move, server: Server) -> Iterator[str]:
    """What no order may be, whatever the registry says."""
    if move.kind not in {ROLLBACK, UNDO}:
        yield f"{move.kind!r} is no action; there are {ROLLBACK} and {UNDO}"
    if move.kind == ROLLBACK and move.undoes:
        yield f"a {ROLLBACK} undoes nothing"
    if move.server != server.shown:
        yield f"it is about the registry at {move.server}, and this is {server.shown}"


def _of_alias(move: Move, client: MlflowClient) -> Iterator[str]:
    there = _registered(move, client)
    if there is None:
        yield f"no model {move.model} is registered any more"
        return
    if there.created != move.created:
        yield (
            f"{move.model} was deleted and made anew since, its versions are others; audit again "
            "first"
        )
    now = there.aliases.get(move.alias)
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
    if move.kind == ROLLBACK:
        for tag, verdict in bad_verdicts(version.tags):
            yield f"{move.model} version {move.target} has the tag {tag} = {verdict}, not {PASS}"


def _of_snapshots(move: Move, out: Out, max_age: str, now: float) -> Iterator[str]:
    try:
        yield from _of_night(move, out, max_age, now)
        yield from _of_history(move, out)
    except CalhardError as e:
        yield str(e)


def _of_night(move: Move, out: Out, max_age: str, now: float) -> Iterator[str]:
    """The night of the order must be the latest, young, and about what was in service."""
    nights = snapshot_nights(out, move.server)
    snapshot = read_snapshot(out, move.night, move.server) if move.night in nights else None
    if snapshot is None:
        yield f"no snapshot of night {move.night} shows what it audited"
        return
    if snapshot.about["fleet"] != move.fleet:
        yield f"night {move.night} is of fleet {snapshot.about['fleet']}, not {move.fleet}"
    if nights[-1] != move.night:
        yield f"night {nights[-1]} has spoken since {move.night}; plan with that one"
    if now - datetime.fromisoformat(snapshot.about["as_of"]).timestamp() > _seconds(max_age):
        yield f"night {move.night} is older than {max_age}; audit again first"
    rows = [r for r in snapshot.of(move.model) if r["alias"] == move.alias and r["in_service"]]
    if rows and rows[0]["created"] != move.created:
        yield f"night {move.night} audited another model of the name {move.model}"
    if not rows or rows[0]["version"] != move.source:
        shown = rows[0]["version"] if rows else "none"
        yield f"night {move.night} audited version {shown}, not {move.source}"
    elif rows[0]["verdict"] in {PASS, None}:
        yield f"night {move.night} found nothing wrong with version {move.source}"


def _of_history(move: Move, out: Out) -> Iterator[str]:
    """The target must have been in service before, and have passed the last audit of it."""
    if move.target == move.source:
        yield f"version {move.target} is the one in service"
    shown = earlier(out, move.server, move.model, move.alias, move.night)
    mine = (s for s in shown if s.created == move.created and s.version == move.target)
    last = next((s for s in mine if s.verdict), None)
    if last is None:
        yield (
            f"no snapshot shows that version {move.target} was audited in service as "
            f"{move.alias} before {move.night}"
        )
    elif last.verdict != PASS:
        yield f"version {move.target} did not pass its last audit: {last.verdict} on {last.night}"


def _seconds(duration: str) -> float:
    return parse_duration(duration) / 1e6
