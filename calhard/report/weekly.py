"""The weekly drift SLO report, as text."""

from __future__ import annotations

from collections import Counter
from typing import Any

from calhard.report.night import NightReport
from calhard.wording.names import display_name
from calhard.wording.words import budget, count, covered, number, percent, reasons

RULE = "=" * 78
LISTED = 50
SEVERITIES = ("critical", "high", "medium", "low")
ADVICE = {
    "aece": "recalibrate; if labels are scarce, raise the class's confidence threshold first",
    "dece": "recalibrate; look for score regions that the calibrator never saw",
    "alpha": "check for a change of score scale between model and calibrator",
    "clamp_rate": "widen the calibrator's bounds or refit it: too many scores sit at them",
    "merged_bin_rate": "gather more labels per bin, or use fewer bins",
    "score_range_violations": "stop the model's scores at the source: they are no probabilities",
    "mask_mismatch_count": "align the mask with scores and labels before anything else",
}


def weekly_slo_report(night: NightReport) -> str:
    """Return the weekly SLO report of a night."""
    parts = [
        [RULE, "WEEKLY CALIBRATION SLO REPORT", RULE],
        _overall(night),
        _compliance(night),
        _by_severity(night),
        _violations(night),
        _recommendations(night),
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _overall(night: NightReport) -> list[str]:
    summary = night.summary
    return [
        "Overall Status",
        "--------------",
        f"Fleet:    {display_name(str(summary['fleet']))}",
        f"Night:    {night.night}   (as of {summary['as_of']})",
        f"Status:   {summary['verdict'].upper()}",
        f"          {summary['sentence']}",
        *(f"          - {reason}" for reason in reasons(summary)),
    ]


def _compliance(night: NightReport) -> list[str]:
    met = night.summary["compliance"]
    return [
        "SLO Compliance",
        "--------------",
        f"Model-class nights without a confirmed violation: {percent(met['rate'], 2)}",
        f"Goal: {percent(met['goal'], 0)}",
        f"Nights judged: {met['nights']:,}   with a violation: {met['violated']:,}",
        f"Error budget left: {budget(met['budget_left'])}",
        f"Coverage: {covered(night.summary['coverage']['share'])}",
    ]


def _by_severity(night: NightReport) -> list[str]:
    sure = night.chosen("violations", verdict="violated", direction="worse")
    unsure = night.chosen("violations", verdict="unconfirmed")
    better = night.chosen("violations", verdict="violated", direction="better").num_rows
    confirmed, within = (Counter(t["severity"].to_pylist()) for t in (sure, unsure))
    lines = [f"{'Severity':<12}{'violated':>10}{'unconfirmed':>14}"]
    lines += [f"{name:<12}{confirmed[name]:>10,}{within[name]:>14,}" for name in SEVERITIES]
    lines.append("Unconfirmed: beyond a bound, but noise may explain it; never alerted.")
    if better:
        lines.append(f"Beyond a bound for the better (recorded, never alerted): {better:,}")
    return ["Violations by Severity", "----------------------", *lines]


def _violations(night: NightReport) -> list[str]:
    only = {"verdict": "violated", "direction": "worse"}
    lines = [_line(row) for row in night.rows("violations", LISTED, **only)] or ["None confirmed."]
    rest = night.chosen("violations", **only).num_rows - LISTED
    if rest > 0:
        lines.append(f"… and {rest:,} more in violations.parquet")
    return ["Confirmed Violations", "--------------------", *lines]


def _line(row: dict[str, Any]) -> str:
    window = {"night": "the last night", "week": "the week"}[row["window"]]
    return (
        f"[{row['severity'].upper()}] {display_name(row['model_id'])} / "
        f"{display_name(row['class_id'])}: {display_name(row['metric'])} "
        f"{number(row['current_value'])} over {window}{_distance(row)} "
        f"(bound {number(row['threshold'])})"
    )


def _distance(row: dict[str, Any]) -> str:
    """How far a drift is from its baseline, or how sure a level is."""
    error = "" if row["standard_error"] is None else f" ± {number(row['standard_error'], 2)}"
    value, base = row["current_value"], row["baseline_value"]
    if base is None or abs(value - base - row["drift"]) > 1e-12:
        return error
    side = "above" if value > base else "below"
    return f", {number(abs(value - base))}{error} {side} its baseline {number(base)}"


def _recommendations(night: NightReport) -> list[str]:
    sure = night.chosen("violations", verdict="violated", direction="worse")
    lines = [
        f"- {display_name(metric)} ({count(n, 'confirmed violation')}): "
        f"{ADVICE.get(metric, 'see the model owner')}"
        for metric, n in Counter(sure["metric"].to_pylist()).most_common()
    ]
    return ["Recommendations", "---------------", *(lines or [_no_advice(night)])]


def _no_advice(night: NightReport) -> str:
    """Nothing violated is no all-clear: regressions and blind spots are told elsewhere."""
    counts = night.summary["counts"]
    if not counts["ok"] + counts["failed"]:
        return "- Mend the coverage first: nothing could be audited."
    if counts["regressions"]:
        return "- No SLO is violated; see the regression report for what has changed."
    return "- None: no SLO is violated."
