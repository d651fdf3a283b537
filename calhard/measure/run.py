"""The job: predictions to a history, all of it or what changed, published part by part."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import datetime

import numpy as np

from calhard.engines import Engine, LocalEngine, Progress
from calhard.errors import ConfigError
from calhard.measure.changes import Extent, Tallies
from calhard.measure.device import Device, array_namespace
from calhard.measure.folder import HistoryFolder
from calhard.measure.intake import Intake, survey
from calhard.measure.job import Job, manifest_settings
from calhard.measure.manifest import Manifest
from calhard.measure.periods import Period
from calhard.measure.predictions import Predictions
from calhard.measure.result import MeasureReport
from calhard.measure.settings import Settings
from calhard.plan import AuditPlan
from calhard.plan.instant import instant
from calhard.store.staged import check_apart


def measure_history(
    source: str | os.PathLike[str],
    history: str | os.PathLike[str],
    *,
    plan: AuditPlan | None = None,
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
    are measured again that new or changed files touch, if the rows that they were measured from
    are still there, in whatever file; else they stay as they are.

    Parameters
    ----------
    source : path or URI of the predictions
    history : folder of the history; created if need be
    plan : columns, zone and ``measure``; the default one without it
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
    plan = plan or AuditPlan()
    settings = Settings(Period.parse(period), plan, device)
    array_namespace(device)  # refuses what is not there before anything is read
    extent = _extent(settings.period, since, force=force)
    check_apart(source, history, "the predictions")
    predictions = Predictions.open(source, plan)
    engine, progress = engine or LocalEngine(), progress or _silent
    with HistoryFolder(history) as folder:
        there = folder.manifest()
        before = _before(folder, there, settings, extent)
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
        job = Job(predictions, folder, settings, there, before, tallies, intake, engine, progress)
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


def _before(
    folder: HistoryFolder, there: Manifest | None, settings: Settings, extent: Extent
) -> Manifest:
    """What the history is to be measured from so far; nothing where all is measured anew.

    Raises
    ------
    ConfigError
        It was measured with other settings.
    """
    told = manifest_settings(settings)
    if there is None or (extent.force and extent.lowest is None):
        return Manifest(settings.period, told)
    other = [
        name for name in {**told, **there.settings} if there.settings.get(name) != told.get(name)
    ]
    if other:
        name = other[0]
        raise ConfigError(
            f"{folder.path}: was measured with {name} = {there.settings.get(name)!r}, not "
            f"{told.get(name)!r}; choose another folder, or measure everything anew with --force"
        )
    folder.check_whole()
    return there
