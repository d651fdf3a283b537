"""What the detector says: small frozen records."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Way = Literal["worse", "better"]
State = Literal["HEALTHY", "INSUFFICIENT", "DEGRADED", "SEVERE", "CRITICAL"]


@dataclass(frozen=True, slots=True)
class DetectedRegression:
    """A confirmed change of one metric, in the words of ``regressions.parquet``.

    Attributes
    ----------
    metric, regression_type, severity
        SuddenJump, GradualDrift, VarianceIncrease, Oscillation or MetricFailure; critical, severe,
        moderate or minor.
    direction : ``worse`` or ``better``
    detected_at, last_seen : datetime, UTC
        Of the samples at which it was first and last confirmed.
    onset : datetime, UTC, or None where nothing dates it
    baseline_value, current_value, change : float or None, in the metric's unit
    effect_size : float or None, in standard deviations of the reference
    p_value : float or None
        Combined over the heads; 0 where nothing is random, None for a failure.
    detail : one clause in plain words
    """

    metric: str
    regression_type: str
    severity: str
    direction: Way
    detected_at: datetime
    last_seen: datetime
    onset: datetime | None
    baseline_value: float | None
    current_value: float | None
    change: float | None
    effect_size: float | None
    p_value: float | None
    detail: str

    @property
    def trend(self) -> str:
        """``degrading`` or ``improving``: rising AECE is degrading."""
        return "degrading" if self.direction == "worse" else "improving"


@dataclass(frozen=True, slots=True)
class EarlyWarning:
    """A trend that will carry a metric beyond its bound, in the words of ``warnings.parquet``.

    ``risk`` is the probability that the mean of the last day (24 samples of a faster stream) before
    the horizon lies beyond ``threshold``; ``interval_low``/``interval_high`` hold that mean with
    95 %. Values are in the metric's unit, instants UTC.
    """

    metric: str
    warning_level: Literal["yellow", "orange", "red"]
    risk: float
    predicted_value: float
    interval_low: float
    interval_high: float
    predicted_breach_at: datetime | None
    breach_earliest: datetime | None
    breach_latest: datetime | None
    threshold: float
    current_value: float | None
    recommended_actions: str

    @property
    def trend(self) -> str:
        """Always ``degrading``: a trend for the better warns of nothing."""
        return "degrading"


@dataclass(frozen=True, slots=True)
class MetricTrend:
    """How one metric has moved: evidence, not a verdict.

    ``direction`` is degrading, improving, stable (p above ``regression.significance_level``) or
    unknown; ``slope`` in the metric's unit per day, ``acceleration`` per day²; ``status`` and
    ``reason`` say whether, and why not, the metric could be judged.
    """

    metric: str
    direction: Literal["degrading", "improving", "stable", "unknown"]
    status: str
    reason: str
    slope: float | None
    r_squared: float | None
    volatility: float | None
    acceleration: float | None
    p_value: float | None


@dataclass(frozen=True, slots=True)
class HealthStatus:
    """The state of the stream as a whole, and why.

    CRITICAL: a critical regression. SEVERE: a severe one or a red warning. DEGRADED: any other
    regression or an orange warning. INSUFFICIENT: nothing could be judged, something is damaged,
    or the stream has fallen silent; else HEALTHY.
    """

    state: State
    reasons: tuple[str, ...]
    samples: int
    last_sample_at: datetime | None
    rejected: int
    regressions: tuple[DetectedRegression, ...]
    warnings: tuple[EarlyWarning, ...]

    @property
    def healthy(self) -> bool:
        """Whether the state is HEALTHY; INSUFFICIENT is not."""
        return self.state == "HEALTHY"
