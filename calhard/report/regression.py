"""The regression report, as text."""

from __future__ import annotations

from collections import Counter
from typing import Any

from calhard.report.names import display_name
from calhard.report.night import NightReport
from calhard.report.weekly import LISTED, RULE
from calhard.report.words import count, instant, number, percent

SEVERITIES = ("critical", "severe", "moderate", "minor")
LEVELS = ("red", "orange", "yellow")


def regression_report(night: NightReport) -> str:
    """Return the regression report of a night."""
    parts = [
        [RULE, "CALIBRATION REGRESSION REPORT", RULE],
        _health(night),
        _regressions(night),
        _warnings(night),
        _trends(night),
        _actions(night),
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _health(night: NightReport) -> list[str]:
    summary = night.summary
    states = [f"{name}: {n:,}" for name, n in summary["health"].items()]
    return [
        "System Health",
        "-------------",
        f"Fleet:   {display_name(str(summary['fleet']))}",
        f"Night:   {night.night}",
        f"Status:  {summary['verdict'].upper()}",
        f"Model-classes by health: {', '.join(states) or 'none'}",
        *(f"- {reason}" for reason in summary["reasons"]),
    ]


def _regressions(night: NightReport) -> list[str]:
    rows = sorted(night.rows("regressions"), key=lambda r: SEVERITIES.index(r["severity"]))
    lines = [_regression(row) for row in rows[:LISTED]] or ["None."]
    if len(rows) > LISTED:
        lines.append(f"… and {len(rows) - LISTED:,} more in regressions.parquet")
    return ["Active Regressions", "------------------", *lines]


def _regression(row: dict[str, Any]) -> str:
    since = f" since {instant(row['onset'])}" if row["onset"] else ""
    return (
        f"[{row['severity'].upper()}] {row['regression_type']} of {row['metric']} in "
        f"{display_name(row['model_id'])} / {display_name(row['class_id'])}{since}\n"
        f"    {display_name(row['detail'], 160)}; "
        f"was {number(row['baseline_value'])}, is {number(row['current_value'])}"
    )


def _warnings(night: NightReport) -> list[str]:
    rows = sorted(
        night.rows("warnings"), key=lambda r: (LEVELS.index(r["warning_level"]), -r["risk"])
    )
    lines = []
    for row in rows[:LISTED]:
        breach = row["predicted_breach_at"]
        when = f", breach expected {instant(breach)}" if breach else ""
        lines.append(
            f"[{row['warning_level'].upper()}] {display_name(row['model_id'])} / "
            f"{display_name(row['class_id'])}: {row['metric']} heads for "
            f"{number(row['predicted_value'])} (95 %: {number(row['interval_low'])} to "
            f"{number(row['interval_high'])}), risk {percent(row['risk'], 0)}{when}"
        )
    if len(rows) > LISTED:
        lines.append(f"… and {len(rows) - LISTED:,} more in warnings.parquet")
    return ["Early Warnings", "--------------", *(lines or ["None."])]


def _trends(night: NightReport) -> list[str]:
    kinds = Counter(r["regression_type"] for r in night.rows("regressions"))
    lines = [f"{kind}: {n:,}" for kind, n in kinds.most_common()]
    better = night.tables["improvements"].num_rows
    return [
        "Trend Analysis",
        "--------------",
        *(lines or ["No series has changed for the worse."]),
        f"Improvements (recorded, never alerted): {better:,}",
    ]


def _actions(night: NightReport) -> list[str]:
    rows = night.rows("incidents", LISTED)
    lines = [
        f"{place}. [{row['severity'].upper()}] {display_name(row['title'], 140)} "
        f"({count(row['findings'], 'finding')}; incident {row['incident_id']})"
        for place, row in enumerate(rows, start=1)
    ]
    if not lines:
        lines = ["None: nothing confirmed calls for an action."]
    return ["Recommended Actions", "-------------------", *lines]
