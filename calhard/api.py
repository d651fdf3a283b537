"""The audit as a function: what ``import calhard`` offers beside the command line."""

from __future__ import annotations

import os
from datetime import datetime

from calhard.engines import LocalEngine, Progress
from calhard.errors import ConfigError
from calhard.explanation import Explanation, explain_night
from calhard.history import read_baseline
from calhard.pipeline import AuditReport, run_audit
from calhard.plan import AuditPlan
from calhard.plan.instant import instant
from calhard.sources import fetched
from calhard.store import open_night


def audit(
    history: str | os.PathLike[str],
    plan: AuditPlan | None = None,
    *,
    out: str | os.PathLike[str],
    as_of: str | datetime | None = None,
    baseline: str | os.PathLike[str] | None = None,
    force: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> AuditReport:
    """Audit one night of a history and publish it under ``out``.

    A night that is published already is not audited again: its report is returned, with ``fresh``
    False.

    Parameters
    ----------
    history : path or URI
        A Parquet, Arrow IPC or CSV file, a folder of them, a URI such as ``s3://bucket/history``,
        or ``mlflow:EXPERIMENT`` (``[mlflow]`` names the server).
    plan : AuditPlan, optional
        The rules of the night, ``AuditPlan.from_toml("calhard.toml")`` for one; every rule has a
        default.
    out : path or URI
        Folder of the nights, created if need be, or ``s3://BUCKET/PATH`` as text.
    as_of : ISO text or datetime, optional
        The audit's moment; naive ones are UTC. By default the newest timestamp of
        the history, or when its newest row became known (``ingested_at``).
    baseline : path or URI, optional
        Pinned baselines that drift is measured against; see `calhard.history.read_baseline`.
    force : bool
        Audit a published night again, as a new revision; the old one is kept.
    workers : int, optional
        Worker processes; all usable cores by default. With more than one, a script must call this
        under ``if __name__ == "__main__":``, as with all of Python's worker processes.
    progress : callable, optional
        Called as ``progress(stage, done, total, rows)``.

    Returns
    -------
    AuditReport
        The night in numbers (``summary``, ``exit_code``) and its findings as tables.

    Raises
    ------
    ConfigError
        ``as_of`` is no instant, the baseline cannot be used, or the plan is disabled. Nothing was
        done.
    InputError
        The history cannot be audited at all. Nothing was published.
    NightInProgress
        Someone else is writing this night right now.
    PublishError
        The night could not be written; the message says what to mend.

    Examples
    --------
    >>> import calhard
    >>> report = calhard.audit("history/", out="nights")  # doctest: +SKIP
    >>> report.exit_code, report.summary["verdict"]  # doctest: +SKIP
    (1, 'unhealthy')
    >>> report.regressions.select(["model_id", "metric", "onset"]).to_pylist()  # doctest: +SKIP
    """
    rules = AuditPlan() if plan is None else plan
    if not rules.enabled:
        raise ConfigError("the plan is disabled (enabled = false); nothing was done")
    moment = instant(as_of)
    pinned = None if baseline is None else read_baseline(baseline, rules)
    with fetched(history, rules, out=out, as_of_us=moment, progress=progress) as source:
        return run_audit(
            source,
            rules,
            out=out,
            as_of_us=moment,
            engine=LocalEngine(workers),
            baseline=pinned,
            force=force,
            progress=progress,
        )


def explain(
    out: str | os.PathLike[str],
    model_id: str,
    class_id: str | None = None,
    metric: str | None = None,
    night: str | None = None,
) -> Explanation:
    """Explain one series of a published night: why it was alarmed, or why it was silent.

    Parameters
    ----------
    out : path or URI
        Folder of the nights, or ``s3://BUCKET/PATH`` as text.
    model_id, class_id, metric : str
        The series. Without a metric or a class, the model's series in a table, the worst first,
        and the worst one in full.
    night : ``YYYY-MM-DD``, optional
        The latest night by default.

    Returns
    -------
    Explanation
        ``text``, ``verdict`` (a word), ``sentence`` and ``picture``.

    Raises
    ------
    ConfigError
        ``night`` is no date, or the night has no such model, class or metric.
    InputError
        There is no such night, or a file of it is damaged.

    Examples
    --------
    >>> import calhard
    >>> found = calhard.explain("nights", "churn", "rare", "aece")  # doctest: +SKIP
    >>> found.verdict, found.sentence  # doctest: +SKIP
    >>> print(found.text)  # doctest: +SKIP
    """
    return explain_night(open_night(out, night), model_id, class_id, metric)
