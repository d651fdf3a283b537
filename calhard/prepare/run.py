"""The job: any history to sorted Parquet whose files follow one another, or what is new of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from calhard.engines import Engine, LocalEngine, Progress
from calhard.errors import ConfigError
from calhard.history.columns import NOT_TAGS, VERSION
from calhard.prepare.folder import PreparedFolder
from calhard.prepare.job import Job
from calhard.prepare.manifest import Manifest
from calhard.prepare.result import PrepareReport
from calhard.prepare.source import HistorySource, Survey
from calhard.store.staged import check_apart

if TYPE_CHECKING:
    from calhard.plan import AuditPlan


def prepare_history(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    plan: AuditPlan,
    force: bool = False,
    engine: Engine | None = None,
    progress: Progress | None = None,
) -> PrepareReport:
    """Write a history as Parquet that an audit streams in one pass, or bring one up to date.

    Rows are sorted by (model_id, class_id, timestamp) over files of about a million rows that
    follow one another. All columns stay, under their own names; ids become text and instants
    microseconds UTC. Rows without a usable id or timestamp are left out and counted; all others
    are kept as they are, also those that an audit refuses, so that it says the same of both.

    Of a folder that is there, the parts are written again in whose ranges rows of new or changed
    files lie. Rows of files that are gone stay.

    Parameters
    ----------
    source : path or URI of the history
    out : folder of the prepared history; created if need be
    plan : columns and zone
    force : write all anew, from what is there
    engine : where it is computed; all cores of this machine by default
    progress : called as ``progress(stage, done, total, rows)`` for ``sample`` (looking for where
        to cut), ``scatter`` (reading) and ``write`` (parts)

    Raises
    ------
    ConfigError
        The folder lies among the history, or was prepared with other columns or another zone.
    InputError
        No row can be placed, columns do not fit together, or ``out`` holds what was not prepared.
    HistoryInProgress
        Someone else is preparing into it.
    PublishError
        The folder could not be written; the message says what became of it.
    """
    check_apart(source, out, "the history")
    opened = HistorySource.open(source, plan)
    with PreparedFolder(out) as folder:
        before = _before(folder, _settings(opened, plan), force=force)
        survey = Survey(opened.stamps(), before.sources, frozenset(opened.account.files))
        names = plan.columns
        out_names = {} if before.settings["canonical"] else names
        columns = tuple(opened.columns(names, out_names))
        job = Job(
            opened,
            folder,
            plan,
            before,
            survey,
            columns,
            out_names,
            engine or LocalEngine(),
            progress or _silent,
        )
        return job.run()


def _silent(stage: str, done: int, total: int, rows: int) -> None:
    del stage, done, total, rows


def _settings(opened: HistorySource, plan: AuditPlan) -> dict[str, Any]:
    """All that changes where a row stands, and what its columns are called."""
    read = {*NOT_TAGS, VERSION, *plan.metric_catalogue()}
    return {
        "columns": {name: own for name, own in sorted(plan.columns.items()) if name in read},
        "timezone": plan.windows.timezone,
        "canonical": opened.canonical,
    }


def _before(folder: PreparedFolder, settings: dict[str, Any], *, force: bool) -> Manifest:
    """What the folder was prepared from so far; as if from nothing where all is written anew.

    Raises
    ------
    ConfigError
        It was prepared with other settings.
    """
    there = folder.manifest()
    if there is None:
        return Manifest(settings)
    if force:
        return Manifest(settings, generation=there.generation + 1)
    for name in ("columns", "timezone"):
        if there.settings.get(name) != settings[name]:
            raise ConfigError(
                f"{folder.path}: was prepared with {name} = {there.settings.get(name)!r}, not "
                f"{settings[name]!r}; choose another folder, or prepare everything anew with "
                "--force"
            )
    folder.check_whole()
    return there
