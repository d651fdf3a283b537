"""``report.html``: one file, no script, no request to anywhere."""

from __future__ import annotations

from datetime import datetime
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from calhard.report.names import display_name
from calhard.report.night import NightReport
from calhard.report.words import instant, number, percent, reasons

LISTED = 200
TABLES = {
    "violations": (
        "SLO violations",
        (
            "model_id",
            "class_id",
            "metric",
            "window",
            "severity",
            "verdict",
            "direction",
            "current_value",
            "baseline_value",
            "threshold",
            "standard_error",
            "p_value",
        ),
    ),
    "regressions": (
        "Regressions",
        (
            "model_id",
            "class_id",
            "metric",
            "regression_type",
            "severity",
            "onset",
            "baseline_value",
            "current_value",
            "effect_size",
            "q_value",
            "detail",
        ),
    ),
    "warnings": (
        "Early warnings",
        (
            "model_id",
            "class_id",
            "metric",
            "warning_level",
            "risk",
            "predicted_value",
            "interval_low",
            "interval_high",
            "predicted_breach_at",
            "breach_earliest",
            "breach_latest",
            "recommended_actions",
        ),
    ),
    "improvements": (
        "Improvements",
        (
            "model_id",
            "class_id",
            "metric",
            "regression_type",
            "onset",
            "baseline_value",
            "current_value",
            "effect_size",
            "q_value",
        ),
    ),
    "coverage": ("Coverage", ("unit", "outcome", "reason", "count", "example", "remedy")),
}
"""Tables of the page: heading and columns."""


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("calhard.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "cell": cell, "shown": display_name, "plain": plain}
    return environment


def cell(value: object) -> str:
    """Return what a table cell shows."""
    if isinstance(value, bool) or value is None:
        return number(None) if value is None else str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return number(value)
    if isinstance(value, datetime):
        return instant(value)
    if isinstance(value, list):
        return display_name(", ".join(str(v) for v in value), 160)
    return display_name(str(value), 200)


def plain(text: str) -> str:
    """Return lines of text with everything invisible in them made visible."""
    return "\n".join(display_name(line, len(line) * 10) for line in text.split("\n"))


def html_report(night: NightReport) -> str:
    """Return the page; every value in it is escaped, and at most 200 rows of a table shown."""
    tables = []
    for name, (title, columns) in TABLES.items():
        table = night.tables[name]
        tables.append(
            {
                "name": name,
                "title": title,
                "columns": columns,
                "rows": night.rows(name, LISTED),
                "rest": max(table.num_rows - LISTED, 0),
                "total": table.num_rows,
            }
        )
    page: str = (
        _environment()
        .get_template("report.html")
        .render(
            night=night.night,
            summary=night.summary,
            reasons=reasons(night.summary),
            incidents=night.rows("incidents", LISTED),
            incidents_rest=max(night.tables["incidents"].num_rows - LISTED, 0),
            tables=tables,
            configuration=night.configuration,
        )
    )
    return page
