"""Findings that belong together become one incident: by model and onset, and across the fleet."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from calhard.findings.clusters import Cluster, Finding, by_model, fleet_wide
from calhard.findings.columns import microseconds, words
from calhard.findings.factor import suspected_factor
from calhard.schema import INCIDENTS

if TYPE_CHECKING:
    from calhard.plan import AuditPlan

_RANK = {
    "minor": 0,
    "low": 0,
    "moderate": 1,
    "medium": 1,
    "severe": 2,
    "high": 2,
    "critical": 3,
}
LONGEST_NAME = 60
"""Longer names are cut in titles and summaries; ``models`` lists them whole."""
_SCALE = ("minor", "moderate", "severe", "critical")


def incidents(
    regressions: pa.Table,
    violations: pa.Table,
    plan: AuditPlan,
    as_of_us: int,
    *,
    models_total: int,
    tags: pa.Table,
) -> pa.Table:
    """Return the night's incidents, `schema.INCIDENTS`, the worst first.

    Parameters
    ----------
    regressions, violations : the night's; unconfirmed violations and changes for the better open
        no incident
    models_total : audited models
    tags : ``model_id`` and one column per tag, one row per model
    """
    alone = by_model(_findings(regressions, violations))
    clusters = fleet_wide(alone, models_total, as_of_us)
    rows = [_row(c, plan, as_of_us, models_total, tags) for c in clusters]
    rows.sort(key=_urgency)
    return pa.Table.from_pylist(rows, schema=INCIDENTS)


def _urgency(row: dict[str, Any]) -> tuple[int, float, int, str, str]:
    rank = _SCALE.index(row["severity"])
    return -rank, -row["blast_radius"], -row["findings"], row["title"], row["incident_id"]


def _findings(regressions: pa.Table, violations: pa.Table) -> list[Finding]:
    verdict, direction = words(violations, "verdict"), words(violations, "direction")
    sure = violations.filter(pa.array((verdict == "violated") & (direction == "worse")))
    found = [
        *_read(regressions, words(regressions, "regression_type"), "detail"),
        *_read(sure, ["SLO violation"] * sure.num_rows, None),
    ]
    return sorted(found, key=lambda f: (f.model_id, f.class_id, f.metric, f.kind))


def _read(table: pa.Table, kinds: Iterable[str], detail: str | None) -> Iterable[Finding]:
    onsets = microseconds(table, "onset").tolist()
    known = table["onset"].is_valid().to_pylist()
    told = table[detail].to_pylist() if detail else [""] * table.num_rows
    names = ("model_id", "class_id", "metric", "severity")
    keys = zip(*(table[name].to_pylist() for name in names), strict=True)
    for i, ((model, class_, metric, severity), kind) in enumerate(zip(keys, kinds, strict=True)):
        onset = onsets[i] if known[i] else None
        yield Finding(model, class_, metric, kind, _RANK[severity], onset, told[i])


def _row(
    cluster: Cluster, plan: AuditPlan, as_of_us: int, models_total: int, tags: pa.Table
) -> dict[str, Any]:
    models = cluster.models
    worst = max(f.rank for f in cluster.findings)
    factor = suspected_factor(models, tags) if cluster.scope == "fleet" else ""
    onset = cluster.onset
    return {
        "incident_id": _identity(plan.fleet, cluster),
        "state": "open",
        "severity": _SCALE[worst],
        "title": _title(cluster, factor),
        "opened_at": _instant(as_of_us),
        "onset": None if onset is None else _instant(onset),
        "last_seen": _instant(as_of_us),
        "models": list(models),
        "classes": sorted({f.class_id for f in cluster.findings}),
        "findings": len(cluster.findings),
        "blast_radius": len(models) / max(models_total, len(models)),
        "suspected_factor": factor or None,
        "scope": cluster.scope,
        "metrics": sorted({f.metric for f in cluster.findings}),
        "summary": _summary(cluster, models_total),
    }


def _identity(fleet: str, cluster: Cluster) -> str:
    text = "\0".join([fleet, cluster.scope, str(cluster.onset), *cluster.models])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _instant(us: int) -> datetime:
    return datetime.fromtimestamp(us / 1e6, tz=UTC)


def _title(cluster: Cluster, factor: str) -> str:
    metrics = ", ".join(sorted({f.metric for f in cluster.findings}))
    if cluster.scope == "fleet":
        cause = f"; suspected: {factor.partition(' (')[0]}" if factor else ""
        return f"{len(cluster.models)} models changed together: {metrics}{cause}"
    return f"{_short(cluster.models[0])}: {metrics}"


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def _summary(cluster: Cluster, models_total: int) -> str:
    worst = max(cluster.findings, key=lambda f: (f.rank, f.worth, f.kind))
    classes = len({(f.model_id, f.class_id) for f in cluster.findings})
    models = len(cluster.models)
    share = models / max(models_total, models)
    told = f": {worst.worth}" if worst.worth else ""
    return (
        f"{_counted(len(cluster.findings), 'finding')} in "
        f"{_counted(classes, 'model-class', 'model-classes')} of {_counted(models, 'model')} "
        f"({share:.1%} of the audited ones). Worst: {worst.kind} of {worst.metric} in "
        f"{_short(worst.model_id)} / {_short(worst.class_id)}{told}."
    )


def _counted(number: int, noun: str, plural: str = "") -> str:
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
