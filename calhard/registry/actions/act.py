"""Carries an order out, or says what would become of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from calhard.registry.actions.books import find_ledger
from calhard.registry.actions.journal import write_record
from calhard.registry.actions.move import Move
from calhard.registry.actions.outcome import DRY, REFUSED, Outcome
from calhard.registry.actions.task import Progress, Task
from calhard.sinks.mlflow.client import Server, connect
from calhard.sinks.mlflow.identity import Identity
from calhard.store import Out

if TYPE_CHECKING:
    from calhard.plan.publishing import Mlflow


def connect_to_act(settings: Mlflow, *, uri: str | None = None) -> Server:
    """Return the server in the name of whoever acts: ``[mlflow.registry]``'s identity.

    Where that names none, it is whoever publishes.

    Raises
    ------
    ConfigError
        The settings are wrong.
    MlflowFailed
        The server does not answer.
    """
    registry = settings.registry
    who = Identity.of(registry.username, registry.password, registry.token)
    return connect(settings, uri=uri, identity=who if who.is_named else None)


def carry_out(
    move: Move,
    out: Out,
    server: Server,
    *,
    dry_run: bool = True,
    progress: Progress | None = None,
    clock: Callable[[], float] = time.time,
) -> Outcome:
    """Carry an order out, or say what would become of it.

    Given again, an order that was carried out is not carried out again, whatever the alias points
    at by then; one that broke off is gone on with. Wherever it breaks off, the alias points at
    the source or at the target.

    Parameters
    ----------
    out : the nights whose snapshots the order rests on; its record is kept there
    server : see `connect_to_act`
    dry_run : change nothing, neither in the registry nor on the disk
    progress : is told each of `task.STEPS`, before it is done

    Raises
    ------
    ActionInProgress
        Someone else moves this alias right now.
    PublishError
        MLflow or the disk fails; give the order again.
    """
    task = Task(move, out, server, progress or _silent, clock)
    ledger = find_ledger(server, move.model)
    claims = [] if ledger is None else ledger.claims(move)
    settled = task.settled(claims)
    if settled is not None:
        return settled
    reasons = () if task.is_half_done(claims) else task.reasons(claims)
    if dry_run or reasons:
        if not dry_run:
            write_record(out, move, None, REFUSED, reasons, clock())
        return Outcome(REFUSED if reasons else DRY, move, reasons)
    return task.claimed(ledger or task.first_ledger())


def _silent(step: str) -> None:
    del step
