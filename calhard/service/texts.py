"""The two text reports of one stream, under the headings of the nightly ones."""

from __future__ import annotations

from collections.abc import Sequence

from calhard.findings.health import Compliance
from calhard.report.weekly import ADVICE, LISTED, RULE, SEVERITIES
from calhard.service.instants import instant as moment
from calhard.service.judgement import Judgement
from calhard.service.results import DetectedRegression, EarlyWarning, HealthStatus, MetricTrend
from calhard.service.week import RecordedViolation, Tally
from calhard.wording.names import display_name
from calhard.wording.words import budget, count, instant, number, percent

Section = tuple[str, Sequence[str]]


def weekly_text(
    key: tuple[str, str],
    now_us: int,
    tally: Tally,
    met: Compliance,
    violations: Sequence[RecordedViolation],
    *,
    healthy: bool,
    unchecked: Sequence[str],
    rejected: int,
) -> str:
    """Return the weekly SLO report of one stream."""
    worse = [v for v in violations if v.violation.direction == "worse"]
    rest = tally.severity.total() - min(len(worse), LISTED)
    lines = [_violation(v) for v in worse[:LISTED]] or ["None confirmed."]
    advice = [
        f"- {display_name(name)} ({count(n, 'confirmed violation')}): "
        f"{ADVICE.get(name, 'see the model owner')}"
        for name, n in tally.metric.most_common()
    ]
    none = "- None: no SLO is violated." if tally.checks else "- Nothing was checked: see why."
    return _report(
        "WEEKLY CALIBRATION SLO REPORT",
        ("Overall Status", _overall(key, now_us, tally, healthy, unchecked, rejected)),
        ("SLO Compliance", _compliance(met)),
        ("Violations by Severity", _by_severity(tally)),
        ("Confirmed Violations", [*lines, *_more(rest, "older ones")]),
        ("Recommendations", advice or [none]),
    )


def _report(title: str, *sections: Section) -> str:
    parts = [[RULE, title, RULE]]
    parts += [[heading, "-" * len(heading), *lines] for heading, lines in sections]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _more(rest: int, what: str) -> list[str]:
    return [f"… and {rest:,} {what}"] if rest > 0 else []


def _name(key: tuple[str, str]) -> str:
    return " / ".join(display_name(part) for part in key)


def _overall(
    key: tuple[str, str],
    now_us: int,
    tally: Tally,
    healthy: bool,
    unchecked: Sequence[str],
    rejected: int,
) -> list[str]:
    status = "HEALTHY" if healthy else "UNHEALTHY"
    told = "The last check found nothing critical or high."
    if not tally.checks:
        status, told = "INSUFFICIENT", "Nothing was checked: no verdict, and that is not good news."
    elif unchecked:
        status = "INSUFFICIENT"
        told = f"No baseline for {', '.join(map(display_name, unchecked))}: not checked."
    elif not healthy:
        told = "The last check found critical or high violations."
    lines = [
        f"Model:    {_name(key)}",
        f"Week:     the 7 days to {instant(moment(now_us))}",
        f"Status:   {status}",
        f"          {told}",
    ]
    return lines + ([f"          - {count(rejected, 'check')} not recorded"] if rejected else [])


def _compliance(met: Compliance) -> list[str]:
    return [
        f"Checks without a violation: {percent(met.rate, 2)}",
        f"Goal: {percent(met.goal, 0)}",
        f"Checks: {met.nights:,}   with a violation: {met.violated:,}",
        f"Error budget left: {budget(met.budget_left)}",
    ]


def _by_severity(tally: Tally) -> list[str]:
    lines = [f"{'Severity':<12}{'violated':>10}"]
    lines += [f"{name:<12}{tally.severity[name]:>10,}" for name in SEVERITIES]
    if tally.better:
        lines.append(f"Beyond a bound for the better (recorded, never alerted): {tally.better:,}")
    return lines


def _violation(recorded: RecordedViolation) -> str:
    v = recorded.violation
    distance = "" if v.baseline is None else f", its baseline {number(v.baseline)}"
    return (
        f"[{v.severity.upper()}] {instant(recorded.at)}: {display_name(v.metric)} "
        f"{number(v.value)}{distance} (bound {number(v.threshold)})"
    )


def regression_text(
    model_id: str, class_id: str, status: HealthStatus, judgement: Judgement
) -> str:
    """Return the regression report of one stream."""
    suspected = [f"Not sure enough yet: {_regression(r)}" for r in judgement.suspected]
    return _report(
        "CALIBRATION REGRESSION REPORT",
        ("System Health", _health((model_id, class_id), status)),
        (
            "Active Regressions",
            [*([_regression(r) for r in status.regressions] or ["None."]), *suspected],
        ),
        ("Early Warnings", [_warning(w) for w in status.warnings] or ["None."]),
        ("Trend Analysis", _trends(judgement)),
        ("Recommended Actions", _actions(status)),
    )


def _health(key: tuple[str, str], status: HealthStatus) -> list[str]:
    last = "none" if status.last_sample_at is None else instant(status.last_sample_at)
    return [
        f"Model:   {_name(key)}",
        f"Status:  {status.state}",
        f"Samples: {status.samples:,}, the newest of {last}; rejected: {status.rejected:,}",
        *(f"- {display_name(reason, 400)}" for reason in status.reasons),
    ]


def _regression(found: DetectedRegression) -> str:
    since = f" since {instant(found.onset)}" if found.onset else ""
    was, value = found.baseline_value, found.current_value
    moved = "" if was is None else f"; was {number(was)}, is {number(value)}"
    return (
        f"[{found.severity.upper()}] {found.regression_type} of {display_name(found.metric)}"
        f"{since}\n    {display_name(found.detail, 160)}{moved}"
    )


def _warning(found: EarlyWarning) -> str:
    breach = (
        ""
        if not found.predicted_breach_at
        else (f", expected {instant(found.predicted_breach_at)}")
    )
    return (
        f"[{found.warning_level.upper()}] {display_name(found.metric)} heads for "
        f"{number(found.predicted_value)} (95 %: {number(found.interval_low)} to "
        f"{number(found.interval_high)}), risk of a breach {percent(found.risk, 0)}{breach}"
    )


def _trends(judgement: Judgement) -> list[str]:
    lines = [_trend(t) for t in judgement.by_metric.values()] or ["No sample yet."]
    better = len(judgement.improvements)
    return [*lines, f"Improvements (recorded, never alerted): {better:,}"]


def _trend(trend: MetricTrend) -> str:
    if trend.slope is None or trend.status != "ok":
        why = f" ({display_name(trend.reason, 160)})" if trend.reason else ""
        return f"{display_name(trend.metric)}: {trend.direction}, {trend.status}{why}"
    return (
        f"{display_name(trend.metric)}: {trend.direction}, {number(trend.slope)} a day "
        f"(R² {number(trend.r_squared, 2)}, p {number(trend.p_value, 2)})"
    )


def _actions(status: HealthStatus) -> list[str]:
    lines = [
        f"- {display_name(name)}: {ADVICE.get(name, 'see the model owner')}"
        for name in dict.fromkeys(r.metric for r in status.regressions)
    ]
    lines += [f"- {display_name(w.metric)}: {w.recommended_actions}" for w in status.warnings]
    if not lines and status.state == "INSUFFICIENT":
        return ["- Mend the coverage first: see System Health."]
    return lines or ["None: nothing confirmed calls for an action."]
