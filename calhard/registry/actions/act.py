"""Carries an order out: claim, intent, look again, set, read back, record.

MLflow has no compare-and-swap. Between the last look and the setting of the alias lies one request
in which an operator can move it unseen; everything before that is noticed, and the order refused.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from calhard.errors import CalhardError, InputError
from calhard.registry.actions.books import experiment_name, find_ledger, open_ledger
from calhard.registry.actions.guards import pointed_at, refusals
from calhard.registry.actions.journal import (
    action_run,
    conclude,
    describe,
    move_of,
    read_record,
    write_record,
)
from calhard.registry.actions.ledger import Claim, Ledger
from calhard.registry.actions.move import ROLLBACK, UNDO, Move
from calhard.sinks.mlflow.client import Server, connect
from calhard.sinks.mlflow.identity import Identity
from calhard.store import Out

if TYPE_CHECKING:
    from calhard.plan.publishing import Mlflow

INTENT = "calhard.action"
"""Tag of the registered model: the order that is being carried out, or was last."""
WHERE = "calhard.actions"
"""Tag of the registered model: the experiment that holds claims and records."""
DRY, DONE, REFUSED, ALREADY, OVERTAKEN, BROKEN = (
    "dry run",
    "done",
    "refused",
    "already done",
    "overtaken",
    "broken off",
)
STEPS = ("claim", "run", "intent", "look", "set", "read", "record", "close")
"""What `carry_out` tells its ``progress``, before each."""
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an order.

    Attributes
    ----------
    status : ``dry run`` (it would be carried out), ``done``, ``already done`` (by an earlier try),
        ``refused``, or ``overtaken`` (done, and the alias was moved again at once by another)
    reasons : why it was refused or overtaken
    """

    status: str
    move: Move
    reasons: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """Return it in words."""
        return ": ".join(
            [f"{self.move.told}: {self.status}", "; ".join(self.reasons)][: 1 + bool(self.reasons)]
        )


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
    progress : is told each of `STEPS`, before it is done

    Raises
    ------
    ActionInProgress
        Someone else moves this alias right now.
    PublishError
        MLflow or the disk fails; give the order again.
    """
    task = _Task(move, out, server, progress or _silent, clock)
    ledger = find_ledger(server, move.fleet)
    earlier = [] if ledger is None else _of_order(ledger, move)
    settled = task.settled(earlier)
    if settled is not None:
        return settled
    reasons = () if task.is_half_done(earlier) else task.reasons()
    if dry_run or reasons:
        if not dry_run:
            write_record(out, move, None, REFUSED, reasons, clock())
        return Outcome(REFUSED if reasons else DRY, move, reasons)
    return task.claimed(ledger or task.first_ledger())


def plan_undo(out: Out, key: str) -> Move:
    """Return the order that takes a rollback back; ``key`` is the rollback's.

    Raises
    ------
    InputError
        No such rollback was carried out.
    """
    record = read_record(out, key)
    if record is None:
        raise InputError(f"{out}: no record of an action {key}")
    move = move_of(record)
    if move.kind != ROLLBACK or record["outcome"] not in {DONE, OVERTAKEN}:
        raise InputError(
            f"{move.told}: {record['outcome']}; only a rollback that is done can be undone"
        )
    return replace(move, kind=UNDO, source=move.target, target=move.source, undoes=key)


def _silent(step: str) -> None:
    del step


def _of_order(ledger: Ledger, move: Move) -> list[Claim]:
    """Return the claims that earlier tries of an order made."""
    return [claim for claim in ledger.claims(move) if claim.key == move.key]


@dataclass(frozen=True, slots=True)
class _Task:
    """One try of an order."""

    move: Move
    out: Out
    server: Server
    progress: Progress
    clock: Callable[[], float] = field(repr=False)

    def settled(self, earlier: Sequence[Claim]) -> Outcome | None:
        """What an earlier try achieved, if it did."""
        if any(claim.outcome in {DONE, OVERTAKEN} for claim in earlier):
            return Outcome(ALREADY, self.move)
        return None

    def is_half_done(self, earlier: Sequence[Claim]) -> bool:
        """Whether an earlier try set the alias and could not say so."""
        unsaid = any(claim.outcome in {None, BROKEN} for claim in earlier)
        return unsaid and pointed_at(self.move, self.server.client) == self.move.target

    def reasons(self) -> tuple[str, ...]:
        """Why it may not be carried out."""
        age = self.server.settings.registry.max_age
        found = refusals(self.move, self.out, self.server.client, max_age=age, now=self.clock())
        return tuple(found)

    def first_ledger(self) -> Ledger:
        """Return the fleet's new ledger.

        The tag goes first: who may not edit the model makes no experiment, which would be closed
        to those who may.
        """
        fleet, client = self.move.fleet, self.server.client
        client.set_registered_model_tag(self.move.model, WHERE, experiment_name(fleet))
        return open_ledger(self.server, fleet)

    def claimed(self, ledger: Ledger) -> Outcome:
        """Take the claim, do it, close the claim."""
        move = self.move
        self.progress("claim")
        claim = ledger.take(move, self.clock())
        earlier = [c for c in _of_order(ledger, move) if c.number < claim.number]
        settled = self.settled(earlier)
        try:
            outcome = settled or self.done(ledger, claim, earlier)
            self.progress("close")
        except CalhardError:
            with suppress(CalhardError):  # the server may be down: the lease will end
                ledger.close(move, claim, BROKEN)
            raise
        ledger.close(move, claim, outcome.status)
        return outcome

    def done(self, ledger: Ledger, claim: Claim, earlier: Sequence[Claim]) -> Outcome:
        """Do it, as the holder of the claim."""
        move, client = self.move, self.server.client
        self.progress("run")
        run_id = action_run(client, ledger.experiment_id, move)
        describe(client, run_id, move)
        self.progress("intent")
        write_record(self.out, move, claim, "intent", (), self.clock())
        self.mark("intent")
        self.progress("look")
        outcome = self.moved(ledger, claim, earlier)
        self.progress("record")
        self.mark(outcome.status)
        write_record(self.out, move, claim, outcome.status, outcome.reasons, self.clock())
        ended = "FAILED" if outcome.status == REFUSED else "FINISHED"
        conclude(client, run_id, outcome.status, outcome.reasons, ended)
        return outcome

    def moved(self, ledger: Ledger, claim: Claim, earlier: Sequence[Claim]) -> Outcome:
        """Look again, set the alias, read it back."""
        move, client = self.move, self.server.client
        if not self.is_half_done(earlier):
            reasons = self.reasons()
            if not ledger.holds(move, claim):
                reasons += ("this process stood still, and another took the action over",)
            if reasons:
                return Outcome(REFUSED, move, reasons)
            self.progress("set")
            client.set_registered_model_alias(move.model, move.alias, move.target)
        self.progress("read")
        now = pointed_at(move, client)
        if now == move.target:
            return Outcome(DONE, move)
        where = "at nothing" if now is None else f"at version {now}"
        return Outcome(OVERTAKEN, move, (f"right after it was set the alias points {where}",))

    def mark(self, state: str) -> None:
        """Write on the registered model what is being done to it."""
        move = self.move
        told = {"state": state, "key": move.key, "order": move.told}
        text = json.dumps(told, sort_keys=True)[:5_000]
        self.server.client.set_registered_model_tag(move.model, INTENT, text)
