"""The regression report, as text."""

from __future__ import annotations

from collections import Counter
from typing import Any

from calhard.report.night import NightReport
from calhard.report.weekly import LISTED, RULE
from calhard.wording.names import display_name
from calhard.wording.words import count, instant, number, percent, reasons


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
        f"         {summary['sentence']}",
        f"Model-classes by health: {', '.join(states) or 'none'}",
        *(f"- {reason}" for reason in reasons(summary)),
    ]


def _regressions(night: NightReport) -> list[str]:
    lines = [_regression(row) for row in night.rows("regressions", LISTED)] or ["None."]
    return ["Active Regressions", "------------------", *lines, *_rest(night, "regressions")]


def _rest(night: NightReport, name: str) -> list[str]:
    more = night.tables[name].num_rows - LISTED
    return [f"… and {more:,} more in {name}.parquet"] if more > 0 else []


def _regression(row: dict[str, Any]) -> str:
    since = f" since {instant(row['onset'])}" if row["onset"] else ""
    was, value = row["baseline_value"], row["current_value"]
    moved = "" if was is None else f"; was {number(was)}, is {number(value)}"
    return (
        f"[{row['severity'].upper()}] {row['regression_type']} of {display_name(row['metric'])} in "
        f"{display_name(row['model_id'])} / {display_name(row['class_id'])}{since}\n"
        f"    {display_name(row['detail'], 160)}{moved}"
    )


def _warnings(night: NightReport) -> list[str]:
    lines = [_warning(row) for row in night.rows("warnings", LISTED)] or ["None."]
    return ["Early Warnings", "--------------", *lines, *_rest(night, "warnings")]


def _warning(row: dict[str, Any]) -> str:
    return (
        f"[{row['warning_level'].upper()}] {display_name(row['model_id'])} / "
        f"{display_name(row['class_id'])}: {display_name(row['metric'])} heads for "
        f"{number(row['predicted_value'])} (95 %: {number(row['interval_low'])} to "
        f"{number(row['interval_high'])}), risk of a breach {percent(row['risk'], 0)}"
        f"{_breach(row)}"
    )


def _breach(row: dict[str, Any]) -> str:
    if row["predicted_breach_at"] is None:
        return ""
    first, last = row["breach_earliest"], row["breach_latest"]
    ends = f"; {instant(first)} at the earliest" if first else ""
    ends += f", {instant(last)} at the latest" if ends and last else ""
    return f", expected {instant(row['predicted_breach_at'])}{ends}"


def _trends(night: NightReport) -> list[str]:
    kinds = Counter(night.tables["regressions"]["regression_type"].to_pylist())
    lines = [f"{kind}: {n:,}" for kind, n in kinds.most_common()]
    better = night.tables["improvements"].num_rows
    return [
        "Trend Analysis",
        "--------------",
        *(lines or ["No audited series has a confirmed change for the worse."]),
        f"Improvements (recorded, never alerted): {better:,}",
    ]


def _actions(night: NightReport) -> list[str]:
    rows = night.rows("incidents", LISTED)
    lines = [_incident(place, row) for place, row in enumerate(rows, start=1)]
    if not lines:
        lines = ["None: nothing confirmed calls for an action."]
    else:
        lines.insert(0, "Look at these incidents, the most urgent first:")
    return [
        "Recommended Actions",
        "-------------------",
        *lines,
        *_rest(night, "incidents"),
    ]


def _incident(place: int, row: dict[str, Any]) -> str:
    since = f"since {instant(row['onset'])}, " if row["onset"] else ""
    return (
        f"{place}. [{row['severity'].upper()}] {display_name(row['title'], 140)} "
        f"({since}{count(row['findings'], 'finding')}; incident {row['incident_id']})\n"
        f"    {display_name(row['summary'], 400)}"
    )
