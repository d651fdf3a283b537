"""Tables of the configuration: bounds, windows, how sure one must be, what is kept."""

from __future__ import annotations

from typing import Annotated, Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

from calhard.plan.duration import DURATION_SCHEMA, Window, format_duration, parse_duration
from calhard.plan.rules import Broken, refuse
from calhard.schema import HEADS, MICROSECONDS_PER_DAY

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Probability = Annotated[float, Field(gt=0.0, lt=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Weight = Annotated[float, Field(ge=0.0)]
HeadName = Literal["level", "scan", "slope", "variance", "oscillation"]
LONGEST_HORIZON = "14d"


class Section(BaseModel):
    """A table of the configuration: frozen, typed as TOML types, no key but the known ones."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, arbitrary_types_allowed=True
    )


class Slos(Section):
    """Bounds of the built-in metrics."""

    aece_threshold: Positive = Field(0.01, description="largest |ΔAECE| from the baseline")
    dece_threshold: Positive = Field(0.01, description="largest |ΔDECE| from the baseline")
    alpha_threshold: Positive = Field(0.05, description="largest |Δα| from the baseline")
    clamp_rate_threshold: Share = Field(0.10, description="largest clamp rate")
    merged_bin_warn_threshold: Share = Field(0.05, description="merged bins: warn above")
    merged_bin_fail_threshold: Share = Field(0.20, description="merged bins: fail above")
    compliance_goal: Share = Field(0.99, description="share of model-class nights without breach")

    @model_validator(mode="after")
    def _ordered(self) -> Slos:
        warn, fail = self.merged_bin_warn_threshold, self.merged_bin_fail_threshold
        if warn > fail:
            message = f"{warn:g} lies above merged_bin_fail_threshold {fail:g}"
            refuse([Broken(("merged_bin_warn_threshold",), message)])
        return self


class Alerts(Section):
    """How often anyone may be told."""

    cooldown_seconds: int = Field(300, ge=0, description="silence after an alert")
    max_alerts_per_hour: int = Field(10, ge=0, description="more are gathered in a digest")
    escalation_enabled: bool = Field(True, description="unanswered alerts go one level up")


def _duration(value: object) -> str:
    return format_duration(parse_duration(value))


_DURATION = WithJsonSchema(DURATION_SCHEMA)


def _as_duration(window: Window) -> Window:
    if window.samples is not None:
        raise ValueError('a night is a duration, such as "24h", not a number of samples')
    return window


def _near(horizon: str) -> str:
    if parse_duration(horizon) > parse_duration(LONGEST_HORIZON):
        raise ValueError(f"must be at most {LONGEST_HORIZON}")
    return horizon


def _zone(name: str | None) -> str | None:
    if name is None:
        return None
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as e:
        raise ValueError('unknown timezone; write one such as "Europe/Oslo"') from e
    return name


Duration = Annotated[str, BeforeValidator(_duration)]


class Windows(Section):
    """What is compared with what: durations (``"28d"``) or numbers of samples."""

    reference: Window = Field(
        Window.parse("28d"), description="what is normal", json_schema_extra={"default": "28d"}
    )
    analysis: Window = Field(
        Window.parse("7d"), description="what is judged", json_schema_extra={"default": "7d"}
    )
    night: Annotated[Window, AfterValidator(_as_duration), _DURATION] = Field(
        Window.parse("1d"),
        description="the last part of the analysis window",
        json_schema_extra={"default": "1d"},
    )
    max_slots: int = Field(1_000, ge=50, le=1_000, description="denser series are aggregated")
    min_reference: int = Field(10, ge=10, description="fewer samples: insufficient")
    min_analysis: int = Field(3, ge=3, description="fewer samples: insufficient")
    horizon: Annotated[Duration, AfterValidator(_near)] = Field(
        "1d", description="early warnings look this far ahead, 14d at most"
    )
    clock_skew: Duration = Field("5m", description="timestamps further in the future are rejected")
    timezone: Annotated[str | None, AfterValidator(_zone)] = Field(
        None, description="zone of naive timestamps; UTC by default"
    )
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
        refuse([*self._lengths(), *self._counts()])
        return self

    def _lengths(self) -> list[Broken]:
        analysis, night = self.analysis.duration_us, self.night.duration_us
        if analysis is None or night is None or night <= analysis:
            return []
        return [Broken(("night",), f"{self.night} is longer than analysis {self.analysis}")]

    def _counts(self) -> list[Broken]:
        """Where windows are counted in samples, both are, and they hold what a verdict needs."""
        reference, analysis = self.reference.samples, self.analysis.samples
        if reference is None and analysis is None:
            return []
        if reference is None or analysis is None:
            other = "reference" if analysis is None else "analysis"
            message = f"{other} counts samples: give both in samples, or both as durations"
            return [Broken(("analysis" if analysis is None else "reference",), message)]
        broken = [
            Broken((f"min_{name}",), f"{least} is more than the window's {size} samples")
            for name, least, size in (
                ("reference", self.min_reference, reference),
                ("analysis", self.min_analysis, analysis),
            )
            if least > size
        ]
        if reference + analysis > self.max_slots:
            message = f"{reference} + {analysis} samples, of which max_slots keeps {self.max_slots}"
            broken.append(Broken(("reference",), message))
        return broken


def _heads(heads: tuple[HeadName, ...]) -> tuple[HeadName, ...]:
    if "level" not in heads:
        raise ValueError('"level" must be among them')
    if len(set(heads)) < len(heads):
        raise ValueError("a head stands twice")
    return heads


def _weights(weights: tuple[float, ...]) -> tuple[float, ...]:
    if len(weights) != len(HEADS):
        raise ValueError(f"{len(weights)} weights; give {len(HEADS)}: {', '.join(HEADS)}")
    return weights


class Regression(Section):
    """How sure and how large a change must be."""

    significance_level: Probability = Field(0.05, description="of a single test, as evidence")
    fdr: Literal["bh", "by"] = Field("bh", description="Benjamini–Hochberg or –Yekutieli")
    fdr_level: Probability = Field(0.05, description="false discovery rate over the fleet")
    night_level: Probability = Field(
        0.005, description="chance of any alarm on a night on which every series is healthy"
    )
    max_p: Probability = Field(0.001, description="largest combined p of a regression")
    min_effect_size: float = Field(0.5, ge=0, description="least |d| of a change of level")
    max_history: int = Field(1_000, ge=35, description="samples kept per series in a service")
    heads: Annotated[tuple[HeadName, ...], Field(strict=False), AfterValidator(_heads)] = Field(
        get_args(HeadName), description="the tests that are run"
    )
    head_weights: Annotated[tuple[Weight, ...], Field(strict=False), AfterValidator(_weights)] = (
        Field(
            (0.4, 0.3, 0.1, 0.1, 0.1),
            description=f"shares of the error budget: {', '.join(HEADS)}",
            json_schema_extra={"minItems": len(HEADS), "maxItems": len(HEADS)},
        )
    )
    lambda_cap: float = Field(2.0, ge=1.0, description="largest inflation factor applied")
    warning_q: Probability = Field(0.1, description="largest q of a trend that may warn")
    bad_tolerance: Share = Field(0.05, description="bad values tolerated in the reference")

    def weights(self) -> dict[str, float]:
        """Return the weight of every head; 0 where it is off."""
        chosen = zip(HEADS, self.head_weights, strict=True)
        return {head: weight if head in self.heads else 0.0 for head, weight in chosen}

    @model_validator(mode="after")
    def _weighted(self) -> Regression:
        if sum(self.weights().values()) <= 0:
            refuse([Broken(("head_weights",), "every head that is on weighs 0")])
        return self


class Storage(Section):
    """What is kept, how much must be covered, what a worker may take."""

    keep: Literal["all", "flagged"] = Field(
        "all", description="series whose evidence and values are kept"
    )
    coverage_bound: Share = Field(0.99, description="less coverage is a degraded night")
    scratch: str | None = Field(
        None,
        min_length=1,
        description="folder in which nights for an object store are staged; by default one among "
        "the temporary folders",
    )
    worker_memory_gib: Positive | None = Field(
        None,
        description="memory of a worker, GiB: a model that needs more is left out before work "
        "starts; by default the machine's, or on Ray a node's, shared out among its workers",
    )
    task_timeout: Duration = Field(
        "30m", description="a shard that takes longer has hung: its worker is ended"
    )

    @property
    def worker_memory(self) -> int | None:
        """The memory that a worker may take, bytes; None where the engine tells."""
        return None if self.worker_memory_gib is None else int(self.worker_memory_gib * 2**30)

    @property
    def task_seconds(self) -> float:
        """The time-out of a task in seconds."""
        return parse_duration(self.task_timeout) / 1e6
