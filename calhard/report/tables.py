"""The page's tables: which columns they show, how many rows, what a cell says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from calhard.report.cases import CARDS
from calhard.report.night import NightReport
from calhard.wording.names import display_name
from calhard.wording.words import instant, number

LISTED = 200
_SERIES = ("model_id", "class_id", "metric")
TABLES: dict[str, tuple[str, tuple[str, ...]]] = {
    "violations": (
        "SLO violations",
        (
            "severity",
            "verdict",
            *_SERIES,
            "window",
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
            "severity",
            *_SERIES,
            "regression_type",
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
            "warning_level",
            *_SERIES,
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
            *_SERIES,
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
INCIDENTS = ("severity", "title", "onset", "findings", "blast_radius", "incident_id")
"""Columns of the incidents that have no card."""
WORDS = {"model_id": "model", "class_id": "class", "regression_type": "type"}
"""Headings that differ from their column's name."""
WIDTHS = {
    "class_id": "text",
    "metric": "text",
    **dict.fromkeys(("onset", "predicted_breach_at", "breach_earliest", "breach_latest"), "when"),
    "example": "text",
    "reason": "text",
    "detail": "long",
    "recommended_actions": "long",
    "remedy": "long",
}
"""Columns whose text is broken into lines; all others stay on one."""
STATES = ("severity", "warning_level", "verdict")
"""Columns whose words are told apart by colour as well."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A table of the page; its first rows, and how many there are."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: list[Mapping[str, Any]]
    total: int
    before: int = 0

    @property
    def rest(self) -> int:
        """How many rows are not shown."""
        return self.total - self.before - len(self.rows)


def listings(night: NightReport) -> list[Listing]:
    """Return the tables of findings and coverage, each the most urgent first."""
    return [
        Listing(name, title, columns, list(night.rows(name, LISTED)), night.tables[name].num_rows)
        for name, (title, columns) in TABLES.items()
    ]


def further_incidents(night: NightReport) -> Listing:
    """Return the incidents after those that have a card."""
    total = night.tables["incidents"].num_rows
    rows = night.rows("incidents", CARDS + LISTED)[CARDS:]
    return Listing("incidents", "Further incidents", INCIDENTS, list(rows), total, CARDS)


def heading(column: str) -> str:
    """Return what a column's heading says."""
    return WORDS.get(column, column.replace("_", " "))


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
