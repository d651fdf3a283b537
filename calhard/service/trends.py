"""Where one stream is heading: its trends, and the warnings that they give."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.stats import kendalltau

from calhard.findings import early_warnings
from calhard.judge.fleet import JudgedInMemory
from calhard.judge.selection import DRIFT, is_worse
from calhard.schema import VIOLATIONS, Metric
from calhard.service.changes import sequential_plan
from calhard.service.results import EarlyWarning, MetricTrend
from calhard.service.stream import LEAST_WARNING, Stream
from calhard.service.timeline import Timeline

Floats = NDArray[np.float64]

YOUNG = 20
"""With fewer samples a slope's own correlation is guesswork: a monotone rise counts too."""
STRAIGHT = 1.0 - 1e-12
"""R² of a straight line."""
RANK_PENALTY = 10.0
"""Kendall's p of such a rise counts this many times: likeness of neighbours makes it small."""


def warnings_of(stream: Stream, line: Timeline, judged: JudgedInMemory) -> tuple[EarlyWarning, ...]:
    """Return the trends that will carry a metric beyond its bound, as `early_warnings` has them.

    Only where a trend is sure at any sample: its slope's q ≤ `changes.WARNING_Q`, or, in a stream
    of 8 to 19 samples, its values rise so steadily that ten times Kendall's p, over all metrics,
    is as small.
    """
    table = judged.candidates
    sure = np.array([_trend_q(stream, row) for row in table.to_pylist()], np.float64)
    place = table.schema.get_field_index("slope_q")
    table = table.set_column(place, table.schema.field(place), pa.array(sure))
    plan = sequential_plan(stream.plan, len(stream.reported()))
    rows = early_warnings(table, VIOLATIONS.empty_table(), plan).to_pylist()
    return tuple(_warning(row, line) for row in rows)


def _warning(row: dict[str, Any], line: Timeline) -> EarlyWarning:
    same = (
        "metric",
        "warning_level",
        "risk",
        "predicted_value",
        "interval_low",
        "interval_high",
        "threshold",
        "current_value",
        "recommended_actions",
    )
    dates = ("predicted_breach_at", "breach_earliest", "breach_latest")
    told: dict[str, Any] = {name: row[name] for name in same}
    return EarlyWarning(**told | {name: line.moment(row[name]) for name in dates})


def _trend_q(stream: Stream, row: dict[str, Any]) -> float:
    """The slope's q; of a young stream the rise's own, if that is smaller; 0 of a straight line.

    What is left of a straight line is rounding, whose correlation would say anything.
    """
    if row["r_squared"] is not None and row["r_squared"] >= STRAIGHT:
        return 0.0
    q = 1.0 if row["slope_q"] is None else float(row["slope_q"])
    p = rank_p(stream.reported()[row["metric"]])
    return min(q, p * len(stream.reported()))


def rank_p(values: Floats) -> float:
    """Return Kendall's p of a rise or fall over 8 to 19 samples, times its penalty; else 1.

    Source: Mann 1945; Kendall 1938.
    """
    sound = values[np.isfinite(values)]
    if not LEAST_WARNING <= len(sound) < YOUNG or np.all(sound == sound[0]):
        return 1.0
    p = float(kendalltau(np.arange(len(sound)), sound).pvalue)
    return min(RANK_PENALTY * p, 1.0)


def trends_of(
    stream: Stream, line: Timeline, judged: JudgedInMemory, young: bool
) -> dict[str, MetricTrend]:
    """Return how each reported metric has moved; a young stream has no verdict yet."""
    catalogue, values = stream.plan.metric_catalogue(), stream.reported()
    found = {}
    for row in judged.evidence.to_pylist():
        name = row["metric"]
        trend = _trend(row, catalogue[name], stream, rank_p(values[name]), line)
        if young and trend.status == "ok":
            reason = (
                f"{len(stream.history)} samples; {stream.plan.windows.min_reference} reference and "
                f"{stream.plan.windows.min_analysis} analysis samples are needed"
            )
            trend = replace(trend, status="insufficient", reason=reason)
        found[name] = trend
    return found


def _trend(
    row: dict[str, Any], metric: Metric, stream: Stream, rank: float, line: Timeline
) -> MetricTrend:
    slope, p = row["slope"], row["p_slope"]
    sure = None if p is None else min(p, rank)
    if slope is None or sure is None:
        direction = "unknown"
    elif sure > stream.plan.regression.significance_level or slope == 0:
        direction = "stable"
    else:
        kind = np.array([DRIFT], dtype=object)
        worse = bool(is_worse(metric.direction, kind, np.array([slope]))[0])
        direction = "degrading" if worse else "improving"
    return MetricTrend(
        metric.name,
        direction,  # type: ignore[arg-type]  # one of four words
        row["status"],
        stream.told(metric.name, row["reason"], line),
        None if slope is None else slope * line.per_day,
        row["r_squared"],
        row["volatility"],
        None if row["acceleration"] is None else row["acceleration"] * line.per_day**2,
        sure,
    )
