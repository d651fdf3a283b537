"""All that a night says of one series, or of a model's series, gathered from its tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

import pyarrow as pa

from calhard.findings.severity import REGRESSION_SCALE, VIOLATION_SCALE
from calhard.plan import AuditPlan
from calhard.plan.effective import plan_from_effective
from calhard.reliability import Diagram, diagrams_of
from calhard.schema import Metric

Row = Mapping[str, Any]
PLAN = "calhard.toml"
"""The night's file that holds the configuration in force."""
RELIABILITY = "reliability"
"""The table of the night's bins, which nights of older versions do not have."""


class Night(Protocol):
    """What is asked of a published night; `store.NightReader` is one."""

    @property
    def night(self) -> str:
        """``YYYY-MM-DD``."""

    @property
    def summary(self) -> dict[str, Any]:
        """The night in numbers."""

    @property
    def files(self) -> Iterable[str]:
        """Names of its files."""

    def text(self, name: str) -> str:
        """Return one of its text files."""

    def table(self, name: str) -> pa.Table:
        """Return one of its tables."""

    def rows(self, name: str, **equal: str) -> pa.Table:
        """Return the rows of a table in which every column of ``equal`` has that value."""

    def series(self, model_id: str, class_id: str | None = None) -> pa.Table:
        """Return the values behind a model's series, or one class's."""


@dataclass(frozen=True, slots=True)
class SeriesFacts:
    """What a night says of one series.

    ``evidence`` is None where none was kept, or where the model did not report at all; ``group``
    is the row of its class in the health table.
    """

    model_id: str
    class_id: str
    metric: str
    evidence: Row | None
    regression: Row | None
    improvement: Row | None
    warning: Row | None
    violations: Mapping[str, Row]
    """By window: week, night."""
    incident: Row | None
    group: Row | None
    plan: AuditPlan
    as_of: datetime
    inflation: Mapping[str, float]
    """Raw λ above 1 of the series' family, by head."""
    reliability: Mapping[str, Diagram] = field(default_factory=dict)
    """Diagrams of its model and class by window, reference and analysis, where bins were kept."""

    @property
    def spec(self) -> Metric:
        """How the metric is read; a metric that the plan does not know has no SLO."""
        return self.plan.metric_catalogue().get(self.metric) or Metric(self.metric)

    @property
    def change(self) -> Row | None:
        """The confirmed change, for the worse or the better."""
        return self.regression or self.improvement

    @property
    def confirmed(self) -> list[Row]:
        """Violations for the worse that one can be sure of."""
        sure = [v for v in self.violations.values() if v["verdict"] == "violated"]
        return [v for v in sure if v["direction"] == "worse"]

    @property
    def doubtful(self) -> list[Row]:
        """Windows beyond their bound for the worse that noise may explain."""
        unsure = [v for v in self.violations.values() if v["verdict"] == "unconfirmed"]
        return [v for v in unsure if v["direction"] == "worse"]

    def told(self, name: str) -> Any:
        """Return a value of the evidence; None where there is none."""
        return None if self.evidence is None else self.evidence.get(name)

    @property
    def severity(self) -> int:
        """0 to 3, of the worst confirmed finding."""
        found = [VIOLATION_SCALE.index(v["severity"]) for v in self.confirmed]
        if self.regression is not None:
            found.append(REGRESSION_SCALE.index(self.regression["severity"]))
        return max(found, default=0)


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a night says of a model: its series with evidence or a finding, and its classes."""

    series: list[SeriesFacts]
    classes: dict[str, Row]
    """Rows of the health table by class."""

    @property
    def not_kept(self) -> int:
        """Series that were judged and whose evidence was not kept."""
        judged: int = sum(
            row[name]
            for row in self.classes.values()
            for name in ("audited", "insufficient", "indeterminate")
        )
        return max(judged - sum(s.evidence is not None for s in self.series), 0)


def night_plan(night: Night) -> AuditPlan:
    """Return the configuration in force; the default one where the night did not keep it."""
    if PLAN not in night.files:
        return AuditPlan()
    return plan_from_effective(night.text(PLAN), PLAN)


def model_facts(night: Night, model_id: str, **only: str) -> ModelFacts:
    """Return what is known of a model; ``only`` may name a ``class_id`` and a ``metric``."""
    plan, as_of = night_plan(night), datetime.fromisoformat(night.summary["as_of"])
    of_class = {name: value for name, value in only.items() if name == "class_id"}
    health = night.rows("health", model_id=model_id, **of_class).to_pylist()
    classes = {row["class_id"]: row for row in health}
    tables = {
        name: _by_series(night.rows(name, model_id=model_id, **only))
        for name in ("evidence", "violations", "regressions", "improvements", "warnings")
    }
    diagrams = _diagrams(night, model_id, of_class)
    keys = dict.fromkeys(key for found in tables.values() for key in found)
    incidents = night.rows("incidents").to_pylist() if keys else []
    series = [
        replace(
            _facts(key, tables, classes, plan, as_of, night, incidents),
            reliability=diagrams.get(key[1], {}),
        )
        for key in keys
    ]
    return ModelFacts(series, classes)


def _diagrams(
    night: Night, model_id: str, of_class: Mapping[str, str]
) -> Mapping[str, Mapping[str, Diagram]]:
    """The diagrams of a model by class and window; none of a night of an older version."""
    if f"{RELIABILITY}.parquet" not in night.files:
        return {}
    found = diagrams_of(night.rows(RELIABILITY, model_id=model_id, **of_class))
    return {class_id: windows for (_, class_id), windows in found.items()}


def unkept(night: Night, model: ModelFacts, key: tuple[str, str, str]) -> SeriesFacts:
    """Return the facts of a series of which nothing was kept but its class's health."""
    as_of = datetime.fromisoformat(night.summary["as_of"])
    return _facts(key, {}, model.classes, night_plan(night), as_of, night)


Key = tuple[str, str, str]


def _holds(incident: Row, key: Key) -> bool:
    """Whether a series is among those of an incident."""
    names = ("models", "classes", "metrics")
    return all(value in incident[name] for value, name in zip(key, names, strict=True))


def _by_series(table: pa.Table) -> dict[Key, list[Row]]:
    found: dict[Key, list[Row]] = {}
    for row in table.to_pylist():
        found.setdefault((row["model_id"], row["class_id"], row["metric"]), []).append(row)
    return found


def _facts(
    key: Key,
    tables: Mapping[str, Mapping[Key, list[Row]]],
    classes: Mapping[str, Row],
    plan: AuditPlan,
    as_of: datetime,
    night: Night,
    incidents: Iterable[Row] = (),
) -> SeriesFacts:
    rows = {name: found.get(key, []) for name, found in tables.items()}

    def first(name: str) -> Row | None:
        return next(iter(rows.get(name, ())), None)

    evidence = first("evidence")
    family = "" if evidence is None else f"{key[2]}/{evidence['cadence']}/"
    told: Mapping[str, float] = night.summary.get("lambda", {})
    return SeriesFacts(
        *key,
        evidence=evidence,
        regression=first("regressions"),
        improvement=first("improvements"),
        warning=first("warnings"),
        violations={row["window"]: row for row in rows.get("violations", ())},
        incident=next((row for row in incidents if _holds(row, key)), None),
        group=classes.get(key[1]),
        plan=plan,
        as_of=as_of,
        inflation={
            name.removeprefix(family): value
            for name, value in told.items()
            if family and name.startswith(family)
        },
    )
