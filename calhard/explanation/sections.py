"""The parts of an explanation: what was compared, how big, how sure, since when, what is ahead.

Each returns lines; none where it has nothing to say.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from calhard.explanation.facts import Row, SeriesFacts
from calhard.explanation.heads import head_words
from calhard.explanation.phrases import (
    WINDOWS,
    bracketed,
    day,
    deviations,
    duration,
    minute,
    of_bound,
    one_in,
    signed,
    spacing,
    values,
)
from calhard.findings.warnings import LEVELS
from calhard.wording.names import display_name
from calhard.wording.words import NOTHING_SEEN, is_telling, number, percent

LEAST_RISK = LEVELS[-1][0]
SAME_CAUSE = timedelta(days=1)
"""A deployment this near to an onset is named beside it."""


def now(facts: SeriesFacts) -> list[str]:
    """The analysis window."""
    stop = facts.told("last_timestamp")
    return [_window(facts, "analysis", facts.told("analysis_start"), stop)]


def before(facts: SeriesFacts) -> list[str]:
    """The reference window."""
    return [
        _window(facts, "reference", facts.told("reference_start"), facts.told("analysis_start"))
    ]


def _window(facts: SeriesFacts, window: str, start: datetime | None, stop: datetime | None) -> str:
    n = facts.told(f"n_{window}")
    if not n:
        return "no value"
    span = f", {day(start)} to {day(stop)}" if start and stop else ""
    mean, sd = facts.told(f"{window}_mean"), facts.told(f"{window}_sd")
    told = "" if mean is None else f": mean {number(mean)}, sd {number(sd)}"
    return f"{values(n)}{span}{told}"


def size(facts: SeriesFacts) -> list[str]:
    """How big a change is: in the metric's unit, of the bound, in standard deviations."""
    found, bound = facts.change, facts.told("slo_bound")
    if found is not None and found["regression_type"] == "MetricFailure":
        return []
    if found is None:
        step, effect, ends = _difference(facts), facts.told("cohens_d"), ""
    else:
        step, effect = found["change_magnitude"], found["effect_size"]
        ends = _ends(found)
    if step is None:
        return []
    if step == 0:
        return ["no change at all"]
    told = ", ".join(part for part in (of_bound(step, bound), deviations(effect)) if part)
    return [f"{signed(step)}{ends}" + (f"; {told}" if told else "")]


def _ends(found: Row) -> str:
    if found["regression_type"] not in {"SuddenJump", "GradualDrift"}:
        return ""
    return f", from {number(found['baseline_value'])} to {number(found['current_value'])}"


def _difference(facts: SeriesFacts) -> float | None:
    was, now_ = facts.told("reference_mean"), facts.told("analysis_mean")
    return None if was is None or now_ is None else now_ - was


def sure(facts: SeriesFacts) -> list[str]:
    """How sure one can be, and what the fleet had to say in it."""
    if facts.told("status") == "failed" or (facts.evidence is None and facts.regression):
        return ["certain: counted, not estimated"]
    p, q, rule = facts.told("p_value"), facts.told("q_value"), facts.plan.regression
    if p is None:
        return []
    told = f"p = {p:.2g}, q = {q:.2g}"
    if facts.change is not None:
        return [f"{told}: {one_in(rule.fdr_level)}", *_inflated(facts)]
    if facts.confirmed:
        return [f"the violation is beyond noise, see SLO; a change since Before is not: {told}"]
    needed = f"a finding needs p at most {rule.max_p:g} and q at most {rule.fdr_level:g}"
    return [f"{told}; {needed}", *_inflated(facts)]


def _inflated(facts: SeriesFacts) -> list[str]:
    """λ of the head that speaks, where it is above 1."""
    raw = facts.inflation.get(facts.told("head") or "", 1.0)
    if raw <= 1:
        return []
    cap = facts.plan.regression.lambda_cap
    capped = f", counted as {cap:g}" if raw > cap else ""
    return [f"p was raised: all such series vary more than chance explains (λ = {raw:.3g}{capped})"]


def tests(facts: SeriesFacts) -> list[str]:
    """One line for each of the five tests."""
    if facts.told("status") != "ok" or facts.told("p_value") is None:
        return []
    words = head_words(facts)
    wide = max(len(w.name) for w in words)
    return [
        f"{w.name:<{wide}}  {'' if w.p is None else f'p = {w.p:.2g}':<12}  {w.said}".rstrip()
        for w in words
    ]


def since(facts: SeriesFacts) -> list[str]:
    """The onset of what was found, and a deployment near it."""
    found = facts.change or next(iter(facts.confirmed), None)
    if found is None:
        return []
    onset = found["onset"]
    if onset is None:
        return ["not dated: such a change has no sharp beginning"]
    ago = duration((facts.as_of - onset).total_seconds())
    return [f"{minute(onset)} UTC, {ago} before the audit{_deployment(facts, onset)}"]


def _deployment(facts: SeriesFacts, onset: datetime) -> str:
    deployed = facts.told("deployed_at")
    if deployed is None or abs(deployed - onset) > SAME_CAUSE:
        return ""
    version = display_name(facts.told("model_version") or "?", 40)
    gap = (deployed - onset).total_seconds()
    when = "then" if gap == 0 else f"{duration(gap)} {'before' if gap < 0 else 'after'} that"
    return f"; version {version} was deployed {when}"


def slo(facts: SeriesFacts) -> list[str]:
    """Each window against the SLO, with its standard error."""
    if facts.spec.slo == "none":
        return ["none for this metric"]
    if not facts.plan.slo_monitoring:
        return ["switched off (slo_monitoring = false)"]
    if facts.told("status") in {"insufficient", "indeterminate"}:
        return ["not judged"]
    lines = [line for window in WINDOWS for line in _against(facts, window)]
    base = facts.told("baseline_value")
    if lines and base is not None and facts.spec.slo == "drift":
        source = "pinned" if facts.told("baseline_source") == "pinned" else "the mean of Before"
        lines.append(f"baseline {number(base)}, {source}; ± is one standard error")
    return lines + _labels(facts)


def _against(facts: SeriesFacts, window: str) -> list[str]:
    value, error = facts.told(f"{window}_value"), facts.told(f"{window}_standard_error")
    found = facts.violations.get(window)
    if value is None:
        return [f"{window + ':':<7}no value"]
    at = number(value) + ("" if error is None else f" ± {number(error, 2)}")
    if facts.spec.is_count:
        return [f"{window + ':':<7}{number(value)}, of which none is allowed: {_verdict(found)}"]
    bound = facts.told("slo_bound") if found is None else found["threshold"]
    if bound is None:
        return []
    return [f"{window + ':':<7}{at}{_allowed(facts, value, bound)}: {_verdict(found)}"]


def _allowed(facts: SeriesFacts, value: float, bound: float) -> str:
    base = facts.told("baseline_value")
    if facts.spec.slo == "floor":
        return f", at least {number(bound)}"
    if facts.spec.slo == "level" or base is None:
        return f", at most {number(bound)}"
    return f", {signed(value - base)} of ±{number(bound)}"


def _verdict(found: Row | None) -> str:
    if found is None:
        return "met"
    p = found["p_value"]
    chance = "" if not p else f"p = {p:.2g}"
    better = "for the better" if found["direction"] == "better" else ""
    if found["verdict"] == "violated":
        return f"violated, {found['severity']}{bracketed(better, chance)}"
    return f"beyond, but within noise{bracketed(better, chance)}"


def _labels(facts: SeriesFacts) -> list[str]:
    shift = facts.told("tau_shift")
    if not shift:
        return []
    return [f"the number of labels changed by more than 2×, which explains {signed(shift)} of it"]


def ahead(facts: SeriesFacts) -> list[str]:
    """The forecast, its interval and risk, and when its trend meets the bound."""
    value = facts.told("predicted_value")
    if value is None or facts.told("status") == "failed":
        return []
    rule = facts.plan.regression
    when = facts.as_of + timedelta(days=facts.plan.windows.horizon_days)
    low, high = facts.told("interval_low"), facts.told("interval_high")
    risk = facts.told("risk")
    told = f"{number(value)} by {minute(when)} UTC (95%: {number(low)} to {number(high)})"
    lines = [told + ("" if risk is None else f"; risk of breach {_chance(risk)}")]
    doubted = facts.told("slope_q") is None or facts.told("slope_q") > rule.warning_q
    if risk is not None and risk > LEAST_RISK and facts.warning is None and doubted:
        lines.append("no warning: its trend may be chance")
    return lines + _breach(facts)


def _chance(risk: float) -> str:
    return "under 1%" if risk < 0.01 else percent(risk, 0)


def _breach(facts: SeriesFacts) -> list[str]:
    """When the bound is met; only of a trend that is real."""
    at, q = facts.told("predicted_breach_at"), facts.told("slope_q")
    if at is None or q is None or q > facts.plan.regression.warning_q:
        return []
    if at <= facts.as_of:
        return ["its trend is beyond the bound already"]
    first, last = facts.told("breach_earliest"), facts.told("breach_latest")
    ends = f"from {minute(first)}" if first else ""
    ends += f" to {minute(last)}" if ends and last else ""
    return [f"its trend meets the bound at {minute(at)} UTC{bracketed(ends)}"]


def noticed(facts: SeriesFacts) -> list[str]:
    """The least change that would have been noticed."""
    least = facts.told("smallest_detectable")
    if not least or facts.told("status") == "failed":
        return []
    if not is_telling(least, facts.told("slo_bound")):
        return [NOTHING_SEEN]
    sd = facts.told("reference_sd")
    told = bracketed(of_bound(least, facts.told("slo_bound")), deviations(least / sd) if sd else "")
    short = facts.told("status") == "insufficient"
    chance = "would at best have been found" if short else "is found 8 times in 10"
    return [f"a lasting change of {number(least)}{told} {chance}"]


def incident(facts: SeriesFacts) -> list[str]:
    """The incident that the finding is part of."""
    found = facts.incident
    if found is None or (facts.regression is None and not facts.confirmed):
        return []
    return [f"{found['incident_id']}, {found['severity']}: {display_name(found['title'], 120)}"]


def data(facts: SeriesFacts) -> list[str]:
    """How often values come, the last one, what is missing or bad, and the model's version."""
    if facts.evidence is None:
        return []
    last, at = facts.told("last_value"), facts.told("last_timestamp")
    often = facts.told("spacing_seconds")
    parts = [spacing(often)] if often else []
    if at is not None:
        parts.append(f"last {number(last)} at {minute(at)} UTC")
    missing, bad = facts.told("n_missing"), facts.told("n_bad")
    parts.append(f"{missing:,} missing, {bad:,} bad")
    return ["; ".join(parts), *_version(facts)]


def _version(facts: SeriesFacts) -> list[str]:
    version, deployed = facts.told("model_version"), facts.told("deployed_at")
    if version is None:
        return []
    when = f", deployed {minute(deployed)} UTC" if deployed else ", no deployment in the windows"
    return [f"model version {display_name(version, 40)}{when}"]
