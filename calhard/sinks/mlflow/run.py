"""The runs of one night: found, made, elected, thrown away.

Several may be there: an answer was lost and the client asked again, two publishers work at once, on
one machine or on two. All of them go by the same rule, so that one run is left whoever comes last:
a complete one before others, then the earlier start, then the smaller id.
"""

from __future__ import annotations

import getpass
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from calhard.sinks.mlflow.client import Server
from calhard.sinks.mlflow.errors import FORBIDDEN, MISSING, MlflowFailed
from calhard.sinks.mlflow.label import (
    BEGAN,
    COMPLETE,
    DISCARDED,
    HALF,
    NIGHT,
    STATE,
    SUPERSEDED,
    WRITING,
    Label,
    revision_of,
    state_of,
)

if TYPE_CHECKING:
    from mlflow.entities import Run

MOST = 1_000
"""Runs of one night that are looked at."""
SOURCE = {"mlflow.source.name": "calhard", "mlflow.source.type": "JOB"}
GONE = ("INVALID_PARAMETER_VALUE", "INVALID_STATE", MISSING)
"""What a server answers who is asked to write to a run that was deleted."""


def elected(runs: Iterable[Run]) -> Run | None:
    """Return the run that stays, by the rule; None of none."""
    return min(runs, key=_rank, default=None)


def _rank(run: Run) -> tuple[bool, int, str]:
    return state_of(run) != COMPLETE, run.info.start_time or 0, run.info.run_id


@dataclass(frozen=True, slots=True)
class Runs:
    """The runs of a night in an experiment."""

    server: Server
    experiment: str
    label: Label

    def of_night(self) -> list[Run]:
        """Return all of the night that are not thrown away, in every plan and revision."""
        found = self.server.client.search_runs(
            [self.experiment], f"tags.`{NIGHT}` = '{self.label.night_key}'", max_results=MOST
        )
        return [run for run in found if state_of(run) in {*HALF, COMPLETE, SUPERSEDED}]

    def complete(self) -> Run | None:
        """Return the complete run of the night in this revision, whoever audited it."""
        return elected(run for run in self.of_night() if self._is_done(run))

    def half(self, name: str, start_ms: int, tags: Mapping[str, str], known: list[Run]) -> Run:
        """Return the run to be written: one of those known that was begun, or a new one."""
        begun = elected(run for run in known if self.label.can_finish(run))
        if begun is not None:
            return begun
        made = self._create(name, start_ms, tags)
        chosen = elected(run for run in self.of_night() if self.label.can_finish(run))
        if chosen is None or chosen.info.run_id == made.info.run_id:
            return made
        self.discard(made)
        return chosen

    def _create(self, name: str, start_ms: int, tags: Mapping[str, str]) -> Run:
        began = datetime.now(UTC).isoformat(timespec="seconds")
        mine = {STATE: WRITING, BEGAN: began, "mlflow.user": _user()}
        marks = {**SOURCE, **tags, **self.label.tags, **mine}
        return self.server.client.create_run(self.experiment, start_ms, marks, name)

    def settle(self, runs: list[Run]) -> Run | None:
        """Leave one of the night's runs; return it, or None where none is complete.

        Of runs that are complete one stays; halves of it are thrown away, as nobody needs them any
        more, and older revisions give way.
        """
        chosen = elected(run for run in runs if self._is_done(run))
        if chosen is None:
            return None
        for run in runs:
            is_double = self._is_done(run) or self._is_half(run)
            if is_double and run.info.run_id != chosen.info.run_id:
                self.discard(run)
        self._supersede(run for run in runs if state_of(run) == COMPLETE)
        return chosen

    def _is_done(self, run: Run) -> bool:
        return self.label.names(run) and state_of(run) in {COMPLETE, SUPERSEDED}

    def _is_half(self, run: Run) -> bool:
        return self.label.is_same_audit(run) and state_of(run) in HALF

    def _supersede(self, complete: Iterable[Run]) -> None:
        """Let older revisions say what they are, so that one run shows the night."""
        runs = list(complete)
        latest = max(map(revision_of, runs), default=0)
        for run in runs:
            if revision_of(run) < latest:
                name = f"{self.label.night} (revision {revision_of(run)})"
                self.server.client.update_run(run.info.run_id, name=name)
                self.server.client.set_tag(run.info.run_id, STATE, SUPERSEDED)

    def is_gone(self, run_id: str) -> bool:
        """Return whether somebody threw a run away."""
        try:
            run = self.server.client.get_run(run_id)
        except MlflowFailed as e:
            if e.code == MISSING:
                return True
            raise
        return run.info.lifecycle_stage != "active" or state_of(run) == DISCARDED

    def discard(self, run: Run) -> None:
        """Throw a run of the night away; who may not delete it makes it say so."""
        client, run_id = self.server.client, run.info.run_id
        try:
            client.delete_run(run_id)
        except MlflowFailed as e:
            if e.code in GONE and self.is_gone(run_id):
                return
            if e.code != FORBIDDEN:
                raise
            client.set_tag(run_id, STATE, DISCARDED)
            client.set_terminated(run_id, "KILLED")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a number without a name, as in some containers
        return "unknown"
