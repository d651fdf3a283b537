"""One night, from a history to a published directory."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import add
from typing import TypeVar

from calhard.assess.block import Rules
from calhard.assess.correlation import CorrelationSketch
from calhard.engines import Engine, LocalEngine, Progress, Results
from calhard.errors import InputError
from calhard.history import History, RowAccount, ShardSpec
from calhard.judge.pinned import PinnedBaselines
from calhard.judge.ruling import Ruling, ScoreSketch, fit_priors
from calhard.pipeline.evidence import write_evidence
from calhard.pipeline.fleet import JudgedFleet
from calhard.pipeline.night import Night, conclude, publish
from calhard.pipeline.result import AuditReport
from calhard.pipeline.series import Fingerprint, KeepSeries, KeptShard, kept_shards
from calhard.pipeline.shardfile import ShardFiles, drain_batches
from calhard.pipeline.tasks import AssessShard, JudgeShard
from calhard.plan import AuditPlan
from calhard.report.names import display_name
from calhard.schema import series_schema
from calhard.store import NightWriter, published

Result = TypeVar("Result")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def night_of(as_of_us: int) -> str:
    """Return the night's name: the UTC date of as_of − 1 µs."""
    return (EPOCH + timedelta(microseconds=as_of_us - 1)).date().isoformat()


def run_audit(
    source: str | os.PathLike[str],
    plan: AuditPlan,
    *,
    out: str | os.PathLike[str],
    as_of_us: int | None = None,
    engine: Engine | None = None,
    baseline: PinnedBaselines | None = None,
    force: bool = False,
    progress: Progress | None = None,
    clock: Callable[[], float] = time.time,
) -> AuditReport:
    """Audit a history and publish the night.

    Parameters
    ----------
    source : path or URI of the history
    out : directory of the nights
    as_of_us : the audit's moment, µs since 1970 UTC; by default when the newest sound row became
        known, which is its timestamp unless the history tells another
    engine : where shards are computed; all cores of this machine by default
    baseline : what drift is measured against (`calhard.history.read_baseline`); without it, and
        for what it does not hold, the reference window's mean
    force : audit a published night again, as a new revision
    clock : seconds since 1970; only rejects timestamps from the future

    Raises
    ------
    InputError
        Nothing can be read, or no row is within reach of ``as_of``. Nothing is published.
    NightInProgress
        Someone else is writing this night.
    PublishError
        The night could not be written; an earlier revision stays.
    """
    engine = engine or LocalEngine()
    history = History.open(source, plan)
    now_us = int(clock() * 1e6)
    newest = history.moment(now_us) if as_of_us is None else as_of_us
    night = night_of(newest)
    known = published(out, night)
    if known is not None and not force:
        return AuditReport(night, known.summary, known.path, fresh=False)
    with NightWriter(out, night, force=force) as writer:
        known = published(out, night)  # another may have been faster to the lock
        if known is not None and not force:
            return AuditReport(night, known.summary, known.path, fresh=False)
        tell = progress or _silent
        concluded = _audit(history, plan, baseline, newest, now_us, engine, writer, tell)
        done = publish(writer, concluded)
    return AuditReport(night, done.summary, done.path, fresh=True)


def _silent(stage: str, done: int, total: int, rows: int) -> None:
    del stage, done, total, rows


def _audit(
    history: History,
    plan: AuditPlan,
    baseline: PinnedBaselines | None,
    as_of: int,
    now_us: int,
    engine: Engine,
    writer: NightWriter,
    progress: Progress,
) -> Night:
    started = time.monotonic()
    clock = history.clock(plan, as_of, now_us)
    catalogue = plan.metric_catalogue()
    metrics = {name: catalogue[name] for name in history.metrics}
    rules = Rules.of(plan, metrics, clock)
    reading = history.reading_of(clock, now_us)
    unchanged = Fingerprint.of(history)
    shards = history.plan_shards()
    assess = AssessShard(reading, rules, writer.scratch, plan.retired_models)
    assessed = list(_told(engine.map(assess, shards), "assess", shards, progress))
    sketch = reduce(add, (a.sketch for a in assessed), CorrelationSketch.zero(len(metrics)))
    account = reduce(add, (a.account for a in assessed), history.account)
    if not any(a.groups for a in assessed):
        raise InputError(_nothing(history, account))
    ruling = Ruling(plan, clock, metrics, fit_priors(sketch, len(metrics)), baseline)
    fleet = _judged(ruling, [a.spec for a in assessed], engine, writer, progress)
    progress("decide", 0, 1, 0)
    evidence = write_evidence(fleet, writer)
    progress("decide", 1, 1, 0)
    groups = None if plan.storage.keep == "all" else evidence.flagged()
    keep = KeepSeries(reading, rules, writer.scratch, plan.retired_models)
    kept = kept_shards(assessed, groups)
    _write_series(engine, keep, kept, writer, progress)
    if kept:
        unchanged.check(history)
    return conclude(
        fleet,
        evidence,
        history,
        account,
        {model for a in assessed for model in a.retired},
        night=writer.layout.night,
        engine=engine.name,
        started=started,
    )


def _judged(
    ruling: Ruling,
    shards: Sequence[ShardSpec],
    engine: Engine,
    writer: NightWriter,
    progress: Progress,
) -> JudgedFleet:
    """Judge the assessed shards; what inflates their p-values is told by all together."""
    indices = [spec.index for spec in shards]
    judge = JudgeShard(ruling, writer.scratch)
    scores = _told(engine.map(judge, indices), "judge", shards, progress)
    factors = reduce(add, scores, ScoreSketch.zero(len(ruling.metrics))).factors()
    return JudgedFleet(ruling, writer.scratch, indices, factors)


def _write_series(
    engine: Engine,
    keep: KeepSeries,
    shards: Sequence[KeptShard],
    writer: NightWriter,
    progress: Progress,
) -> None:
    """Write the values of the kept groups, in the order of their names."""
    done = _told(engine.map(keep, shards), "series", [kept.spec for kept in shards], progress)
    with writer.parts("series", series_schema(keep.rules.metrics)) as sink, closing(done):
        for index in done:
            for batch in drain_batches(ShardFiles(keep.folder, index).path("windows")):
                sink.write(batch)


def _told(
    results: Results[Result], stage: str, shards: Sequence[ShardSpec], progress: Progress
) -> Results[Result]:
    """Pass results on and tell how far they are; workers end with it, whatever ends it."""
    with closing(results):
        progress(stage, 0, len(shards), 0)
        rows = 0
        for done, (result, shard) in enumerate(zip(results, shards, strict=True), start=1):
            rows += shard.rows
            progress(stage, done, len(shards), rows)
            yield result


def _nothing(history: History, account: RowAccount) -> str:
    """Why no row was left to audit."""
    lines = [f"{display_name(history.source, 200)}: no row can be audited", *account.told()]
    if {outcome for outcome, _ in account.counts} == {"outside"}:
        lines.append("choose another --as-of; by default it is the newest timestamp")
    return "\n".join(lines)
