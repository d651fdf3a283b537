"""The job: predictions to a history, all of it or what changed, published part by part."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from calhard.engines import Engine, LocalEngine, Progress
from calhard.errors import ConfigError, InputError
from calhard.history.account import RowAccount
from calhard.history.ids import Ints
from calhard.measure.buckets import BUCKET_ROWS, STATES, Bucket, MeasureBucket, MeasuredBucket
from calhard.measure.changes import Decision, Extent, Tallies, next_sources
from calhard.measure.device import Device, array_namespace
from calhard.measure.folder import HistoryFolder
from calhard.measure.intake import Intake, file_sizes, survey, told
from calhard.measure.manifest import Manifest, Part, part_labels
from calhard.measure.parts import MergePart, MergeTask
from calhard.measure.periods import Period
from calhard.measure.predictions import Predictions
from calhard.measure.result import UNUSED, Files, MeasureReport
from calhard.measure.rows import USED
from calhard.measure.settings import Settings
from calhard.measure.spill import bucketed
from calhard.measure.tasks import Wanted
from calhard.plan.instant import instant
from calhard.report.names import display_name
from calhard.store import disk

if TYPE_CHECKING:
    from calhard.plan import AuditPlan


def measure_history(
    source: str | os.PathLike[str],
    history: str | os.PathLike[str],
    *,
    plan: AuditPlan,
    period: str = "1d",
    since: str | datetime | None = None,
    force: bool = False,
    engine: Engine | None = None,
    device: Device = "cpu",
    progress: Progress | None = None,
    clock: Callable[[], float] = time.time,
) -> MeasureReport:
    """Measure predictions into a history, or bring one up to date.

    A history remembers the files that it was measured from. Of a history that is there, the periods
    are measured again that new or changed files touch. Rows that are gone are not missed: a period
    stays as it is if it would be measured from fewer rows than before.

    Parameters
    ----------
    source : path or URI of the predictions
    history : folder of the history; created if need be
    plan : columns, zone and ``measure``
    period : ``"1h"``, ``"1d"``, ``"7d"``, ``"1mo"`` or ``"1000rows"``
    since : measure all periods that end later, and none that ends before
    force : measure from what is there, whatever was measured before
    engine : where it is computed; all cores of this machine by default
    device : ``"gpu"`` computes the metrics on a card with CuPy; both agree to 1e−9
    progress : called as ``progress(stage, done, total, rows)`` for ``scatter`` (reading),
        ``measure`` (buckets) and ``merge`` (parts of the history)
    clock : seconds since 1970; only rejects timestamps from the future

    Raises
    ------
    ConfigError
        ``period`` or ``since`` is none, the history was measured with other settings, or there is
        no such device.
    InputError
        No row can be measured, or ``history`` holds what was not measured.
    HistoryInProgress
        Someone else is measuring into it.
    PublishError
        The history could not be written; the message says what became of it.
    """
    settings = Settings(Period.parse(period), plan, device)
    array_namespace(device)  # refuses what is not there before anything is read
    extent = _extent(settings.period, since, force=force)
    _check_apart(source, history)
    predictions = Predictions.open(source, plan)
    engine, progress = engine or LocalEngine(), progress or _silent
    with HistoryFolder(history) as folder:
        before = _before(folder, settings, extent)
        tallies = Tallies(survey(predictions, before), extent)
        intake = Intake(
            predictions.reading(int(clock() * 1e6)),
            settings.period,
            engine,
            progress,
            folder.spills,
            extent.since_us,
            sum(before.sources[name].rows for name in tallies.survey.unchanged),
        )
        job = _Job(predictions, folder, settings, before, tallies, intake, engine, progress)
        return job.run()


def _silent(stage: str, done: int, total: int, rows: int) -> None:
    del stage, done, total, rows


def _extent(period: Period, since: str | datetime | None, *, force: bool) -> Extent:
    moment = instant(since, "since")
    if moment is None:
        return Extent(None, force)
    if period.rows is not None:
        raise ConfigError(
            f"since goes with periods of time, not with {period.text}: where such a period ends "
            "depends on every row before it; leave since out"
        )
    return Extent(int(period.number(np.array([moment], np.int64))[0]), force, moment)


def _check_apart(source: str | os.PathLike[str], history: str | os.PathLike[str]) -> None:
    """Refuse a history among the predictions: the next run would read it as such."""
    text = os.fspath(source)
    if "://" in text:
        return
    there, here = Path(text).resolve(), Path(history).resolve()
    if here == there or (
        there in here.parents
        and not any(p.startswith(("_", ".")) for p in here.relative_to(there).parts)
    ):
        raise ConfigError(
            f"{os.fspath(history)}: lies among the predictions ({text}), where it would be read as "
            "such; choose a folder beside them"
        )


def _before(folder: HistoryFolder, settings: Settings, extent: Extent) -> Manifest:
    """What the history was measured from so far; as if from nothing where all is measured anew.

    Raises
    ------
    ConfigError
        It was measured with other settings.
    """
    there = folder.manifest()
    told = manifest_settings(settings)
    if there is None or (extent.force and extent.lowest is None):
        return Manifest(settings.period, told)
    other = [name for name in told if there.settings.get(name) != told[name]]
    if other:
        name = other[0]
        raise ConfigError(
            f"{folder.path}: was measured with {name} = {there.settings.get(name)!r}, not "
            f"{told[name]!r}; choose another folder, or measure everything anew with --force"
        )
    folder.check_parts(there)
    return there


def manifest_settings(settings: Settings) -> dict[str, object]:
    """All that changes a number."""
    columns = {n: c for n, c in sorted(settings.plan.columns.items()) if n in READ_COLUMNS}
    return settings.told() | {"columns": columns}


SMALL = 2**18
"""Rows of history and bins that are put in order here: workers would take longer to start."""
READ_COLUMNS = (
    *("model_id", "class_id", "timestamp", "score", "label", "weight", "mask", "example_id"),
    "model_version",
)
"""Columns of predictions that the configuration may give another name."""


@dataclass(slots=True)
class _Job:
    """One run, step by step."""

    predictions: Predictions
    folder: HistoryFolder
    settings: Settings
    before: Manifest
    tallies: Tallies
    intake: Intake
    engine: Engine
    progress: Progress

    def run(self) -> MeasureReport:
        """Read what is needed, measure what changed, publish it."""
        decision = self._read()
        measured = self._measure(decision.measured)
        parts, written = self._merge(decision.measured, measured)
        if not parts:
            raise InputError(self._nothing())
        self._commit(decision.measured, parts)
        return self._report(decision, measured, parts, written)

    def _read(self) -> Decision:
        """Read what changed, then the other files that touch the same periods; decide on each."""
        tallies, lowest = self.tallies, self.tallies.extent.lowest
        first = tallies.first()
        self._take(first, Wanted(lowest))
        decision = tallies.decide()
        second = tallies.second(decision.measured)
        if not second:
            return decision
        self._take(second, Wanted(numbers=decision.measured))
        for name in set(second) & tallies.seen.keys():
            others = tallies.survey.before[name].holds.without(decision.measured)
            tallies.seen[name] += others
        return tallies.decide()

    def _take(self, names: Sequence[str], wanted: Wanted) -> None:
        """Read some files; those that break are refused."""
        there = self.tallies.survey.there
        self.intake.read({there[name].index: there[name].bytes for name in names}, wanted)
        self.tallies.survey = self.tallies.survey.without(self.intake.refused.files)
        for name in names:
            if name in self.intake.tally:
                self.tallies.seen[name] = self.intake.tally[name]

    def _measure(self, numbers: Ints) -> list[MeasuredBucket]:
        """Measure the rows of some periods, bucket by bucket."""
        if not len(numbers):
            return []
        found = bucketed(self.intake.spills, BUCKET_ROWS)
        buckets = [Bucket(i, batches, rows) for i, (rows, batches) in enumerate(found)]
        measure = MeasureBucket(self.intake.shape, self.settings, self.folder.outcomes, numbers)
        results = self.engine.map(measure, buckets)
        measured = list(told(results, "measure", [b.rows for b in buckets], self.progress))
        disk.remove_tree(self.folder.spills)
        return measured

    def _merge(
        self, numbers: Ints, measured: Sequence[MeasuredBucket]
    ) -> tuple[dict[str, Part], list[str]]:
        """Write the parts that hold some periods; return all parts, and which of them are new."""
        parts = dict(self.before.parts)
        outcomes = {label for m in measured for label in m.history.batches}
        touched = {*outcomes, *part_labels(self.settings.period, numbers)}
        if len(numbers) and self.settings.period.rows is not None:
            touched |= parts.keys()
        tasks = [MergeTask(label, parts.get(label)) for label in sorted(touched)]
        merge = MergePart(
            self.settings,
            self.folder.path,
            self.folder.staged,
            tuple(m.history for m in measured),
            tuple(m.bins for m in measured),
            numbers,
        )
        size = sum(part.history.rows + part.bins.rows for part in parts.values())
        size += sum(m.rows for m in measured)
        engine = self.engine if size > SMALL else LocalEngine(1)
        results = engine.map(merge, tasks)
        for task, part in zip(
            tasks, told(results, "merge", [0] * len(tasks), self.progress), strict=True
        ):
            parts.pop(task.label, None)
            if part is not None:
                parts[task.label] = part
        same = self.before.parts
        written = [
            label
            for label in sorted(touched)
            if label not in parts or label not in same or not parts[label].is_as(same[label])
        ]
        return parts, [label for label in written if label in parts or label in same]

    def _commit(self, numbers: Ints, parts: Mapping[str, Part]) -> None:
        sources = next_sources(
            self.tallies,
            numbers,
            {name: account.rejected for name, account in self.intake.account.items()},
            self._partial(),
        )
        settings = manifest_settings(self.settings)
        manifest = Manifest(self.settings.period, settings, sources, parts).labelled()
        if manifest != self.before:
            self.folder.commit(manifest)

    def _partial(self) -> list[str]:
        """New and changed files of which older rows were passed over, or whose old rows may be."""
        survey, lowest = self.tallies.survey, self.tallies.extent.lowest
        if lowest is None:
            return []
        found = []
        for name in (*survey.new, *survey.changed):
            old = survey.before.get(name)
            known = old is not None and any(
                len(tally.before(lowest).number) for tally in (old.holds, old.measured)
            )
            if known or name in self.intake.older:
                found.append(name)
        return found

    def _report(
        self,
        decision: Decision,
        measured: Sequence[MeasuredBucket],
        parts: Mapping[str, Part],
        written: Sequence[str],
    ) -> MeasureReport:
        survey = self.tallies.survey
        states = sum((m.states for m in measured), np.zeros(STATES, np.int64))
        pairs = frozenset().union(*(m.pairs for m in measured))
        account = reduce(add, self.intake.account.values(), self.predictions.account)
        account += self.intake.refused
        return MeasureReport(
            self.predictions.source,
            self.folder.path,
            self.settings.period,
            Files(
                len(self.intake.tally),
                len(survey.new),
                len(survey.changed),
                len(survey.unchanged),
                tuple(sorted(survey.vanished)),
                tuple(sorted(self._partial())),
            ),
            account,
            self._coverage(account),
            self.settings.plan.storage.coverage_bound,
            tuple(decision.measured.tolist()),
            len({model for model, _ in pairs}),
            len(pairs),
            int(states[USED]),
            {name: int(states[state]) for name, state in UNUSED.items()},
            tuple(written),
            len(parts),
            decision.told,
            len(decision.kept),
        )

    def _coverage(self, account: RowAccount) -> float:
        """The least share of rows, files and bytes of this run that were not refused."""
        rows = account.rows + account.rejected
        shares = [account.rows / rows if rows else 1.0]
        if account.files:
            size = file_sizes(self.predictions, account.files)
            bad = sum(size[name] for name in account.files)
            shares.append(1.0 - len(account.files) / len(size))
            shares.append(1.0 - bad / max(sum(size.values()), 1))
        return min(shares)

    def _nothing(self) -> str:
        """Why there is no row to measure."""
        accounts = (self.predictions.account, self.intake.refused, *self.intake.account.values())
        account = reduce(add, accounts, RowAccount())
        source = display_name(self.predictions.source, 200)
        return "\n".join([f"{source}: no row can be measured", *account.told()])
