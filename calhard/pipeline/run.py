"""One night, from a history to a published directory."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from calhard.assess.block import Rules
from calhard.engines import Engine, LocalEngine, Progress
from calhard.engines.stopping import stopped_by_sigterm
from calhard.errors import InputError, PublishError
from calhard.history import History, RowAccount, ShardSpec
from calhard.judge.pinned import PinnedBaselines
from calhard.judge.ruling import Ruling, fit_priors
from calhard.pipeline.evidence import write_evidence
from calhard.pipeline.night import Night, conclude, publish
from calhard.pipeline.quarantine import Blamed, Quarantine
from calhard.pipeline.refusal import Refused, refused_models
from calhard.pipeline.result import AuditReport
from calhard.pipeline.resume import Scratch, open_scratch, run_id
from calhard.pipeline.series import Fingerprint, KeepSeries, kept_shards
from calhard.pipeline.stages import TOLERANT, Stages
from calhard.pipeline.tasks import AssessShard
from calhard.plan import AuditPlan
from calhard.store import NightWriter, Out, night_writer, published
from calhard.wording.names import display_name

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def night_of(as_of_us: int) -> str:
    """Return the night's name: the UTC date of as_of − 1 µs."""
    return (EPOCH + timedelta(microseconds=as_of_us - 1)).date().isoformat()


def run_audit(
    source: str | os.PathLike[str],
    plan: AuditPlan,
    *,
    out: Out,
    as_of_us: int | None = None,
    engine: Engine | None = None,
    baseline: PinnedBaselines | None = None,
    force: bool = False,
    progress: Progress | None = None,
    clock: Callable[[], float] = time.time,
) -> AuditReport:
    """Audit a history and publish the night.

    A run that was ended before its night was published leaves the shards that it had done; the next
    run of the same history, plan, moment and code goes on from there, with the same result. What
    kills, exhausts or stops every worker that computes it is narrowed down to single models: they
    are left out and named in the coverage table.

    Parameters
    ----------
    source : path or URI of the history
    out : directory of the nights, or an S3 URI
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
        _sweep(out, night, plan)
        return AuditReport(night, known.summary, known.path, fresh=False)
    writing = night_writer(out, night, force=force, scratch=plan.storage.scratch)
    with stopped_by_sigterm(), writing as writer:
        known = published(out, night)  # another may have been faster to the lock
        if known is not None and not force:
            writer.resumable = False
            return AuditReport(night, known.summary, known.path, fresh=False)
        job = _Job(history, plan, baseline, newest, now_us, engine, writer, progress or _silent)
        done = publish(writer, job.run())
    return AuditReport(night, done.summary, done.path, fresh=True)


def _sweep(out: Out, night: str, plan: AuditPlan) -> None:
    """Sweep what a run left that died when it had published its night."""
    with suppress(PublishError):  # there is no place where it could have left anything
        night_writer(out, night, scratch=plan.storage.scratch).sweep()


def _silent(stage: str, done: int, total: int, rows: int) -> None:
    del stage, done, total, rows


@dataclass(frozen=True, slots=True)
class _Job:
    """One run of a night, stage by stage."""

    history: History
    plan: AuditPlan
    baseline: PinnedBaselines | None
    as_of: int
    now_us: int
    engine: Engine
    writer: NightWriter
    progress: Progress

    def run(self) -> Night:
        """Compute the night, where an earlier try ended if there was one."""
        started, history = time.monotonic(), self.history
        unchanged, shards = Fingerprint.of(history), history.plan_shards()
        refused = refused_models(history, self.plan, self.as_of, self.now_us, shards, self.engine)
        run = run_id(unchanged, self.plan, self.as_of, self.baseline, shards, refused.models)
        scratch = open_scratch(self.writer, run, self.now_us, shards)
        if scratch.done:
            self.progress("resume", scratch.done, len(shards), 0)
        try:
            return self._computed(scratch, unchanged, shards, refused, started)
        except BaseException as e:
            self.writer.resumable = scratch.is_of_use(e)
            raise

    def _computed(
        self,
        scratch: Scratch,
        unchanged: Fingerprint,
        shards: list[ShardSpec],
        refused: Refused,
        started: float,
    ) -> Night:
        history, plan, writer = self.history, self.plan, self.writer
        clock = history.clock(plan, self.as_of, scratch.now_us)
        catalogue = plan.metric_catalogue()
        metrics = {name: catalogue[name] for name in history.metrics}
        rules = Rules.of(plan, metrics, clock)
        reading = history.reading_of(clock, scratch.now_us).refusing(refused.models)
        seconds = plan.storage.task_seconds  # of some million rows it takes a few
        policy = replace(TOLERANT, timeout=seconds, isolate=scratch.suspect)
        stages = Stages(self.engine, scratch.folder, self.progress, policy)
        assess = AssessShard(reading, rules, scratch.folder, plan.retired_models)
        assessed = stages.assess(assess, shards)
        account = history.account + assessed.counts.account
        if not any(shard.groups for shard in assessed.shards):
            raise InputError(_nothing(history, account, refused.blamed))
        priors = fit_priors(assessed.counts.sketch, len(metrics))
        ruling = Ruling(plan, clock, metrics, priors, self.baseline)
        fleet, blamed = stages.judge(ruling, assessed, assess)
        self.progress("decide", 0, 1, 0)
        evidence = write_evidence(fleet, writer)
        self.progress("decide", 1, 1, 0)
        groups = None if plan.storage.keep == "all" else evidence.flagged()
        keep = KeepSeries(reading, rules, scratch.folder, plan.retired_models)
        kept = kept_shards(assessed.shards, groups)
        unkept = stages.keep(keep, kept, writer)
        if kept:
            unchanged.check(history)
        return conclude(
            fleet,
            evidence,
            history,
            account,
            assessed.counts.retired | refused.retired,
            Quarantine.of([*refused.blamed, *assessed.blamed, *blamed], unkept),
            night=writer.layout.night,
            engine=self.engine.name,
            started=started,
        )


def _nothing(history: History, account: RowAccount, refused: Sequence[Blamed]) -> str:
    """Why no row was left to audit."""
    lines = [f"{display_name(history.source, 200)}: no row can be audited", *account.told()]
    lines += [f"  {blamed.told()}" for blamed in refused[:10]]
    if {outcome for outcome, _ in account.counts} == {"outside"}:
        lines.append("choose another --as-of; by default it is the newest timestamp")
    return "\n".join(lines)
