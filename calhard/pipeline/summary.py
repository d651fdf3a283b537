"""The night in numbers, its verdict and its exit code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from calhard.assess.windows import CADENCES, Clock
from calhard.findings import compliance, fleet_health
from calhard.history import History, RowAccount
from calhard.pipeline.coverage import Coverage
from calhard.pipeline.evidence import NightEvidence
from calhard.pipeline.fleet import JudgedFleet
from calhard.report import verdict_sentence
from calhard.schema import HEADS, STATUSES

if TYPE_CHECKING:
    from calhard.plan import AuditPlan

Tables = Mapping[str, pa.Table]


def summarise(
    tables: Tables, groups: pa.Table, fleet: JudgedFleet, coverage: Coverage
) -> dict[str, Any]:
    """Return what ``summary.json`` holds, but engine and timings.

    ``groups`` has a row for every model-class and for every model that is missing.
    """
    plan, pinned = fleet.ruling.plan, fleet.ruling.pinned
    series = _series(groups, len(coverage.models.failed))
    share, bound = coverage.share(series), plan.storage.coverage_bound
    degraded = share < bound or series["ok"] + series["failed"] == 0
    counts = _counts(tables, groups, series, coverage.account)
    confirmed = counts["regressions"] + counts["violations"]
    inflation = _inflation(fleet)
    state = fleet_health(
        tables["health"],
        tables["regressions"],
        tables["warnings"],
        coverage=share,
        coverage_bound=bound,
        inflation=inflation,
        cap=plan.regression.lambda_cap,
    )
    summary: dict[str, Any] = {
        "fleet": plan.fleet,
        "as_of": datetime.fromtimestamp(fleet.ruling.clock.as_of / 1e6, tz=UTC).isoformat(),
        **_source(coverage.history),
        **_lag(fleet.ruling.clock),
        "counts": counts,
        "coverage": {"share": share, "bound": bound, "ok": not degraded},
        "compliance": _compliance(tables["health"], plan),
        "health": _tally(tables["health"]["health"]),
        "severity": _tally(tables["incidents"]["severity"]),
        "lambda": inflation,
        "metrics": _metrics(coverage.evidence),
        "reasons": list(state.reasons),
        "healthy": state.healthy,
        "plan_sha256": plan.sha256(),
        "input_sha256": coverage.history.fingerprint(),
        "baseline_sha256": None if pinned is None else pinned.sha256,
        "device": "cpu",
        "exit_code": 3 if degraded else (1 if confirmed else 0),
    }
    return summary | {"verdict": _verdict(summary), "sentence": verdict_sentence(summary)}


def _source(history: History) -> dict[str, str]:
    """What the history was fetched from; files are told by ``input_sha256`` alone."""
    return {} if history.origin is None else {"source": history.origin.name}


def _lag(clock: Clock) -> dict[str, float]:
    """How long after its timestamp a row is known, where the history tells and it is not at once.

    By so much the windows end before ``as_of``, in the rows' timestamps.
    """
    return {"lag_seconds": clock.lag / 1e6} if clock.lag else {}


def _series(groups: pa.Table, silent: int) -> dict[str, int]:
    """Series by status; a missing model counts as one that failed, and was not audited."""
    series = {name: int(np.sum(groups[name].to_numpy())) for name in STATUSES if name != "ok"}
    series["ok"] = int(np.sum(groups["audited"].to_numpy())) - series["failed"] + silent
    return series


def _counts(
    tables: Tables, groups: pa.Table, series: Mapping[str, int], account: RowAccount
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


def _compliance(health: pa.Table, plan: AuditPlan) -> dict[str, float | None]:
    met = compliance(health, plan.slos.compliance_goal)
    names = ("rate", "goal", "budget_left", "nights", "violated")
    return {name: getattr(met, name) for name in names}


def _metrics(evidence: NightEvidence) -> dict[str, dict[str, Any]]:
    """Each metric over the fleet: what half and nine tenths of the series stay below, p-values."""
    return {
        name: {
            "series": levels.total,
            "median": levels.quantile(0.5),
            "p90": levels.quantile(0.9),
            "p_values": evidence.p_values[name].tolist(),
        }
        for name, levels in evidence.levels.items()
    }


def _tally(words: pa.ChunkedArray) -> dict[str, int]:
    """How often each word occurs, by word."""
    return dict(sorted((c["values"], c["counts"]) for c in words.value_counts().to_pylist()))


def _inflation(fleet: JudgedFleet) -> dict[str, float]:
    """Raw λ of every family and head that has one above 1, by ``metric/cadence/head``."""
    names = list(fleet.ruling.metrics)
    found = np.argwhere(fleet.factors > 1.0)
    return {
        f"{names[m]}/{CADENCES[c]}/{HEADS[h]}": round(float(fleet.factors[m, c, h]), 4)
        for m, c, h in found
    }


def _verdict(summary: Mapping[str, Any]) -> str:
    """The night in two words; where anything is confirmed, nobody reads "healthy" first."""
    if not summary["counts"]["ok"] + summary["counts"]["failed"]:
        return "nothing audited"
    if summary["exit_code"] == 3:
        return "degraded"
    if not summary["healthy"]:
        return "unhealthy"
    return "needs attention" if summary["exit_code"] else "healthy"
