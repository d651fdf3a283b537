"""Names and types of everything that goes in and comes out: metrics, columns, tables.

The names in this file are the public contract. Columns may be added; none is renamed or dropped.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

SCHEMA_VERSION = 1
"""Version of a published night's tables; the manifest names it."""

CANONICAL = {b"calhard": b"canonical columns"}
"""Metadata of files that calhard writes as a history: their columns have calhard's own names."""

WHOLE_MODEL = "__all__"
"""The ``class_id`` of rows that describe a model as a whole."""

Direction = Literal["higher_is_worse", "lower_is_worse", "away_is_worse"]
Bound = Literal["drift", "level", "zero", "none"]

LARGEST = 1e100
"""A value beyond it is none: its squares could not be added up."""

MICROSECONDS_PER_HOUR = 3_600_000_000
MICROSECONDS_PER_DAY = 24 * MICROSECONDS_PER_HOUR


@dataclass(frozen=True, slots=True)
class Metric:
    """One audited column of a history.

    ``bound`` says how the SLO reads it: ``drift`` bounds the change from the baseline, ``level``
    the value itself, ``zero`` forbids any value above 0, ``none`` sets no SLO.
    ``low``/``high`` is the range a sound value lies in; ``importance`` weighs its severity.
    """

    name: str
    direction: Direction = "higher_is_worse"
    bound: Bound = "none"
    low: float = float("-inf")
    high: float = float("inf")
    importance: float = 1.0

    @property
    def slo(self) -> str:
        """How its SLO reads it: ``bound``, but ``floor`` for a level that must not fall below."""
        falls = self.bound == "level" and self.direction == "lower_is_worse"
        return "floor" if falls else self.bound

    @property
    def is_count(self) -> bool:
        """Whether the column counts events that must not happen."""
        return self.bound == "zero"


BUILTIN_METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("aece", bound="drift", low=0.0, high=1.0, importance=1.5),
        Metric("dece", bound="drift", low=0.0, high=1.0, importance=1.5),
        Metric("alpha", direction="away_is_worse", bound="drift", importance=0.8),
        Metric("clamp_rate", bound="level", low=0.0, high=1.0),
        Metric("merged_bin_rate", bound="level", low=0.0, high=1.0),
        Metric("score_range_violations", bound="zero", low=0.0, importance=1.5),
        Metric("mask_mismatch_count", bound="zero", low=0.0, importance=1.0),
    )
}
"""The original's metrics, in the order in which every table lists them."""

KEY_COLUMNS = ("model_id", "class_id", "timestamp")
OPTIONAL_COLUMNS = (
    "total_samples",
    "tau",
    "aece_minus_tau",
    "ece_debiased",
    "n_bins",
    "model_version",
    "ingested_at",
)
PREDICTION_COLUMNS = ("score", "label", "weight", "mask", "example_id")
"""The columns of predictions beside the keys; score and label are required."""

TIMESTAMP = pa.timestamp("us", tz="UTC")
_SERIES = [("model_id", pa.string()), ("class_id", pa.string()), ("metric", pa.string())]
_F = pa.float64()
_I = pa.int64()
_S = pa.string()

STATUSES = ("ok", "insufficient", "indeterminate", "failed")
HEADS = ("level", "scan", "slope", "variance", "oscillation")
"""The regression heads, in the order of their weights."""

EVIDENCE = pa.schema(
    [
        *_SERIES,
        ("cadence", _S),  # family of the series within its metric: hourly, daily, …
        ("status", _S),
        ("reason", _S),  # why the status is not "ok", in words; empty otherwise
        ("n_reference", _I),
        ("n_analysis", _I),
        ("n_night", _I),
        ("n_missing", _I),  # nulls within both windows
        ("n_bad", _I),  # non-finite or out of range within both windows
        ("reference_mean", _F),
        ("analysis_mean", _F),
        ("reference_sd", _F),
        ("analysis_sd", _F),
        ("reference_median", _F),
        ("last_value", _F),
        ("last_timestamp", TIMESTAMP),
        ("spacing_seconds", _F),  # median distance of two slots
        ("cohens_d", _F),  # plain, analysis minus reference, pooled sd
        ("welch_t", _F),
        ("welch_df", _F),
        ("welch_p", _F),
        ("lag1", _F),  # bias-corrected lag-1 correlation of the series alone
        ("phi", _F),  # the same, shrunk towards its family
        ("effective_p", _F),  # level, known split, effective sample sizes
        ("slope", _F),  # metric units per day
        ("r_squared", _F),
        ("volatility", _F),  # sd of successive differences
        ("acceleration", _F),  # second derivative of the least-squares parabola, units per day²
        ("onset", TIMESTAMP),
        ("effect_size", _F),  # of the head that decides: Cohen's d of a step, else in reference sd
        ("change", _F),  # the same quantity in the metric's unit, signed
        ("smallest_detectable", _F),  # change of level found 8 times in 10
        ("head", _S),  # the head with the smallest weighted p
        *((f"p_{head}", _F) for head in HEADS),  # raw; NaN where the head is off
        ("p_value", _F),  # combined, after inflation and gates
        ("q_value", _F),
        ("baseline_value", _F),  # what the SLO compares with
        ("week_value", _F),
        ("night_value", _F),
        ("week_standard_error", _F),
        ("night_standard_error", _F),
        ("week_p", _F),
        ("night_p", _F),
        ("week_samples", _F),
        ("night_samples", _F),
        ("tau_shift", _F),  # change of τ where the labels per slot changed by more than 2×
        ("predicted_value", _F),  # the night's mean at the horizon
        ("interval_low", _F),
        ("interval_high", _F),
        ("risk", _F),  # P(that mean is beyond its bound)
        ("predicted_breach_at", TIMESTAMP),
        ("breach_earliest", TIMESTAMP),  # the same for the ends of the slope's 95 % interval
        ("breach_latest", TIMESTAMP),
        ("slope_q", _F),
        ("model_version", _S),
        ("deployed_at", TIMESTAMP),  # last change of model_version inside the windows
        ("slo_bound", _F),  # at which the SLO warns: of the drift, or of the value itself
        ("reference_start", TIMESTAMP),  # first sound value of either window
        ("analysis_start", TIMESTAMP),
        ("baseline_source", _S),  # of baseline_value: pinned, reference; null where none was needed
    ]
)

VIOLATIONS = pa.schema(
    [
        *_SERIES,
        ("window", _S),  # week, night
        ("current_value", _F),
        ("baseline_value", _F),
        ("threshold", _F),
        ("drift", _F),
        ("severity", _S),  # critical, high, medium, low
        ("direction", _S),  # worse, better
        ("standard_error", _F),
        ("p_value", _F),
        ("verdict", _S),  # violated, unconfirmed
        ("smallest_detectable", _F),
        ("total_samples", _F),
        ("onset", TIMESTAMP),
    ]
)

_REGRESSION_COLUMNS = [
    *_SERIES,
    ("regression_type", _S),
    ("severity", _S),  # critical, severe, moderate, minor
    ("direction", _S),
    ("detected_at", TIMESTAMP),
    ("onset", TIMESTAMP),
    ("baseline_value", _F),
    ("current_value", _F),
    ("change_magnitude", _F),
    ("effect_size", _F),
    ("p_value", _F),
    ("q_value", _F),
    ("slope", _F),
    ("r_squared", _F),
    ("volatility", _F),
    ("acceleration", _F),
    ("detail", _S),  # one clause in plain words
]
REGRESSIONS = pa.schema(_REGRESSION_COLUMNS)
IMPROVEMENTS = pa.schema(_REGRESSION_COLUMNS)

WARNINGS = pa.schema(
    [
        *_SERIES,
        ("warning_level", _S),  # yellow, orange, red
        ("risk", _F),
        ("predicted_value", _F),
        ("interval_low", _F),
        ("interval_high", _F),
        ("predicted_breach_at", TIMESTAMP),
        ("breach_earliest", TIMESTAMP),  # the same for the ends of the slope's 95 % interval
        ("breach_latest", TIMESTAMP),
        ("recommended_actions", _S),
        ("threshold", _F),
        ("current_value", _F),
        ("q_value", _F),
    ]
)

HEALTH = pa.schema(
    [
        ("model_id", _S),
        ("class_id", _S),
        ("health", _S),
        ("audited", _I),
        ("insufficient", _I),
        ("indeterminate", _I),
        ("failed", _I),
        ("violations", _I),
        ("unconfirmed", _I),
        ("regressions", _I),
        ("improvements", _I),
        ("warnings", _I),
        ("nights", _I),  # nights of the last seven with a verdict
        ("nights_violated", _I),
    ]
)

INCIDENTS = pa.schema(
    [
        ("incident_id", _S),
        ("state", _S),
        ("severity", _S),
        ("title", _S),
        ("opened_at", TIMESTAMP),
        ("onset", TIMESTAMP),
        ("last_seen", TIMESTAMP),
        ("models", pa.list_(_S)),
        ("classes", pa.list_(_S)),
        ("findings", _I),
        ("blast_radius", _F),  # share of the audited models
        ("suspected_factor", _S),
        ("scope", _S),  # model, fleet
        ("metrics", pa.list_(_S)),
        ("summary", _S),
    ]
)

ACTIONS = pa.schema(
    [
        ("incident_id", _S),
        ("action", _S),
        ("target", _S),
        ("parameters", _S),
        ("mode", _S),
        ("status", _S),
        ("verification", _S),
        ("rollback_plan", _S),
        ("escalation", _S),
    ]
)

COVERAGE = pa.schema(
    [
        ("unit", _S),  # row, series, file, metric, model, baseline, bin file, model-class
        (
            "outcome",
            _S,
        ),  # audited, insufficient, indeterminate, failed, rejected, outside, duplicate, missing
        ("reason", _S),
        ("count", _I),
        ("example", _S),  # file, column, row or series of the first one
        ("remedy", _S),
    ]
)


def coverage_row(
    unit: str, outcome: str, reason: str, count: int, example: str = "", remedy: str = ""
) -> dict[str, object]:
    """Return one row of `COVERAGE`."""
    return {
        "unit": unit,
        "outcome": outcome,
        "reason": reason,
        "count": count,
        "example": example,
        "remedy": remedy,
    }


RELIABILITY_WINDOWS = ("reference", "analysis")
RELIABILITY = pa.schema(
    [
        ("model_id", _S),
        ("class_id", _S),
        ("window", _S),  # reference, analysis
        ("cell", _I),  # 0 to 14, from score 0: that in which the mean score lies
        ("width", _F),  # of a cell, in score: 1/15, or a smaller one where all scores are low
        ("low", _F),  # lowest score in it
        ("high", _F),  # highest score in it
        ("count", _I),  # labels
        ("weight", _F),  # sum of their weights
        ("mean_score", _F),
        ("mean_label", _F),  # the share that came true
        ("effective_count", _F),  # equal weights that would scatter as much
        ("band_low", _F),  # 95 % consistency band of mean_label
        ("band_high", _F),
        ("clamped", _I),  # labels whose score lies at the calibrator's bounds
        ("merged", _I),  # bins that were too small and joined a neighbour
        ("periods", _I),  # periods of the window that are pooled, the same in all its cells
        ("first_period", TIMESTAMP),  # the start of the first one
        ("last_period", TIMESTAMP),
    ]
)
"""Cells of the reliability diagrams of the night's findings, where the history keeps bins."""

NIGHT_TABLES: dict[str, pa.Schema] = {
    "evidence": EVIDENCE,
    "violations": VIOLATIONS,
    "regressions": REGRESSIONS,
    "improvements": IMPROVEMENTS,
    "warnings": WARNINGS,
    "health": HEALTH,
    "incidents": INCIDENTS,
    "actions": ACTIONS,
    "coverage": COVERAGE,
    "reliability": RELIABILITY,
}
"""Every table of a published night; each is the file ``<name>.parquet``."""


def series_schema(metrics: Iterable[str]) -> pa.Schema:
    """Return the columns of ``series/``, the values behind a night's series.

    Sorted by model, class and time. A metric is null where nothing was reported and NaN where a
    value was reported that is not finite; ``model_version`` is the group's latest.
    """
    values = dict.fromkeys([*metrics, "total_samples"], _F)
    return pa.schema(
        [
            ("model_id", _S),
            ("class_id", _S),
            ("timestamp", TIMESTAMP),
            *values.items(),
            ("model_version", _S),
        ]
    )
