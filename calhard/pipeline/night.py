"""The driver's last part: findings chosen, the night put together and published."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import pyarrow as pa

from calhard._version import __version__
from calhard.findings import (
    early_warnings,
    health,
    improvements,
    incidents,
    regressions,
    violations,
)
from calhard.history import History, RowAccount
from calhard.judge.ruling import Ruling
from calhard.pipeline.coverage import Coverage, audited_models
from calhard.pipeline.evidence import NightEvidence
from calhard.pipeline.exhibits import gather
from calhard.pipeline.fleet import JudgedFleet
from calhard.pipeline.quarantine import Quarantine
from calhard.pipeline.reliability import night_reliability
from calhard.pipeline.roster import roster, with_silent
from calhard.pipeline.summary import summarise
from calhard.plan import AuditPlan
from calhard.report import NightReport, html_report, regression_report, weekly_slo_report
from calhard.schema import ACTIONS
from calhard.store import NightReader, NightWriter


@dataclass(frozen=True, slots=True)
class Night:
    """All that is published of a night but its evidence and series, which are written already."""

    report: NightReport
    about: dict[str, Any]
    ruling: Ruling
    evidence: NightEvidence


def conclude(
    fleet: JudgedFleet,
    evidence: NightEvidence,
    history: History,
    account: RowAccount,
    retired: Iterable[str],
    quarantine: Quarantine,
    *,
    night: str,
    engine: str,
    started: float,
) -> Night:
    """Return the findings of a night, its coverage and its summary.

    ``retired`` are models whose rows were left out, those in ``quarantine`` could not be computed;
    ``started`` is the monotonic clock's time.
    """
    plan, as_of = fleet.ruling.plan, fleet.ruling.clock.as_of
    there = evidence.groups["model_id"].to_pylist()
    there += [*quarantine.models, *quarantine.excused(plan.expected_models)]
    models = roster(plan, there, retired, evidence.stopped)
    metric = next(iter(fleet.ruling.metrics))
    candidates, groups = with_silent(evidence.candidates, evidence.groups, models, metric)
    groups = quarantine.with_groups(groups)
    tables = _findings(candidates, groups, plan, as_of, evidence.slo_threshold)
    bins = night_reliability(history, tables, candidates, fleet.ruling.clock)
    coverage = Coverage(history, account, evidence, models, fleet.ruling.pinned, quarantine)
    tables["reliability"] = bins.table
    tables["coverage"] = pa.concat_tables([coverage.table(), bins.coverage])
    summary = summarise(tables, groups, fleet, coverage)
    summary |= {"engine": engine, "timings": {"seconds": round(time.monotonic() - started, 3)}}
    report = NightReport(night, tables, summary | {"night": night}, plan.to_toml())
    hashes = ("plan_sha256", "input_sha256", "baseline_sha256")
    told = [name for name in ("as_of", "fleet", "source", *hashes) if name in summary]
    about = {name: summary[name] for name in told}
    about |= {"versions": _versions(), "engine": engine, "timings": summary["timings"]}
    return Night(report, about, fleet.ruling, evidence)


def publish(writer: NightWriter, night: Night) -> NightReader:
    """Write the tables and reports and publish the night."""
    report = night.report
    for name, table in report.tables.items():
        writer.write_table(name, table)
    writer.write_text("weekly_slo_report.txt", weekly_slo_report(report))
    writer.write_text("regression_report.txt", regression_report(report))
    exhibits = gather(report, night.ruling, night.evidence, writer)
    writer.write_text("report.html", html_report(report, exhibits))
    writer.write_text("calhard.toml", report.configuration)
    writer.write_json("summary.json", dict(report.summary))
    return writer.publish(night.about)


def _findings(
    candidates: pa.Table, groups: pa.Table, plan: AuditPlan, as_of: int, slo_threshold: float
) -> dict[str, pa.Table]:
    broken = violations(candidates, plan, slo_p_threshold=slo_threshold)
    worse = regressions(candidates, plan, as_of)
    better = improvements(candidates, plan, as_of)
    warned = early_warnings(candidates, broken, plan)
    return {
        "violations": broken,
        "regressions": worse,
        "improvements": better,
        "warnings": warned,
        "health": health(groups, broken, worse, better, warned),
        "incidents": incidents(
            worse, broken, plan, as_of, models_total=audited_models(groups), tags=_tags(groups)
        ),
        "actions": ACTIONS.empty_table(),
    }


def _tags(groups: pa.Table) -> pa.Table:
    """One row per model with the first known value of each of its tags."""
    names = [name for name in groups.schema.names if name.startswith("tag:")]
    found = groups.group_by("model_id", use_threads=False).aggregate(
        [(name, "first") for name in names]
    )
    plain = {f"{name}_first": name.removeprefix("tag:") for name in names}
    return found.rename_columns([plain.get(name, name) for name in found.schema.names])


def _versions() -> dict[str, str]:
    packages = {name: version(name) for name in ("numpy", "scipy", "pyarrow")}
    return {"calhard": __version__, "python": platform.python_version(), **packages}
