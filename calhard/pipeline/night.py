"""The driver's last part: evidence written, findings chosen, the night put together."""

from __future__ import annotations

import platform
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np
import pyarrow as pa

from calhard._version import __version__
from calhard.assess.windows import CADENCES
from calhard.findings import (
    compliance,
    early_warnings,
    fleet_health,
    health,
    improvements,
    incidents,
    regressions,
    violations,
)
from calhard.history import History, RowAccount
from calhard.judge.evidence import CANDIDATE, FleetVerdict
from calhard.judge.status import CAUSES, REMEDIES
from calhard.pipeline.fleet import JudgedFleet
from calhard.pipeline.roster import Roster, roster, with_silent
from calhard.plan import AuditPlan
from calhard.report import (
    NightReport,
    html_report,
    regression_report,
    verdict_sentence,
    weekly_slo_report,
)
from calhard.schema import ACTIONS, COVERAGE, HEADS, STATUSES
from calhard.store import NightReader, NightWriter

OUTCOMES = {"ok": "audited", "failed": "failed"}
CAUSE_OUTCOMES = (
    "indeterminate",
    "failed",
    "failed",
    "failed",
    "failed",
    "insufficient",
    "indeterminate",
)
"""What each of `judge.status.CAUSES` makes of a series."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """All that is published of a night but its evidence, which is written already."""

    report: NightReport
    about: dict[str, Any]


@dataclass(slots=True)
class Pile:
    """What is collected while the evidence streams by."""

    candidates: list[pa.Table]
    groups: list[pa.Table]
    causes: np.ndarray[Any, np.dtype[np.int64]]


def gather(
    fleet: JudgedFleet,
    writer: NightWriter,
    history: History,
    account: RowAccount,
    retired: Iterable[str],
    engine: str,
    started: float,
) -> Gathered:
    """Write the evidence and return everything else of the night."""
    plan, clock = fleet.ruling.plan, fleet.ruling.clock
    verdict = fleet.decide()
    pile = _write_evidence(fleet, verdict, writer, plan)
    candidates = pa.concat_tables([CANDIDATE.empty_table(), *pile.candidates])
    groups = pa.concat_tables(pile.groups, promote_options="default")
    models = roster(plan, groups["model_id"].to_pylist(), retired)
    metric = next(iter(fleet.ruling.metrics))
    candidates, groups = with_silent(candidates, groups, models.silent, metric)
    tables = _findings(candidates, groups, plan, clock.as_of, verdict.slo_threshold)
    covered = _coverage(account, pile.causes, groups, models, history)
    tables["coverage"] = pa.concat_tables([covered, _pinned_coverage(fleet, pile)])
    summary = _summary(tables, groups, account, fleet, history, len(models.silent))
    summary |= {"engine": engine, "timings": {"seconds": round(time.monotonic() - started, 3)}}
    night = writer.layout.night
    report = NightReport(night, tables, summary | {"night": night}, plan.to_toml())
    hashes = ("plan_sha256", "input_sha256", "baseline_sha256")
    about = {name: summary[name] for name in ("as_of", "fleet", *hashes)}
    about |= {"versions": _versions(), "engine": engine, "timings": summary["timings"]}
    return Gathered(report, about)


def publish(writer: NightWriter, gathered: Gathered) -> NightReader:
    """Write the tables and reports and publish the night."""
    report = gathered.report
    for name, table in report.tables.items():
        writer.write_table(name, table)
    writer.write_text("weekly_slo_report.txt", weekly_slo_report(report))
    writer.write_text("regression_report.txt", regression_report(report))
    writer.write_text("report.html", html_report(report))
    writer.write_json("summary.json", dict(report.summary))
    return writer.publish(gathered.about)


def _write_evidence(
    fleet: JudgedFleet, verdict: FleetVerdict, writer: NightWriter, plan: AuditPlan
) -> Pile:
    pile = Pile([], [], np.zeros(len(CAUSES) + 1, np.int64))
    with writer.table("evidence") as sink:
        for batch in fleet.evidence(verdict):
            kept = batch.table if plan.storage.keep == "all" else batch.candidates
            sink.write(kept.select(batch.table.schema.names))
            if batch.candidates.num_rows:
                pile.candidates.append(batch.candidates)
            pile.groups.append(batch.groups)
            pile.causes += np.bincount(batch.causes + 1, minlength=len(CAUSES) + 1)
    return pile


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
            worse, broken, plan, as_of, models_total=_audited_models(groups), tags=_tags(groups)
        ),
        "actions": ACTIONS.empty_table(),
    }


def _audited_models(groups: pa.Table) -> int:
    audited = groups.filter(pa.array(groups["audited"].to_numpy() > 0))
    return len(audited["model_id"].unique())


def _tags(groups: pa.Table) -> pa.Table:
    """One row per model with the first known value of each of its tags."""
    names = [name for name in groups.schema.names if name.startswith("tag:")]
    found = groups.group_by("model_id", use_threads=False).aggregate(
        [(name, "first") for name in names]
    )
    plain = {f"{name}_first": name.removeprefix("tag:") for name in names}
    return found.rename_columns([plain.get(name, name) for name in found.schema.names])


def _coverage(
    account: RowAccount,
    causes: np.ndarray[Any, np.dtype[np.int64]],
    groups: pa.Table,
    models: Roster,
    history: History,
) -> pa.Table:
    rows = account.coverage()
    rows.append(_entry("series", "audited", "", int(causes[0])))
    for cause, outcome, remedy, count in zip(
        CAUSES, CAUSE_OUTCOMES, REMEDIES, causes[1:].tolist(), strict=True
    ):
        if count:
            rows.append(_entry("series", outcome, cause, count, "", remedy))
    for metric in history.missing_metrics:
        rows.append(_entry("metric", "missing", f"no column {metric}", 1, metric))
    rows.append(_entry("model", "audited", "", _audited_models(groups)))
    rows += models.coverage()
    return pa.Table.from_pylist(rows, schema=COVERAGE)


def _pinned_coverage(fleet: JudgedFleet, pile: Pile) -> pa.Table:
    """What became of the rows of the baseline, if there is one."""
    if fleet.ruling.pinned is None:
        return COVERAGE.empty_table()
    groups = pa.concat_tables(pile.groups, promote_options="default")
    return pa.Table.from_pylist(fleet.ruling.pinned.coverage(groups), schema=COVERAGE)


def _entry(
    unit: str, outcome: str, reason: str, count: int, example: str = "", remedy: str = ""
) -> dict[str, object]:
    return {
        "unit": unit,
        "outcome": outcome,
        "reason": reason,
        "count": count,
        "example": example,
        "remedy": remedy,
    }


def coverage_share(series: dict[str, int], rows: int, rejected: int, files: int, bad: int) -> float:
    """Return the least of three shares: series, rows and files that could be audited.

    Series too young to audit count neither way; nothing audited is no coverage.
    """
    audited = series["ok"] + series["failed"]
    judged = audited + series["indeterminate"]
    if not audited:
        return 0.0
    return min(audited / judged, rows / (rows + rejected), files / (files + bad))


def _summary(
    tables: dict[str, pa.Table],
    groups: pa.Table,
    account: RowAccount,
    fleet: JudgedFleet,
    history: History,
    silent: int,
) -> dict[str, Any]:
    plan, pinned = fleet.ruling.plan, fleet.ruling.pinned
    series = {name: int(np.sum(groups[name].to_numpy())) for name in STATUSES if name != "ok"}
    series["ok"] = int(np.sum(groups["audited"].to_numpy())) - series["failed"] + silent
    counts = _counts(tables, groups, series, account)
    share = coverage_share(
        series, account.rows, account.rejected, len(history.files), len(account.files)
    )
    bound = plan.storage.coverage_bound
    inflation = _inflation(fleet)
    fleet_state = fleet_health(
        tables["health"],
        tables["regressions"],
        tables["warnings"],
        coverage=share,
        coverage_bound=bound,
        inflation=inflation,
        cap=plan.regression.lambda_cap,
    )
    met = compliance(tables["health"], plan.slos.compliance_goal)
    confirmed = counts["regressions"] + counts["violations"]
    degraded = share < bound or counts["ok"] + counts["failed"] == 0
    summary: dict[str, Any] = {
        "fleet": plan.fleet,
        "as_of": datetime.fromtimestamp(fleet.ruling.clock.as_of / 1e6, tz=UTC).isoformat(),
        "counts": counts,
        "coverage": {"share": share, "bound": bound, "ok": not degraded},
        "compliance": {
            "rate": met.rate,
            "goal": met.goal,
            "budget_left": met.budget_left,
            "nights": met.nights,
            "violated": met.violated,
        },
        "health": dict(sorted(Counter(tables["health"]["health"].to_pylist()).items())),
        "severity": dict(sorted(Counter(tables["incidents"]["severity"].to_pylist()).items())),
        "lambda": inflation,
        "reasons": list(fleet_state.reasons),
        "healthy": fleet_state.healthy and not confirmed,
        "plan_sha256": plan.sha256(),
        "input_sha256": history.fingerprint(),
        "baseline_sha256": None if pinned is None else pinned.sha256,
        "device": "cpu",
        "exit_code": 3 if degraded else (1 if confirmed else 0),
    }
    return summary | {"verdict": _verdict(summary), "sentence": verdict_sentence(summary)}


def _verdict(summary: dict[str, Any]) -> str:
    if not summary["counts"]["ok"] + summary["counts"]["failed"]:
        return "nothing audited"
    if summary["exit_code"] == 3:
        return "degraded"
    return "healthy" if summary["healthy"] else "unhealthy"


def _counts(
    tables: dict[str, pa.Table], groups: pa.Table, series: dict[str, int], account: RowAccount
) -> dict[str, int]:
    verdicts = Counter(
        zip(*(tables["violations"][n].to_pylist() for n in ("verdict", "direction")), strict=True)
    )
    return {
        "models": len(groups["model_id"].unique()),
        "groups": groups.num_rows,
        "series": sum(series.values()),
        **series,
        "rows": account.rows,
        "rows_rejected": account.rejected,
        "files_rejected": len(account.files),
        "violations": verdicts["violated", "worse"],
        "violations_for_the_better": verdicts["violated", "better"],
        "unconfirmed": sum(n for (verdict, _), n in verdicts.items() if verdict == "unconfirmed"),
        **{n: tables[n].num_rows for n in ("regressions", "improvements", "warnings", "incidents")},
    }


def _inflation(fleet: JudgedFleet) -> dict[str, float]:
    """Raw λ of every family and head that has one above 1, by ``metric/cadence/head``."""
    names = list(fleet.ruling.metrics)
    found = np.argwhere(fleet.factors > 1.0)
    return {
        f"{names[m]}/{CADENCES[c]}/{HEADS[h]}": round(float(fleet.factors[m, c, h]), 4)
        for m, c, h in found
    }


def _versions() -> dict[str, str]:
    packages = {name: version(name) for name in ("numpy", "scipy", "pyarrow")}
    return {"calhard": __version__, "python": platform.python_version(), **packages}
