"""An experiment of MLflow as one sorted Parquet file: the same content gives the same bytes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from calhard.assess.windows import Clock
from calhard.engines import Progress
from calhard.history.fetched import Fetched
from calhard.plan.logged import NUMBERS
from calhard.sources import asked as asking
from calhard.sources import refusals
from calhard.sources.asked import RUNS_AT_ONCE, Asked, Points, TooMany
from calhard.sources.keys import SAMPLES, KeyMap
from calhard.sources.left_out import LeftOut
from calhard.sources.models import ModelNames
from calhard.sources.named import SCHEME
from calhard.sources.pages import Refused
from calhard.sources.parts import parts_of
from calhard.sources.runs import Chooser, Reach, Wanted, latest
from calhard.sources.spool import Spool
from calhard.sources.taken import POINTS_HELD, Taken

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
    at_once: int = 1
    """Runs whose histories are asked for together: as many as fit, if they are like the last."""

    def take(self, pages: Iterator[tuple[list, bool]], tell: Progress) -> int:  # type: ignore[type-arg]  # runs of MLflow
        """Spool the rows of all pages; return how many runs there were."""
        runs = 0
        for page, more in pages:
            wanted = self.chooser.choose(page)
            runs += len(page)
            while wanted:
                some, wanted = wanted[: self.at_once], wanted[self.at_once :]
                self._spool(some)
                if wanted:
                    tell(FETCH, runs - len(wanted), runs + more, self.spool.rows)
            tell(FETCH, runs, runs + more, self.spool.rows)
        return runs

    def _spool(self, wanted: Sequence[Wanted]) -> None:
        """Spool the rows of some runs; of their keys no more than make rows together at a time."""
        owned = {run.run_id: list(self.chooser.owners(run)) for run in wanted}
        taken = Taken(owned, self.spool)
        if self.plan.mlflow.source.timestamp == "run":
            taken.add(_last_of(wanted))
        else:
            fitting = RUNS_AT_ONCE
            for keys in parts_of(owned.values()):
                holding = [run for run in wanted if any(key in run.keys for key in keys)]
                fitting = min(fitting, self._part(holding, keys, taken))
            self.at_once = fitting
        taken.flush()

    def _part(self, wanted: Sequence[Wanted], keys: Sequence[str], taken: Taken) -> int:
        """Take all values of a part of the keys; return in how many such runs they would fit."""
        fitting, most = RUNS_AT_ONCE, len(wanted)
        while wanted:
            try:
                found = self._histories(wanted[:most], keys)
            except TooMany:
                most = max(1, min(most, len(wanted)) // 2)
                continue
            taken.add(found)
            fitting = min(fitting, most if wanted[most:] else RUNS_AT_ONCE, _fitting(found))
            wanted = wanted[most:]
        return fitting

    def _histories(
        self, wanted: Sequence[Wanted], keys: Sequence[str]
    ) -> dict[tuple[str, str], Points]:
        """All values of some runs, by run and key; a request for each key.

        Raises
        ------
        TooMany
            They do not fit; ask for fewer runs, one always fits.
        """
        found: dict[tuple[str, str], Points] = {}
        held = 0
        for key in keys:
            runs = [run.run_id for run in wanted if key in run.keys]
            if not runs:
                continue
            histories = self.asked.histories(runs, key)
            found |= {(run_id, key): points for run_id, points in histories.items()}
            held += sum(len(points.ms) for points in histories.values())
            if held > POINTS_HELD and len(wanted) > 1:
                raise TooMany
        return found


def _fitting(found: Mapping[tuple[str, str], Points]) -> int:
    """How many runs like the longest of these fit in an answer, and in memory."""
    longest, held = 1, Counter[str]()
    for (run_id, _), points in found.items():
        longest = max(longest, len(points.ms))
        held[run_id] += len(points.ms)
    answers = 4 * asking.POINTS_AT_ONCE // (5 * longest)
    memory = 4 * POINTS_HELD // (5 * max(held.values(), default=1) or 1)
    return max(1, min(RUNS_AT_ONCE, answers, memory))


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
