"""What became of an order: a file beside the nights, and a run in MLflow."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from calhard.errors import InputError
from calhard.registry.actions.books import KIND
from calhard.registry.actions.ledger import Claim
from calhard.registry.actions.move import Move
from calhard.registry.kept import parsed, put
from calhard.registry.snapshot import FOLDER
from calhard.sinks.mlflow.limits import plain
from calhard.store import Out, Place, place_of

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

KEY, OUTCOME, ACTION = "calhard.action_key", "calhard.outcome", "action"
NOTE = "mlflow.note.content"
LONGEST = 5_000
"""Characters of a tag or a parameter."""


def record_place(out: Out, key: str) -> Place:
    """Return the file of an order's record."""
    return place_of(out) / FOLDER / "actions" / f"{key}.json"


def read_record(out: Out, key: str) -> dict[str, Any] | None:
    """Return an order's record; None where there is none.

    Raises
    ------
    InputError
        It cannot be read.
    """

    def parse(content: bytes) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(content)
        if found["key"] != key or not isinstance(found["tries"], list):
            raise ValueError("it is of another order")
        return found

    return parsed(record_place(out, key), parse)


def move_of(record: Mapping[str, Any]) -> Move:
    """Return the order of a record.

    Raises
    ------
    InputError
        It holds none, or another than the one that its key is the hash of.
    """
    key = record.get("key")
    try:
        move = Move(**record["order"])
    except (TypeError, KeyError) as e:
        raise InputError(f"the record of action {key} holds no order: {e}") from e
    if move.key != key:
        raise InputError(f"the record of action {key} was changed: its order is another")
    return move


def write_record(
    out: Out,
    move: Move,
    claim: Claim | None,
    outcome: str,
    reasons: Sequence[str],
    now: float,
) -> None:
    """Add a try to an order's record, or say what became of the one that holds a claim.

    Raises
    ------
    PublishError
        The disk or the store refuses.
    """
    known = read_record(out, move.key) or {"key": move.key, "order": asdict(move), "tries": []}
    number = 0 if claim is None else claim.number
    entry = {
        "claim": number,
        "who": "" if claim is None else claim.who,
        "at": datetime.fromtimestamp(now, tz=UTC).isoformat(timespec="milliseconds"),
        "outcome": outcome,
        "reasons": list(reasons),
    }
    _append(known["tries"], entry)
    known["outcome"] = outcome
    text = json.dumps(known, indent=2, sort_keys=True) + "\n"
    put(record_place(out, move.key), text.encode())


def _append(tries: list[dict[str, Any]], entry: dict[str, Any]) -> None:
    """Add a try; one that is refused for the same reasons again is counted."""
    last = tries[-1] if tries else {}
    same = all(last.get(name) == entry[name] for name in ("claim", "outcome", "reasons"))
    if same and entry["claim"] == 0:
        last |= {"times": last.get("times", 1) + 1, "last_at": entry["at"]}
    else:
        tries.append(entry)


def action_run(client: MlflowClient, experiment_id: str, move: Move) -> str:
    """Return the run of an order, created by whoever holds the claim if there is none.

    Raises
    ------
    MlflowFailed
        The server does not answer, or refuses.
    """
    there = _runs(client, experiment_id, move)
    if not there:
        _create(client, experiment_id, move)
        there = _runs(client, experiment_id, move)
    for run in there[1:]:  # the answer to a first request was lost, and the client asked again
        client.delete_run(run.info.run_id)
    return str(there[0].info.run_id)


def _runs(client: MlflowClient, experiment_id: str, move: Move) -> list[Run]:
    """The runs of an order, the first one first."""
    found = client.search_runs([experiment_id], f"tags.`{KEY}` = '{move.key}'")
    return sorted(found, key=lambda run: (run.info.start_time or 0, run.info.run_id))


def _create(client: MlflowClient, experiment_id: str, move: Move) -> None:
    tags = {
        KIND: ACTION,
        KEY: move.key,
        "calhard.action": move.kind,
        NOTE: plain(move.told)[:LONGEST],
    }
    client.create_run(experiment_id, tags=tags, run_name=f"{move.kind} {move.night}")


def describe(client: MlflowClient, run_id: str, move: Move) -> None:
    """Log the order as parameters of its run, in one request; the same again changes nothing."""
    from mlflow.entities import Param

    params = [Param(k, plain(str(v))[:LONGEST]) for k, v in asdict(move).items() if v]
    client.log_batch(run_id, params=params)


def conclude(
    client: MlflowClient, run_id: str, outcome: str, reasons: Sequence[str], status: str
) -> None:
    """Write what became of an order to its run, and end it."""
    client.set_tag(run_id, OUTCOME, outcome)
    if reasons:
        client.set_tag(run_id, "calhard.reasons", plain("; ".join(reasons))[:LONGEST])
    client.set_terminated(run_id, status)
