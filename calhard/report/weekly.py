"""The weekly drift SLO report, as text."""

from __future__ import annotations

from collections import Counter
from typing import Any

from calhard.report.names import display_name
from calhard.report.night import NightReport
from calhard.report.words import number, percent

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
        *(f"          - {reason}" for reason in summary["reasons"]),
    ]


def _compliance(night: NightReport) -> list[str]:
    met = night.summary["compliance"]
    return [
        "SLO Compliance",
        "--------------",
        f"Model-class nights without a confirmed violation: {percent(met['rate'], 2)}",
        f"Goal: {percent(met['goal'], 0)}",
        f"Nights judged: {met['nights']:,}   with a violation: {met['violated']:,}",
        f"Error budget left: {percent(met['budget_left'], 0)}",
        f"Coverage: {percent(night.summary['coverage']['share'])}",
    ]


def _by_severity(night: NightReport) -> list[str]:
    table = night.tables["violations"]
    pairs = Counter(zip(*(table[n].to_pylist() for n in ("severity", "verdict")), strict=True))
    lines = [f"{'Severity':<12}{'violated':>10}{'unconfirmed':>14}"]
    for name in SEVERITIES:
        sure, unsure = pairs[name, "violated"], pairs[name, "unconfirmed"]
        lines.append(f"{name:<12}{sure:>10,}{unsure:>14,}")
    return ["Violations by Severity", "----------------------", *lines]


def _violations(night: NightReport) -> list[str]:
    rows = [r for r in night.rows("violations") if r["verdict"] == "violated"]
    rows.sort(key=lambda r: SEVERITIES.index(r["severity"]))
    lines = [_line(row) for row in rows[:LISTED]] or ["None confirmed."]
    if len(rows) > LISTED:
        lines.append(f"… and {len(rows) - LISTED:,} more in violations.parquet")
    return ["Confirmed Violations", "--------------------", *lines]


def _line(row: dict[str, Any]) -> str:
    base = "" if row["baseline_value"] is None else f", baseline {number(row['baseline_value'])}"
    error = "" if row["standard_error"] is None else f" ± {number(row['standard_error'], 2)}"
    return (
        f"[{row['severity'].upper()}] {display_name(row['model_id'])} / "
        f"{display_name(row['class_id'])}: {row['metric']} {number(row['current_value'])}{error} "
        f"over the {row['window']}{base}, bound {number(row['threshold'])}"
        + ("" if row["direction"] == "worse" else " (for the better)")
    )


def _recommendations(night: NightReport) -> list[str]:
    rows = [
        r
        for r in night.rows("violations")
        if r["verdict"] == "violated" and r["direction"] == "worse"
    ]
    broken = Counter(r["metric"] for r in rows)
    lines = [
        f"- {metric} ({n} confirmed): {ADVICE.get(metric, 'see the model owner')}"
        for metric, n in broken.most_common()
    ]
    return ["Recommendations", "---------------", *(lines or ["- None: keep the schedule."])]
