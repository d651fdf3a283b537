"""The audit plan: every rule of a night, with a default for each."""

from __future__ import annotations

import fnmatch
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from calhard.plan.duration import Window, format_duration, parse_duration
from calhard.plan.secret import Secret, holds_secret
from calhard.schema import BUILTIN_METRICS, HEADS, KEY_COLUMNS, MICROSECONDS_PER_DAY, Metric

Floats = NDArray[np.float64]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Probability = Annotated[float, Field(gt=0.0, lt=1.0)]
HeadName = Literal["level", "scan", "slope", "variance", "oscillation"]


def _sealed(value: Any) -> Any:
    """Turn strings that refer to secrets into secrets, at any depth."""
    if isinstance(value, Mapping):
        return {key: _sealed(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_sealed(inner) for inner in value]
    if not isinstance(value, str) or not holds_secret(value):
        return value
    secret = Secret(value)
    secret.reveal()  # a missing one is an error now, not at three in the morning
    return secret


Sealed = Annotated[dict[str, Any], BeforeValidator(_sealed)]
Days = Annotated[str, BeforeValidator(lambda value: format_duration(parse_duration(value)))]


class Section(BaseModel):
    """A table of the configuration: frozen, and no key but the known ones."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class Slos(Section):
    """Bounds of the built-in metrics."""

    aece_threshold: float = Field(0.01, gt=0, description="largest |ΔAECE| from the baseline")
    dece_threshold: float = Field(0.01, gt=0, description="largest |ΔDECE| from the baseline")
    alpha_threshold: float = Field(0.05, gt=0, description="largest |Δα| from the baseline")
    clamp_rate_threshold: Share = Field(0.10, description="largest clamp rate")
    merged_bin_warn_threshold: Share = Field(0.05, description="merged bins: warn above")
    merged_bin_fail_threshold: Share = Field(0.20, description="merged bins: fail above")
    compliance_goal: Share = Field(0.99, description="share of model-class nights without breach")

    @model_validator(mode="after")
    def _ordered(self) -> Slos:
        if self.merged_bin_warn_threshold > self.merged_bin_fail_threshold:
            raise ValueError(
                f"merged_bin_warn_threshold {self.merged_bin_warn_threshold:g} lies above "
                f"merged_bin_fail_threshold {self.merged_bin_fail_threshold:g}"
            )
        return self


class Alerts(Section):
    """How often anyone may be told."""

    cooldown_seconds: int = Field(300, ge=0)
    max_alerts_per_hour: int = Field(10, ge=0)
    escalation_enabled: bool = True


class Windows(Section):
    """What is compared with what: durations (``"28d"``) or numbers of samples."""

    reference: Window = Field(Window.parse("28d"), description="what is normal")
    analysis: Window = Field(Window.parse("7d"), description="what is judged")
    night: Window = Field(Window.parse("24h"), description="the last part of the analysis window")
    max_slots: int = Field(1_000, ge=50, le=1_000, description="denser series are aggregated")
    min_reference: int = Field(10, ge=10, description="fewer samples: insufficient")
    min_analysis: int = Field(3, ge=3, description="fewer samples: insufficient")
    horizon: Days = Field("1d", description="early warnings look this far ahead, 14d at most")
    clock_skew: Days = Field("5m", description="timestamps further in the future are rejected")
    timezone: str | None = Field(None, description="zone of naive timestamps; UTC by default")
    restart_on_deployment: bool = Field(
        False, description="a new model_version restarts the reference"
    )

    @property
    def horizon_days(self) -> float:
        """The horizon in days."""
        return parse_duration(self.horizon) / MICROSECONDS_PER_DAY

    @property
    def clock_skew_us(self) -> int:
        """The tolerated skew in microseconds."""
        return parse_duration(self.clock_skew)

    @model_validator(mode="after")
    def _possible(self) -> Windows:
        counted = [w.samples is not None for w in (self.reference, self.analysis)]
        if any(counted) and not all(counted):
            raise ValueError("give reference and analysis both as durations or both in samples")
        if self.night.samples is not None:
            raise ValueError('the night is a duration, such as "24h"')
        if self.horizon_days > 14:
            raise ValueError(f"horizon {self.horizon} is longer than 14d")
        _zone(self.timezone)
        return self


def _zone(name: str | None) -> None:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    if name is None:
        return
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as e:
        raise ValueError(f'unknown timezone {name!r}; write one such as "Europe/Oslo"') from e


class Regression(Section):
    """How sure and how large a change must be."""

    significance_level: Probability = 0.05
    fdr: Literal["bh", "by"] = Field("bh", description="Benjamini–Hochberg or –Yekutieli")
    fdr_level: Probability = Field(0.05, description="false discovery rate over the fleet")
    max_p: Probability = Field(0.001, description="largest combined p of a regression")
    min_effect_size: float = Field(0.5, ge=0, description="least |d| of a change of level")
    max_history: int = Field(1_000, ge=35, description="samples kept per series in a service")
    heads: tuple[HeadName, ...] = Field(get_args(HeadName), min_length=1)
    head_weights: tuple[float, float, float, float, float] = (0.4, 0.3, 0.1, 0.1, 0.1)
    lambda_cap: float = Field(2.0, ge=1.0, description="largest inflation factor applied")
    warning_q: Probability = Field(0.1, description="largest q of a trend that may warn")
    bad_tolerance: Share = Field(0.05, description="bad values tolerated in the reference")

    def weights(self) -> dict[str, float]:
        """Return the weight of every head; 0 where it is off."""
        chosen = zip(HEADS, self.head_weights, strict=True)
        return {head: weight if head in self.heads else 0.0 for head, weight in chosen}

    @model_validator(mode="after")
    def _weighted(self) -> Regression:
        if "level" not in self.heads:
            raise ValueError('heads must contain "level"')
        if min(self.head_weights) < 0 or sum(self.weights().values()) <= 0:
            raise ValueError("head_weights must be ≥ 0 and not all 0")
        return self


class MetricSpec(Section):
    """A metric that the user declares."""

    direction: Literal["higher_is_worse", "lower_is_worse", "away_is_worse"] = "higher_is_worse"
    bound: Literal["drift", "level", "zero", "none"] = "none"
    threshold: float | None = Field(None, description="the SLO's bound")
    low: float = Field(float("-inf"), description="least sound value")
    high: float = Field(float("inf"), description="largest sound value")
    importance: float = Field(1.0, gt=0)

    @model_validator(mode="after")
    def _bounded(self) -> MetricSpec:
        if self.bound in {"drift", "level"} and self.threshold is None:
            raise ValueError(f'bound = "{self.bound}" needs a threshold')
        if self.low > self.high:
            raise ValueError(f"low {self.low:g} lies above high {self.high:g}")
        return self


class Override(Section):
    """Other bounds for the models and classes that match; later ones win."""

    model: str = "*"
    class_: str = Field("*", alias="class")
    aece_threshold: float | None = Field(None, gt=0)
    dece_threshold: float | None = Field(None, gt=0)
    alpha_threshold: float | None = Field(None, gt=0)
    clamp_rate_threshold: Share | None = None
    merged_bin_warn_threshold: Share | None = None
    merged_bin_fail_threshold: Share | None = None
    min_effect_size: float | None = Field(None, ge=0)

    def matches(self, model_id: str, class_id: str) -> bool:
        """Return whether both globs match."""
        return fnmatch.fnmatchcase(model_id, self.model) and fnmatch.fnmatchcase(
            class_id, self.class_
        )


class Storage(Section):
    """What is kept, and how much must be covered."""

    keep: Literal["all", "flagged"] = "all"
    coverage_bound: Share = Field(0.99, description="less coverage is a degraded night")


_BOUNDS = {
    "aece": ("aece_threshold", "aece_threshold"),
    "dece": ("dece_threshold", "dece_threshold"),
    "alpha": ("alpha_threshold", "alpha_threshold"),
    "clamp_rate": ("clamp_rate_threshold", "clamp_rate_threshold"),
    "merged_bin_rate": ("merged_bin_warn_threshold", "merged_bin_fail_threshold"),
}
"""Keys of the bounds at which a built-in metric warns and fails."""


class AuditPlan(Section):
    """Every rule of a night; all have defaults, so ``AuditPlan()`` is a plan."""

    fleet: str = Field("default", min_length=1)
    expected_models: tuple[str, ...] = ()
    enabled: bool = True
    slo_monitoring: bool = True
    regression_detection: bool = True
    automated_response: bool = True
    slos: Slos = Slos()
    alerts: Alerts = Alerts()
    windows: Windows = Windows()
    regression: Regression = Regression()
    columns: dict[str, str] = {}
    metrics: dict[str, MetricSpec] = {}
    overrides: tuple[Override, ...] = ()
    storage: Storage = Storage()
    mlflow: Sealed = {}
    routes: Sealed = {}

    @model_validator(mode="after")
    def _declared(self) -> AuditPlan:
        clash = sorted(set(self.metrics) & set(BUILTIN_METRICS))
        if clash:
            raise ValueError(f"{clash[0]} is built in; its bound is set under slos")
        reserved = sorted(set(self.metrics) & set(KEY_COLUMNS))
        if reserved:
            raise ValueError(f"{reserved[0]} is a key column, not a metric")
        return self

    @cached_property
    def _catalogue(self) -> dict[str, Metric]:
        declared = {
            name: Metric(name, s.direction, s.bound, s.low, s.high, s.importance)
            for name, s in self.metrics.items()
        }
        return BUILTIN_METRICS | declared

    def metric_catalogue(self) -> dict[str, Metric]:
        """Return the built-in metrics and the declared ones, in table order."""
        return self._catalogue

    def thresholds_for(
        self, metric: str, model_ids: Sequence[str], class_ids: Sequence[str]
    ) -> tuple[Floats, Floats]:
        """Return the bounds (warn, fail) of a metric for each (model, class).

        Both are the SLO's bound except for merged bins; 0 for counts; NaN without an SLO.
        """
        warn, fail = _BOUNDS.get(metric, ("", ""))
        if not warn:
            bound = np.full(len(model_ids), self._own_bound(metric))
            return bound, bound
        return self._resolved(warn, model_ids, class_ids), self._resolved(
            fail, model_ids, class_ids
        )

    def threshold(self, metric: str, model_id: str, class_id: str) -> tuple[float, float]:
        """Return (warn, fail) of one series; see `thresholds_for`."""
        warn, fail = self.thresholds_for(metric, [model_id], [class_id])
        return float(warn[0]), float(fail[0])

    def min_effects_for(self, model_ids: Sequence[str], class_ids: Sequence[str]) -> Floats:
        """Return the least effect size of each (model, class)."""
        return self._resolved("min_effect_size", model_ids, class_ids)

    def _own_bound(self, metric: str) -> float:
        if self.metric_catalogue()[metric].is_count:
            return 0.0
        declared = self.metrics.get(metric)
        return np.nan if declared is None or declared.threshold is None else declared.threshold

    def _resolved(self, key: str, model_ids: Sequence[str], class_ids: Sequence[str]) -> Floats:
        section = self.regression if key == "min_effect_size" else self.slos
        values = np.full(len(model_ids), float(getattr(section, key)))
        for override in self.overrides:
            value = getattr(override, key)
            if value is None:
                continue
            for row, (model_id, class_id) in enumerate(zip(model_ids, class_ids, strict=True)):
                if override.matches(model_id, class_id):
                    values[row] = value
        return values

    @classmethod
    def from_toml(cls, path: str | Path) -> AuditPlan:
        """Return the plan of a ``calhard.toml``; see `plan_from_toml`."""
        from calhard.plan.toml import plan_from_toml

        return plan_from_toml(path)

    @classmethod
    def from_text(cls, text: str, origin: str = "calhard.toml") -> AuditPlan:
        """Return the plan of a TOML text."""
        from calhard.plan.toml import plan_from_text

        return plan_from_text(text, origin)

    def to_toml(self) -> str:
        """Return the effective configuration as TOML; secrets are masked."""
        from calhard.plan.toml import plan_to_toml

        return plan_to_toml(self)

    def sha256(self) -> str:
        """Return a hash of everything that can change a night's results."""
        settings = self.model_dump(
            mode="json", by_alias=True, exclude={"alerts", "mlflow", "routes"}
        )
        text = json.dumps(settings, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """Return the JSON schema of a plan."""
        return cls.model_json_schema(by_alias=True)
