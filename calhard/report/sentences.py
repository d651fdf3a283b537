"""Findings in plain words: what happened, how sure that is, what would have been noticed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from calhard.report.cases import Row, Trouble
from calhard.schema import BUILTIN_METRICS, WHOLE_MODEL
from calhard.wording.names import display_name
from calhard.wording.words import is_telling, number

METRICS = {
    "aece": "Calibration error (aece)",
    "dece": "Distributional calibration error (dece)",
    "alpha": "Calibration slope (alpha)",
    "clamp_rate": "Share of clamped scores (clamp_rate)",
    "merged_bin_rate": "Share of merged bins (merged_bin_rate)",
    "score_range_violations": "Count of scores outside [0, 1] (score_range_violations)",
    "mask_mismatch_count": "Count of mask mismatches (mask_mismatch_count)",
}
WINDOWS = {"week": "over the analysis window", "night": "over the last night"}
NORMAL = 1.96
"""Standard errors to each side of a mean that hold 95 %."""


def metric_words(metric: str) -> str:
    """Return what a metric measures, and its name."""
    return METRICS.get(metric, display_name(metric))


def place(model: str, class_: str) -> str:
    """Return where a series belongs."""
    whole = class_ == WHOLE_MODEL
    return display_name(model) if whole else f"{display_name(model)} / {display_name(class_)}"


def what(trouble: Trouble) -> str:
    """Return what happened to a series, in a sentence or two."""
    model, class_, metric = trouble.key
    told = [] if trouble.regression is None else [_change(trouble.regression)]
    if trouble.violations:
        broken = _breach(trouble.violations[0])
        told = [broken] if _is_count(metric) else [*told, broken]
    first, *rest = told
    subject = f"{metric_words(metric)} of {place(model, class_)}"
    return " ".join([f"{subject} {first}.", *(f"It {more}." for more in rest)])


def _is_count(metric: str) -> bool:
    return metric in BUILTIN_METRICS and BUILTIN_METRICS[metric].is_count


def _change(row: Row) -> str:
    """What a regression is, as a predicate."""
    was, now, moved = row["baseline_value"], row["current_value"], row["change_magnitude"]
    kind = row["regression_type"]
    if kind == "MetricFailure":
        return f"failed: {display_name(row['detail'], 200)}"
    size = number(None if moved is None else abs(moved), 3)
    if kind == "VarianceIncrease":
        return f"became unsteady: its standard deviation grew by {size}"
    if kind == "Oscillation":
        return f"swings in a regular cycle of amplitude {size}, which is new"
    up = (moved or 0.0) > 0
    if kind == "GradualDrift":
        return f"has been creeping {'up' if up else 'down'}, by {size} over both windows"
    return f"{'jumped' if up else 'fell'} from {number(was, 3)} to {number(now, 3)}"


def _breach(row: Row) -> str:
    """How an SLO is broken, as a predicate."""
    value, bound = number(row["current_value"], 3), number(row["threshold"], 3)
    window, base, drift = WINDOWS[row["window"]], row["baseline_value"], row["drift"]
    if _is_count(row["metric"]):
        return f"is {value} {window} where none is allowed"
    if base is not None and abs((row["current_value"] - base) - drift) < 1e-12:
        side = "above" if drift > 0 else "below"
        return (
            f"averages {value} {window}, {number(abs(drift), 3)} {side} its baseline "
            f"{number(base, 3)} where the SLO allows {bound}"
        )
    limit = "at most" if row["current_value"] > row["threshold"] else "at least"
    return f"averages {value} {window} where the SLO allows {limit} {bound}"


def since(onset: datetime | None, as_of: datetime) -> str:
    """Return how long ago something began."""
    if onset is None:
        return ""
    hours = (as_of - onset).total_seconds() / 3600.0
    if hours < 1.0:
        return "within the last hour"
    told = f"{hours:.0f} hours" if hours < 48 else f"{hours / 24:.0f} days"
    return f"{told} before the audit"


def certainty(trouble: Trouble, evidence: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield how sure a finding is: effect, q, interval, and what would have been noticed."""
    row = trouble.regression
    if row is not None and row["regression_type"] == "MetricFailure":
        yield "Certain: this is counted, not estimated."
        return
    if row is not None and row["effect_size"] is not None:
        yield (
            f"Effect {row['effect_size']:+.1f} standard deviations of the reference; "
            f"q = {number(row['q_value'], 2)} (false discovery rate over all series of the night)."
        )
    yield from (f"SLO: {_slo_certainty(v['p_value'])}." for v in trouble.violations[:1])
    if evidence is None:
        return
    yield from _interval(evidence)
    least = evidence["smallest_detectable"]
    if least is not None and is_telling(least, evidence.get("slo_bound")):
        yield f"A change of level of {number(least, 2)} or more is found here 8 times in 10."


def _slo_certainty(p: float | None) -> str:
    if not p:
        return "counted, nothing in it is random"
    return f"p = {number(p, 2)} that noise alone carries it beyond its bound"


def _interval(evidence: Mapping[str, Any]) -> Iterator[str]:
    """The analysis window's mean, or its distance from its baseline, with a 95 % interval."""
    value, error = evidence["week_value"], evidence["week_standard_error"]
    if value is None or not error:
        return
    base = evidence["baseline_value"]
    told = value if base is None else value - base
    name = "The window's mean is" if base is None else "The window's mean differs from baseline by"
    low, high = told - NORMAL * error, told + NORMAL * error
    sign = "" if base is None else "+"
    yield f"{name} {told:{sign}.3g} (95 %: {low:{sign}.3g} to {high:{sign}.3g})."
