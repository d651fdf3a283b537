"""Findings that belong together become one incident: by model and onset, and across the fleet."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from scipy.stats import poisson

from calhard.findings.columns import microseconds, words
from calhard.findings.factor import suspected_factor
from calhard.schema import INCIDENTS, MICROSECONDS_PER_DAY

if TYPE_CHECKING:
    from calhard.plan import AuditPlan

GAP_US = MICROSECONDS_PER_DAY
"""Onsets of one model within this are one incident; so are those of many models."""
FLEET_MODELS = 5
FLEET_SHARE = 0.02
FLEET_P = 1e-6
"""A fleet incident: at least 5 models, and rarer than 1e-6 or more than 2 % of the models."""
_RANK = {
    "minor": 0,
    "low": 0,
    "moderate": 1,
    "medium": 1,
    "severe": 2,
    "high": 2,
    "critical": 3,
}
_SCALE = ("minor", "moderate", "severe", "critical")


@dataclass(frozen=True, slots=True)
class Finding:
    """One confirmed regression or violation; ``onset`` None where nothing dates it."""

    model_id: str
    class_id: str
    metric: str
    kind: str
    rank: int
    onset: int | None
    worth: str


@dataclass(frozen=True, slots=True)
class Cluster:
    """Findings of one incident."""

    findings: tuple[Finding, ...]
    onset: int | None
    scope: str = "model"

    @property
    def models(self) -> tuple[str, ...]:
        """The models it touches, sorted."""
        return tuple(sorted({f.model_id for f in self.findings}))


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
    by_model = _by_model(_findings(regressions, violations))
    clusters = _fleet_wide(by_model, models_total, as_of_us)
    rows = [_row(c, plan, as_of_us, models_total, tags) for c in clusters]
    rows.sort(key=_urgency)
    return pa.Table.from_pylist(rows, schema=INCIDENTS)


def _urgency(row: dict[str, Any]) -> tuple[int, float, str]:
    return -_SCALE.index(row["severity"]), -row["blast_radius"], row["incident_id"]


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
    keys = zip(*(table[n].to_pylist() for n in ("model_id", "class_id", "metric")), strict=True)
    for i, ((model, class_, metric), kind) in enumerate(zip(keys, kinds, strict=True)):
        rank = _RANK[table["severity"][i].as_py()]
        yield Finding(model, class_, metric, kind, rank, onsets[i] if known[i] else None, told[i])


def _by_model(findings: Sequence[Finding]) -> list[Cluster]:
    """Single linkage of each model's onsets; what is not dated joins the model's first cluster."""
    models: dict[str, list[Finding]] = {}
    for finding in findings:
        models.setdefault(finding.model_id, []).append(finding)
    clusters = []
    for members in models.values():
        dated = sorted((f for f in members if f.onset is not None), key=lambda f: f.onset or 0)
        groups: list[list[Finding]] = []
        for finding in dated:
            if groups and (finding.onset or 0) - (groups[-1][-1].onset or 0) <= GAP_US:
                groups[-1].append(finding)
            else:
                groups.append([finding])
        rest = [f for f in members if f.onset is None]
        if rest:
            groups = [[*groups[0], *rest], *groups[1:]] if groups else [rest]
        clusters += [Cluster(tuple(g), g[0].onset) for g in groups]
    return clusters


def _fleet_wide(clusters: list[Cluster], models_total: int, as_of_us: int) -> list[Cluster]:
    """Merge clusters of many models that share an onset, the largest first."""
    done: list[Cluster] = []
    rest = list(clusters)
    while True:
        window = _widest(rest)
        models = {m for c in window for m in c.models}
        if not _is_fleet_wide(len(models), rest, models_total, as_of_us):
            return done + rest
        members = tuple(f for c in window for f in c.findings)
        onsets = [c.onset for c in window if c.onset is not None]
        done.append(Cluster(members, min(onsets), "fleet"))
        rest = [c for c in rest if c not in window]


def _widest(clusters: Sequence[Cluster]) -> list[Cluster]:
    """The clusters of most models whose onsets lie within one gap."""
    dated = sorted(
        (c for c in clusters if c.onset is not None), key=lambda c: (c.onset or 0, c.models)
    )
    best: tuple[int, int, int] = (0, 0, 0)
    begin, counts = 0, dict[str, int]()
    for end, cluster in enumerate(dated):
        for model in cluster.models:
            counts[model] = counts.get(model, 0) + 1
        while (cluster.onset or 0) - (dated[begin].onset or 0) > GAP_US:
            for model in dated[begin].models:
                counts[model] -= 1
                if not counts[model]:
                    del counts[model]
            begin += 1
        if len(counts) > best[0]:
            best = (len(counts), begin, end + 1)
    return dated[best[1] : best[2]]


def _is_fleet_wide(
    models: int, clusters: Sequence[Cluster], models_total: int, as_of_us: int
) -> bool:
    """Whether so many models in one gap are rarer than 1e-6 at the rate of the other onsets."""
    if models < FLEET_MODELS:
        return False
    if models > FLEET_SHARE * models_total:
        return True
    onsets = [c.onset for c in clusters if c.onset is not None]
    days = max((as_of_us - min(onsets)) / MICROSECONDS_PER_DAY, 7.0)
    others = len(onsets) - models + 1
    return bool(poisson.sf(models - 1, max(others, 1) / days) < FLEET_P)


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
    when = "" if cluster.onset is None else f" since {_instant(cluster.onset):%Y-%m-%d %H:%M} UTC"
    metrics = ", ".join(sorted({f.metric for f in cluster.findings}))
    if cluster.scope == "fleet":
        cause = f"; suspected: {factor}" if factor else ""
        return f"{len(cluster.models)} models changed together{when}: {metrics}{cause}"
    return f"{cluster.models[0]}: {metrics}{when}"


def _summary(cluster: Cluster, models_total: int) -> str:
    worst = max(cluster.findings, key=lambda f: (f.rank, f.worth, f.kind))
    classes = len({(f.model_id, f.class_id) for f in cluster.findings})
    share = len(cluster.models) / max(models_total, 1)
    told = f": {worst.worth}" if worst.worth else ""
    return (
        f"{len(cluster.findings)} finding(s) in {classes} model-class(es) of "
        f"{len(cluster.models)} model(s), {share:.1%} of the audited ones. Worst: {worst.kind} of "
        f"{worst.metric} in {worst.model_id} / {worst.class_id}{told}."
    )
