"""Opens what a person names as a history: a file, a folder or URI as it is, an experiment fetched.

Nothing of MLflow is imported unless an experiment is named.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from calhard.engines import Progress
from calhard.errors import InputError
from calhard.history.fetched import Fetched
from calhard.sources.named import experiment_of

if TYPE_CHECKING:
    from calhard.plan import AuditPlan
    from calhard.sinks.mlflow.client import Server

History = str | os.PathLike[str]
"""What an audit takes: a path, a URI, or what was fetched."""
VARIABLE = "MLFLOW_TRACKING_URI"


@contextmanager
def fetched(
    source: History,
    plan: AuditPlan,
    *,
    uri: str | None = None,
    out: str | os.PathLike[str] | None = None,
    as_of_us: int | None = None,
    progress: Progress | None = None,
    clock: Callable[[], float] = time.time,
) -> Iterator[History]:
    """Give a history as it is, or the copy of the experiment that ``mlflow:EXPERIMENT`` names.

    The copy lies under ``OUT/.sources`` where ``out`` is a folder (what computes elsewhere sees it
    there as it sees the nights), else under ``[storage] scratch`` or a temporary folder, and goes
    at the end. A fetch that dies leaves nothing that is used.

    Parameters
    ----------
    uri : the server; by default the plan's, or that of ``MLFLOW_TRACKING_URI``
    as_of_us : the audit's moment, µs since 1970 UTC, if it is known: older runs are not read
    progress : called as ``progress("fetch", runs, total, rows)``

    Raises
    ------
    ConfigError
        No experiment or no server is named.
    InputError
        The server does not give the experiment, or it holds nothing that is mapped.
    """
    name = experiment_of(source)
    if name is None:
        yield source
        return
    from calhard.sources.asked import Asked
    from calhard.sources.folder import own_folder
    from calhard.sources.snapshot import fetch, find_experiment, reach_of

    asked = Asked(_connected(plan, uri))
    experiment = find_experiment(asked, name)
    reach = reach_of(plan, as_of_us, int(clock() * 1e6))
    with own_folder(_base(out, plan)) as folder:
        yield fetch(asked, experiment, plan, folder, reach, progress or _silent)


def _connected(plan: AuditPlan, uri: str | None) -> Server:
    from calhard.sinks.mlflow.client import connect
    from calhard.sinks.mlflow.errors import MlflowFailed

    named = uri is not None or plan.mlflow.uri is not None
    try:
        return connect(plan.mlflow, uri=uri if named else os.environ.get(VARIABLE))
    except MlflowFailed as e:
        raise InputError(str(e)) from e


def _base(out: str | os.PathLike[str] | None, plan: AuditPlan) -> Path | None:
    """Where the copy's folder is made; None for a temporary one."""
    if out is not None and "://" not in os.fspath(out):
        return Path(out)
    scratch = plan.storage.scratch
    return None if out is None or scratch is None else Path(scratch).expanduser()


def _silent(stage: str, done: int, total: int, rows: int) -> None:
    del stage, done, total, rows


__all__ = ["Fetched", "History", "fetched"]
