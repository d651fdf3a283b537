"""The verdict on one series in a sentence: alarmed and why, or silent and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from calhard.explanation.facts import Row, SeriesFacts
from calhard.explanation.phrases import WINDOWS, bracketed, deviations, minute, of_bound
from calhard.findings.severity import REGRESSION_SCALE
from calhard.wording.names import display_name
from calhard.wording.words import NOTHING_SEEN, enumerated, is_telling, number, percent

Word = Literal[
    "alarmed", "warned", "off", "unconfirmed", "blind", "half-blind", "unknown", "better", "healthy"
]
ORDER: tuple[Word, ...] = (
    "alarmed",
    "warned",
    "off",
    "unconfirmed",
    "blind",
    "half-blind",
    "unknown",
    "better",
    "healthy",
)
"""Verdicts, the worst first."""
WARNINGS = ("yellow", "orange", "red")
SURE = "8 times in 10"


@dataclass(frozen=True, slots=True)
class Verdict:
    """``word`` is one of `ORDER`; ``rank`` of what is worst within it; ``short`` for a table."""

    word: Word
    sentence: str
    short: str
    rank: int = 0


def verdict_of(facts: SeriesFacts) -> Verdict:
    """Return the verdict of one series."""
    found = _loud(facts) or _off(facts) or _beyond(facts) or _blind(facts)
    return found or _better(facts) or _healthy(facts)


def _loud(facts: SeriesFacts) -> Verdict | None:
    """Whoever is on call was told: a regression, a violation, a warning."""
    if facts.regression is not None or facts.confirmed:
        severity = REGRESSION_SCALE[facts.severity]
        parts = [_changed(facts.regression)] if facts.regression is not None else []
        parts += _slo(facts)
        return Verdict(
            "alarmed", f"ALARMED, {severity}: {_joined(parts)}", severity, facts.severity
        )
    if facts.warning is not None:
        level, risk = facts.warning["warning_level"], percent(facts.warning["risk"], 0)
        when = facts.as_of + timedelta(days=facts.plan.windows.horizon_days)
        told = f"within its bound now, beyond it by {minute(when)} UTC with a chance of {risk}"
        rank = WARNINGS.index(level)
        return Verdict("warned", f"WARNED, {level}: {told}.", level, rank)
    return None


def _joined(parts: Sequence[str]) -> str:
    """Sentences; the first continues after a colon."""
    first, *rest = parts
    return " ".join([f"{first}.", *(f"{part[0].upper()}{part[1:]}." for part in rest)])


def _changed(change: Row) -> str:
    """What a confirmed change is, in a clause."""
    kind, size, effect = (change[n] for n in ("regression_type", "change_magnitude", "effect_size"))
    if kind == "MetricFailure":
        return f"the metric failed: {display_name(change['detail'] or 'no reason kept', 200)}"
    sd = deviations(effect)
    if kind == "VarianceIncrease":
        return f"the scatter grew{bracketed(f'by {number(size)}', sd)}"
    if kind == "Oscillation":
        return f"a cycle has appeared{bracketed(f'amplitude {number(size)}', sd)}"
    up, way = size > 0, f"by {number(abs(size))}{bracketed(sd)}"
    if kind == "SuddenJump":
        return f"the level {'jumped' if up else 'fell'} {way}"
    return f"the level creeps {'up' if up else 'down'} {way}"


def _slo(facts: SeriesFacts) -> list[str]:
    """Where the SLO stands, in clauses."""
    sure = _windows(facts.confirmed)
    told = [f"the SLO is violated in {sure}"] if sure else []
    if facts.doubtful:
        told.append(_within_noise(facts))
    judged = facts.told("status") == "ok" and facts.told("slo_bound") is not None
    if not told and judged and facts.plan.slo_monitoring:
        told.append("the SLO is still met")
    return told


def _windows(rows: Sequence[Row]) -> str:
    return enumerated([WINDOWS[row["window"]] for row in rows]) if rows else ""


def _off(facts: SeriesFacts) -> Verdict | None:
    """A change that would have been a finding, were it looked for."""
    rule = facts.plan.regression
    p, q = facts.told("p_value"), facts.told("q_value")
    sure = p is not None and q is not None and q <= rule.fdr_level and p <= rule.max_p
    failed = facts.told("status") == "failed"
    if facts.plan.regression_detection or facts.change is not None or not (sure or failed):
        return None
    why = display_name(facts.told("reason") or "a change beyond chance", 200)
    told = f"SILENT because switched off (regression_detection = false): {why}."
    return Verdict("off", told, "off")


def _beyond(facts: SeriesFacts) -> Verdict | None:
    if not facts.doubtful:
        return None
    told = [f"SILENT: {_within_noise(facts)}.", *_too_noisy(facts)]
    return Verdict("unconfirmed", " ".join(told), "within noise")


def _within_noise(facts: SeriesFacts) -> str:
    rows = facts.doubtful
    are = "is" if len(rows) == 1 else "are"
    return f"{_windows(rows)} {are} beyond the SLO bound, but within noise"


def _blind(facts: SeriesFacts) -> Verdict | None:
    """Nothing was found since nothing, or not enough, could be."""
    if facts.evidence is None:
        return Verdict("unknown", _not_kept(facts), "not kept")
    least = facts.told("smallest_detectable")
    bound = facts.told("slo_bound")
    if facts.told("status") in {"insufficient", "indeterminate"}:
        reason = display_name(facts.told("reason"), 200)
        hidden = f" {_hidden(least, bound)}" if least else ""
        return Verdict("blind", f"SILENT because blind: {reason}.{hidden}", facts.told("status"))
    if facts.spec.is_count:
        return None
    if facts.told("p_value") is None and facts.told("status") == "ok":
        return Verdict("blind", "SILENT because blind: no test could be made.", "untested")
    noisy = _too_noisy(facts)
    if noisy and facts.improvement is None:
        return Verdict("half-blind", f"SILENT, but half blind. {noisy[0]}", "noisy")
    return None


def _too_noisy(facts: SeriesFacts) -> list[str]:
    """What noise hides, where it hides a drift as large as the bound."""
    least, bound = facts.told("smallest_detectable"), facts.told("slo_bound")
    hides = facts.spec.bound == "drift" and bound and least and least > bound
    return [_hidden(least, bound)] if hides else []


def _not_kept(facts: SeriesFacts) -> str:
    kept = 'This night kept the evidence of findings alone (keep = "flagged").'
    group = facts.group or {}
    unsure = group.get("insufficient", 0) + group.get("indeterminate", 0)
    if not unsure:
        return f"SILENT: nothing was found. {kept}"
    return f"SILENT, healthy or blind: {unsure:,} series of this class could not be judged. {kept}"


def _hidden(least: float, bound: float | None) -> str:
    if not is_telling(least, bound):
        return f"{NOTHING_SEEN.capitalize()}."
    size = f"{number(least)}{bracketed(of_bound(least, bound))}"
    return f"A lasting change under {size} might not have shown."


def _better(facts: SeriesFacts) -> Verdict | None:
    if facts.improvement is None:
        return None
    told = f"BETTER, recorded and never alerted: {_changed(facts.improvement)}."
    return Verdict("better", told, "better")


def _healthy(facts: SeriesFacts) -> Verdict:
    if facts.spec.is_count:
        told = f"SILENT because healthy: none in {values_seen(facts)}."
        return Verdict("healthy", told, "healthy")
    least = facts.told("smallest_detectable")
    shown = "any would have shown"
    if least:
        size = f"{number(least)}{bracketed(of_bound(least, facts.told('slo_bound')))}"
        shown = f"one of {size} would have shown {SURE}"
    return Verdict(
        "healthy", f"SILENT because healthy: no lasting change beyond chance; {shown}.", "healthy"
    )


def values_seen(facts: SeriesFacts) -> str:
    """Return how many values the analysis window has."""
    return f"{facts.told('n_analysis'):,} values"
