"""A night on disk becomes one complete run, however often that is tried and whoever tries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from calhard.sinks.mlflow.client import Server
from calhard.sinks.mlflow.content import Content
from calhard.sinks.mlflow.errors import MlflowFailed
from calhard.sinks.mlflow.label import COMPLETE, STATE, Label
from calhard.sinks.mlflow.limits import fitted
from calhard.sinks.mlflow.run import GONE, Runs
from calhard.sinks.mlflow.write import (
    NOWHERE,
    check_place,
    read_back,
    write_artifacts,
    write_lineage,
    write_values,
)

if TYPE_CHECKING:
    from mlflow.entities import Run

ROUNDS = 5
"""How often a publisher begins again whose run another one threw away."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A night's run.

    Attributes
    ----------
    is_other : the run is of another audit of the same night, and this one was not sent
    is_fresh : it was completed just now
    """

    run_id: str
    experiment: str
    is_other: bool = False
    is_fresh: bool = False


@dataclass(frozen=True, slots=True)
class Publisher:
    """Writes one content to one run.

    ``more`` writes further artifacts below the folder that it is given.
    """

    runs: Runs
    content: Content
    as_of: datetime
    seconds: float
    more: Callable[[Path], None]

    @property
    def _server(self) -> Server:
        return self.runs.server

    @property
    def _start_ms(self) -> int:
        """The audit's moment: so the runs of nights that are sent late stand in their order."""
        return round(self.as_of.timestamp() * 1e3)

    def publish(self) -> Sent:
        """Return the night's run, complete.

        Raises
        ------
        MlflowFailed
            It could not be completed; doing it again goes on.
        """
        for _ in range(ROUNDS):
            known = self.runs.of_night()
            done = self.runs.settle(known)
            if done is not None:
                return self._sent(done, is_fresh=False)
            run = self.begin(known)
            try:
                self._write(run)
            except MlflowFailed as e:
                if e.code == NOWHERE:
                    self.runs.discard(run)  # nobody can go on with it
                if e.code in GONE and self.runs.is_gone(run.info.run_id):
                    continue  # by one that is done, or that goes on with another run
                raise
            done = self.runs.settle(self.runs.of_night())
            if done is not None:
                return self._sent(done, is_fresh=done.info.run_id == run.info.run_id)
        raise MlflowFailed(
            f"MLflow at {self._server.shown}: the run of night {self.content.run_name} was deleted "
            f"{ROUNDS} times while it was written; find out who deletes it, and publish again",
            "DELETED",
        )

    def begin(self, known: list[Run]) -> Run:
        """Return the run to be written; ``known`` are the night's runs."""
        said = self.content
        return self.runs.half(said.run_name, self._start_ms, said.tags, known)

    def _sent(self, run: Run, *, is_fresh: bool) -> Sent:
        is_other = not self.runs.label.is_same_audit(run)
        return Sent(run.info.run_id, self.runs.experiment, is_other, is_fresh and not is_other)

    def _write(self, run: Run) -> None:
        server, run_id, fit = self._server, run.info.run_id, fitted(self.content)
        check_place(server, run)
        write_values(server, run_id, fit)
        write_lineage(server, run_id, self.content.dataset)
        with TemporaryDirectory(prefix="calhard-mlflow-") as name:
            folder = Path(name)
            self.content.write(folder)
            self.more(folder)
            write_artifacts(server, run_id, folder)
            read_back(server, run_id, fit, folder)
        end_ms = self._start_ms + round(self.seconds * 1e3)
        server.client.set_terminated(run_id, "FINISHED", end_ms)
        if self.runs.complete() is None:
            server.client.set_tag(run_id, STATE, COMPLETE)


def publisher(
    server: Server,
    experiment: str,
    content: Content,
    more: Callable[[Path], None] = lambda folder: None,  # noqa: ARG005  # nothing more
) -> Publisher:
    """Return the publisher of a content that was computed from a night."""
    night = content.night
    return Publisher(
        Runs(server, experiment, Label.of(night, content)),
        content,
        datetime.fromisoformat(night.summary["as_of"]),
        float(night.summary.get("timings", {}).get("seconds", 0.0)),
        more,
    )
