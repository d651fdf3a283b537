"""One try of an order: claim, intent, look again, set, read back, record.

MLflow has no compare-and-swap. Between the last look and the setting of the alias an operator can
move it unseen; everything before that is noticed, and the order refused. A setting whose answer is
lost is followed by a new look before it is tried again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from calhard.errors import CalhardError
from calhard.registry.actions.books import experiment_name, open_ledger
from calhard.registry.actions.guards import pointed_at, refusals
from calhard.registry.actions.journal import action_run, conclude, describe, write_record
from calhard.registry.actions.ledger import Claim, Ledger
from calhard.registry.actions.move import Move
from calhard.registry.actions.outcome import (
    ALREADY,
    BROKEN,
    CARRIED_OUT,
    DONE,
    OVERTAKEN,
    REFUSED,
    Outcome,
)
from calhard.sinks.mlflow.errors import TRANSIENT, MlflowFailed
from calhard.store import Out

if TYPE_CHECKING:
    from calhard.sinks.mlflow.client import Server

INTENT = "calhard.action"
"""Tag of the registered model: the order that is being carried out, or was last."""
WHERE = "calhard.actions"
"""Tag of the registered model: the experiment that holds claims and records."""
STEPS = ("claim", "run", "intent", "look", "set", "read", "record", "close")
"""What a task tells its ``progress``, before each."""
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Task:
    """One try of an order; ``claims`` are all those ever made on its alias."""

    move: Move
    out: Out
    server: Server
    progress: Progress
    clock: Callable[[], float] = field(repr=False)

    def settled(self, claims: Sequence[Claim]) -> Outcome | None:
        """What an earlier try achieved, if it did."""
        if any(claim.outcome in CARRIED_OUT for claim in self._own(claims)):
            return Outcome(ALREADY, self.move)
        return None

    def is_half_done(self, claims: Sequence[Claim]) -> bool:
        """Whether an earlier try set the alias and could not say so."""
        unsaid = any(claim.outcome in {None, BROKEN} for claim in self._own(claims))
        return unsaid and pointed_at(self.move, self.server.client) == self.move.target

    def reasons(self, claims: Sequence[Claim]) -> tuple[str, ...]:
        """Why it may not be carried out."""
        return tuple(refusals(self.move, self.out, self.server, claims, now=self.clock()))

    def first_ledger(self) -> Ledger:
        """Return the model's new ledger.

        The tag goes first: who may not edit the model makes no experiment, which would be closed
        to those who may.
        """
        model, client = self.move.model, self.server.client
        client.set_registered_model_tag(model, WHERE, experiment_name(model))
        return open_ledger(self.server, model)

    def claimed(self, ledger: Ledger) -> Outcome:
        """Take the claim, do it, close the claim."""
        move = self.move
        self.progress("claim")
        claim = ledger.take(move, self.clock())
        earlier = [c for c in ledger.claims(move) if c.number < claim.number]
        settled = self.settled(earlier)
        try:
            outcome = settled or self._done(ledger, claim, earlier)
            self.progress("close")
        except CalhardError:
            with suppress(CalhardError):  # the server may be down: the lease will end
                ledger.close(move, claim, BROKEN)
            raise
        ledger.close(move, claim, outcome.status)
        return outcome

    def _own(self, claims: Sequence[Claim]) -> list[Claim]:
        """The claims that earlier tries of this order made."""
        return [claim for claim in claims if claim.key == self.move.key]

    def _done(self, ledger: Ledger, claim: Claim, earlier: Sequence[Claim]) -> Outcome:
        """Do it, as the holder of the claim."""
        move, client = self.move, self.server.client
        self.progress("run")
        run_id = action_run(client, ledger.experiment_id, move)
        describe(client, run_id, move)
        self.progress("intent")
        write_record(self.out, move, claim, "intent", (), self.clock())
        self._mark("intent")
        self.progress("look")
        outcome = self._moved(ledger, claim, earlier)
        self.progress("record")
        self._mark(outcome.status)
        write_record(self.out, move, claim, outcome.status, outcome.reasons, self.clock())
        ended = "FAILED" if outcome.status == REFUSED else "FINISHED"
        conclude(client, run_id, outcome.status, outcome.reasons, ended)
        return outcome

    def _moved(self, ledger: Ledger, claim: Claim, earlier: Sequence[Claim]) -> Outcome:
        """Look again, set the alias, read it back."""
        if not self.is_half_done(earlier):
            reasons = self._set(ledger, claim)
            if reasons:
                return Outcome(REFUSED, self.move, reasons)
        self.progress("read")
        now = pointed_at(self.move, self.server.client)
        if now == self.move.target:
            return Outcome(DONE, self.move)
        where = "at nothing" if now is None else f"at version {now}"
        told = f"right after it was set the alias points {where}"
        return Outcome(OVERTAKEN, self.move, (told,))

    def _set(self, ledger: Ledger, claim: Claim) -> tuple[str, ...]:
        """Set the alias if nothing speaks against it; return what does.

        A request that failed may have been heard: then the alias points at the target.
        """
        move, server = self.move, self.server
        for left in reversed(range(server.settings.retries + 1)):
            reasons = self._last_look(ledger, claim)
            if reasons:
                return reasons
            self.progress("set")
            try:
                server.once.set_registered_model_alias(move.model, move.alias, move.target)
            except MlflowFailed as e:
                if e.code not in TRANSIENT:
                    raise
                if pointed_at(move, server.client) == move.target:
                    return ()
                if not left:
                    raise
            else:
                return ()
        raise AssertionError("a range that holds its last number")

    def _last_look(self, ledger: Ledger, claim: Claim) -> tuple[str, ...]:
        """Whether the claim still stands, and all the rest, the alias last."""
        claims = ledger.claims(self.move)
        if not ledger.is_last(claims, claim):
            return ("this process stood still, and another took the action over",)
        return self.reasons(claims)

    def _mark(self, state: str) -> None:
        """Write on the registered model what is being done to it."""
        move = self.move
        told = {"state": state, "key": move.key, "order": move.told}
        text = json.dumps(told, sort_keys=True)[:5_000]
        self.server.client.set_registered_model_tag(move.model, INTENT, text)
