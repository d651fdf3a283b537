"""An experiment of MLflow as one sorted Parquet file: the same content gives the same bytes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from calhard.assess.windows import Clock
from calhard.engines import Progress
from calhard.history.fetched import Fetched
from calhard.plan.logged import NUMBERS
from calhard.sources import asked as asking
from calhard.sources import refusals
from calhard.sources.asked import RUNS_AT_ONCE, Asked, Points, Refused, TooMany
from calhard.sources.keys import SAMPLES, KeyMap
from calhard.sources.left_out import LeftOut
from calhard.sources.models import ModelNames
from calhard.sources.named import SCHEME
from calhard.sources.rows import Values
from calhard.sources.runs import Chooser, Reach, Wanted, latest
from calhard.sources.spool import Spool

if TYPE_CHECKING:
    from mlflow.entities import Experiment

    from calhard.plan import AuditPlan

SPOOL = "_spool.arrow"
FETCH = "fetch"
"""The stage that is told of as progress: runs, and rows so far."""


def find_experiment(asked: Asked, name: str) -> Experiment:
    """Return the experiment of a name or id.

    Raises
    ------
    InputError
        There is none, or it was deleted; near names are offered.
    """
    found = asked.experiment(name)
    if found is None:
        raise refusals.unknown(name, asked.server.shown, asked.experiment_names())
    if found.lifecycle_stage == "deleted":
        raise refusals.deleted(name, asked.server.shown)
    return found


def reach_of(plan: AuditPlan, as_of_us: int | None, now_us: int) -> Reach:
    """Return what an audit of a plan reads: at a moment, or at that of the newest value."""
    at = now_us if as_of_us is None else as_of_us
    lookback = math.ceil((at - Clock.of(plan, at).lookback) / 1_000)
    latest_ms = (now_us + plan.windows.clock_skew_us) // 1_000
    given = as_of_us is not None
    return Reach(lookback, latest_ms, at // 1_000 if given else None, fixed=given)


@dataclass(slots=True)
class Snapshot:
    """Fetches an experiment into a folder."""

    asked: Asked
    plan: AuditPlan
    chooser: Chooser
    spool: Spool
    at_once: int = RUNS_AT_ONCE
    """Runs whose histories are asked for together: as many as fit, if they are like the last."""

    def take(self, pages: Iterator[tuple[list, bool]], tell: Progress) -> int:  # type: ignore[type-arg]  # runs of MLflow
        """Spool the rows of all pages; return how many runs there were."""
        runs = 0
        for page, more in pages:
            wanted = self.chooser.choose(page)
            runs += len(page)
            while wanted:
                wanted = wanted[self._spooled(wanted[: self.at_once]) :]
                if wanted:
                    tell(FETCH, runs - len(wanted), runs + more, self.spool.rows)
            tell(FETCH, runs, runs + more, self.spool.rows)
        return runs

    def _spooled(self, wanted: Sequence[Wanted]) -> int:
        """Spool the rows of some runs, or of the first ones; return of how many."""
        try:
            values = self._values(wanted)
        except TooMany:
            self.at_once = max(1, len(wanted) // 2)
            return self._spooled(wanted[: self.at_once])
        rows = values.rows(len(self.spool.columns))
        if rows is not None:
            self.spool.write(rows.reporting(len(self.spool.columns) - len(NUMBERS) - 1))
        return len(wanted)

    def _values(self, wanted: Sequence[Wanted]) -> Values:
        owned = {run.run_id: list(self.chooser.owners(run)) for run in wanted}
        own_time = self.plan.mlflow.source.timestamp == "run"
        points = _last_of(wanted) if own_time else self._histories(wanted)
        places = {name: index for index, name in enumerate(self.spool.columns)}
        values = Values()
        for run_id, owners in owned.items():
            for key, column, owner in owners:
                found = points.get((run_id, key))
                if found is not None:
                    values.add(owner, places[column], found.ms, found.step, found.value)
        return values

    def _histories(self, wanted: Sequence[Wanted]) -> dict[tuple[str, str], Points]:
        """All values of some runs, by run and key; a request for each key."""
        keys = sorted({key for run in wanted for key in run.keys})
        found: dict[tuple[str, str], Points] = {}
        for key in keys:
            runs = [run.run_id for run in wanted if key in run.keys]
            histories = self.asked.histories(runs, key)
            found |= {(run_id, key): points for run_id, points in histories.items()}
        longest = max((len(points.ms) for points in found.values()), default=1)
        fitting = 4 * asking.POINTS_AT_ONCE // (5 * max(longest, 1))
        self.at_once = max(1, min(RUNS_AT_ONCE, fitting))
        return found


def _last_of(wanted: Sequence[Wanted]) -> dict[tuple[str, str], Points]:
    """The last value of every key, at the start of its run."""
    return {
        (run.run_id, metric.key): Points.of([run.run.info.start_time], [0], [metric.value])
        for run in wanted
        for metric in latest(run.run)
    }


def fetch(
    asked: Asked,
    experiment: Experiment,
    plan: AuditPlan,
    folder: Path,
    reach: Reach,
    tell: Progress,
) -> Fetched:
    """Fetch an experiment's runs into a folder.

    Raises
    ------
    InputError
        The server fails, or no run became rows; the message says what to map.
    """
    logged, left, keys = plan.mlflow.source, LeftOut(), KeyMap.of(plan)
    metrics = tuple(plan.metric_catalogue())
    models = ModelNames(asked, experiment.experiment_id, logged.model_id)
    chooser = Chooser(logged, keys, models, reach, frozenset(metrics), left)
    with Spool(folder / SPOOL, (*metrics, *NUMBERS, SAMPLES), logged.tags) as spool:
        pages = asked.pages(experiment.experiment_id, logged.filter)
        try:
            runs = Snapshot(asked, plan, chooser, spool).take(pages, tell)
        except Refused as e:
            raise _filtered(e, logged.filter) from e
        if not spool.rows:
            raise refusals.nothing(experiment.name, runs, left, logged.filter)
        spool.sort_into(folder)
    return Fetched(folder, f"{SCHEME}{experiment.name}", left.coverage())


def _filtered(error: Refused, chosen: str | None) -> Refused:
    """The same error; where the filter may be at fault, it is named."""
    if chosen is None or error.code != "INVALID_PARAMETER_VALUE":
        return error
    return Refused(f"{error}\nlook at {refusals.TABLE} filter = {chosen!r}", error.code)
