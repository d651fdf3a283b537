"""The audit plan: every rule of a night, with a default for each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    model_validator,
)

from calhard.plan.bounds import BOUNDS, MetricSpec, Override, Thresholds, impossible_bounds
from calhard.plan.globs import matched
from calhard.plan.logged import NUMBERS
from calhard.plan.measuring import Measure
from calhard.plan.publishing import Mlflow, sealed_here
from calhard.plan.rules import Broken, refuse
from calhard.plan.secret import masked
from calhard.plan.sections import Alerts, Regression, Section, Slos, Storage, Windows
from calhard.schema import (
    BUILTIN_METRICS,
    KEY_COLUMNS,
    OPTIONAL_COLUMNS,
    PREDICTION_COLUMNS,
    Metric,
)

Floats = NDArray[np.float64]
NOT_METRICS = (*KEY_COLUMNS, "total_samples", "model_version", "ingested_at")


def _declarable(name: str) -> str:
    """Refuse names of metrics that mean something else already."""
    if not name:
        raise ValueError("a metric needs a name: that of its column")
    if name in BUILTIN_METRICS:
        raise ValueError(f"{name} is built in; its bound is set under slos")
    if name in NOT_METRICS:
        raise ValueError(f"{name} is a column of another meaning, not a metric")
    return name


Sealed = Annotated[dict[str, Any], BeforeValidator(sealed_here), PlainSerializer(masked)]
MetricName = Annotated[str, AfterValidator(_declarable)]
Name = Annotated[str, Field(min_length=1)]


def _either(schema: dict[str, Any]) -> None:
    """A list of models, or the name of the file that lists them."""
    listed = {"type": schema.pop("type"), "items": schema.pop("items")}
    file = {"type": "string", "description": "a file with one model a line, beside this file"}
    schema["anyOf"] = [listed, file]


def known_columns(metrics: Iterable[str]) -> tuple[str, ...]:
    """Return the canonical columns that a configuration may map."""
    known = (*KEY_COLUMNS, *OPTIONAL_COLUMNS, *BUILTIN_METRICS, *PREDICTION_COLUMNS, *metrics)
    return tuple(dict.fromkeys(known))


def unlogged(name: str, metrics: Iterable[str]) -> str:
    """Return why a name is none of what may be logged as a metric."""
    if name == "total_samples":
        return 'no metric; it has a key of its own: source.total_samples = "metric:KEY"'
    return f"no such metric; known: {', '.join([*BUILTIN_METRICS, *metrics, *NUMBERS])}"


class AuditPlan(Section):
    """Every rule of a night; all have defaults, so ``AuditPlan()`` is a plan.

    Its fields are those of ``[calibration.hardening]``. Built in Python, wrong values raise
    `pydantic.ValidationError`; from a file, `ConfigError` with the line of each.
    """

    fleet: Name = Field("default", description="the fleet's name in reports and ids")
    expected_models: Annotated[tuple[Name, ...], Field(strict=False)] = Field(
        (), description="models whose silence is a finding", json_schema_extra=_either
    )
    retired_models: Annotated[tuple[Name, ...], Field(strict=False)] = Field(
        (),
        description="models (names or globs) that are listed but give no finding and no alert",
        json_schema_extra=_either,
    )
    enabled: bool = Field(True, description="false: an audit ends at once and says so")
    slo_monitoring: bool = Field(True, description="find SLO violations and early warnings")
    regression_detection: bool = Field(True, description="find regressions and improvements")
    automated_response: bool = Field(True, description="false: findings only, no actions planned")
    slos: Slos = Slos()
    alerts: Alerts = Alerts()
    windows: Windows = Windows()
    regression: Regression = Regression()
    columns: dict[str, Name] = Field({}, description="canonical column = its name in the input")
    metrics: dict[MetricName, MetricSpec] = Field({}, description="further columns to audit")
    overrides: Annotated[tuple[Override, ...], Field(strict=False)] = Field(
        (), description="other bounds for models and classes that match; later wins"
    )
    measure: Measure = Measure()
    storage: Storage = Storage()
    mlflow: Mlflow = Mlflow()
    routes: Sealed = Field({}, description="whom alerts reach")

    @model_validator(mode="after")
    def _consistent(self) -> AuditPlan:
        known = known_columns(self.metrics)
        unknown = [
            Broken(("columns", name), f"no such column; known: {', '.join(known)}")
            for name in self.columns
            if name not in known
        ]
        unknown += [
            Broken(("mlflow", "source", "metrics", name), unlogged(name, self.metrics))
            for name in self.mlflow.source.metrics
            if name not in {*BUILTIN_METRICS, *self.metrics, *NUMBERS}
        ]
        warn, fail = self.slos.merged_bin_warn_threshold, self.slos.merged_bin_fail_threshold
        refuse([*unknown, *impossible_bounds(self.overrides, warn, fail)])
        return self

    def metric_catalogue(self) -> dict[str, Metric]:
        """Return the built-in metrics, then the declared ones by name: the order of all tables."""
        return BUILTIN_METRICS | {n: self.metrics[n].metric(n) for n in sorted(self.metrics)}

    def thresholds_for(
        self, metric: str, model_ids: Sequence[str], class_ids: Sequence[str]
    ) -> tuple[Floats, Floats]:
        """Return the bounds of a metric for each (model, class).

        Parameters
        ----------
        metric : name in the metric catalogue
        model_ids, class_ids : sequences of str, length G

        Returns
        -------
        warn, fail : float64, shape (G,)
            In the metric's unit; equal except for merged bins, where warn ≤ fail. 0 for counts,
            NaN where the metric has no SLO.

        Raises
        ------
        KeyError
            The catalogue has no such metric.
        """
        if metric not in BOUNDS:
            bound = np.full(len(model_ids), self._own_bound(metric))
            return bound, bound
        warn_key, fail_key = BOUNDS[metric]
        fail = self._resolved(self.slos, fail_key, model_ids, class_ids)
        if warn_key == fail_key:
            return fail, fail
        warn = self._resolved(self.slos, warn_key, model_ids, class_ids)
        return np.minimum(warn, fail), fail

    def threshold(self, metric: str, model_id: str, class_id: str) -> Thresholds:
        """Return the bounds of one series; see `thresholds_for`."""
        warn, fail = self.thresholds_for(metric, (model_id,), (class_id,))
        return Thresholds(float(warn[0]), float(fail[0]))

    def min_effects_for(self, model_ids: Sequence[str], class_ids: Sequence[str]) -> Floats:
        """Return the least effect size of each (model, class), in reference sd, shape (G,)."""
        return self._resolved(self.regression, "min_effect_size", model_ids, class_ids)

    def c_hats_for(self, model_ids: Sequence[str], class_ids: Sequence[str]) -> Floats:
        """Return ĉ of each (model, class), the confidence factor of its τ, shape (G,)."""
        return self._resolved(self.measure, "c_hat", model_ids, class_ids)

    def retired(self, model_ids: Sequence[str]) -> NDArray[np.bool_]:
        """Return which models ``retired_models`` names, even where they are expected; shape (G,).

        They are listed in a night, without findings, health or alerts.
        """
        return matched(self.retired_models, model_ids)

    def _own_bound(self, metric: str) -> float:
        if metric not in self.metrics:
            return 0.0 if BUILTIN_METRICS[metric].is_count else np.nan
        declared = self.metrics[metric]
        if declared.bound == "zero":
            return 0.0
        return np.nan if declared.threshold is None else declared.threshold

    def _resolved(
        self, base: Section, key: str, model_ids: Sequence[str], class_ids: Sequence[str]
    ) -> Floats:
        values = np.full(len(model_ids), float(getattr(base, key)))
        for override in self.overrides:
            value = getattr(override, key)
            if value is not None:
                values[override.matching(model_ids, class_ids)] = value
        return values

    @classmethod
    def from_toml(cls, path: str | Path) -> AuditPlan:
        """Return the plan of a ``calhard.toml``.

        Raises
        ------
        ConfigError
            The file cannot be read or used; all its problems are listed, each with its line.
        """
        from calhard.plan.toml import plan_from_toml

        return plan_from_toml(path)

    @classmethod
    def from_text(cls, text: str, origin: str = "calhard.toml") -> AuditPlan:
        """Return the plan of a TOML text; ``origin`` is its name in errors. See `from_toml`."""
        from calhard.plan.toml import plan_from_text

        return plan_from_text(text, origin)

    def to_toml(self) -> str:
        """Return the effective configuration as TOML; secrets are masked."""
        from calhard.plan.write import plan_to_toml

        return plan_to_toml(self)

    def sha256(self) -> str:
        """Return a hash of everything that can change a night's results.

        Who is told (alerts, routes, mlflow), how a history was measured, where a night is staged,
        what workers may take (as with the machine, what is left out for it is told) and every
        secret are left out.
        """
        settings = self.model_dump(
            mode="json", by_alias=True, exclude={"alerts", "measure", "mlflow", "routes"}
        )
        for name in ("scratch", "worker_memory_gib", "task_timeout"):
            del settings["storage"][name]
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """Return the JSON schema (draft 2020-12) of a ``calhard.toml``, for editors."""
        table = cls.model_json_schema(by_alias=True)
        definitions = table.pop("$defs")
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "calhard.toml",
            **_object(
                fleet=table["properties"]["fleet"],
                expected_models=table["properties"]["expected_models"],
                retired_models=table["properties"]["retired_models"],
                calibration=_object(hardening=table),
            ),
            "$defs": definitions,
        }


def _object(**properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": properties}
