"""The most urgent findings as the table that MLflow shows: six columns that fit a screen."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from calhard.report.axis import MONTHS
from calhard.sinks.mlflow.names import shown
from calhard.wording.words import number

Row = Mapping[str, Any]
SHOWN = 500
"""Rows of the table: five thousand freeze a browser's tab for half a minute."""
FILE = "findings.json"
TAG, TAG_VALUE = "mlflow.loggedArtifacts", json.dumps([{"path": FILE, "type": "table"}])
"""By this tag of a run MLflow knows which JSON files are tables."""
COLUMNS = ("severity", "model", "class", "metric", "finding", "change")
TYPES = {
    "SuddenJump": "sudden jump",
    "GradualDrift": "gradual drift",
    "VarianceIncrease": "more variance",
    "Oscillation": "oscillation",
    "MetricFailure": "metric failed",
    "week": "SLO, week",
    "night": "SLO, night",
}
"""Words for types of findings; a column of the table shows some twenty letters."""


def write_table(found: pa.Table, file: Path) -> None:
    """Write the first `SHOWN` rows of a list of findings, as MLflow's ``log_table`` does."""
    rows = [_cells(row) for row in found.slice(0, SHOWN).to_pylist()]
    content = {"columns": COLUMNS, "data": rows}
    file.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def _cells(row: Row) -> list[str]:
    names = (shown(row[name]) for name in ("model_id", "class_id", "metric"))
    return [_severity(row), *names, _finding(row), _change(row)]


def _severity(row: Row) -> str:
    if row["finding"] == "improvement" or row["direction"] == "better":
        return "better"
    return "unconfirmed" if row["verdict"] == "unconfirmed" else str(row["severity"])


def _finding(row: Row) -> str:
    """What it is, and since when, or when the bound is expected to be broken."""
    if row["finding"] == "early warning":
        what, when = "early warning", row["predicted_breach_at"]
    else:
        what, when = TYPES.get(row["type"], str(row["type"])), row["onset"]
    return what if when is None else f"{what}, {when.day} {MONTHS[when.month - 1]}"


def _change(row: Row) -> str:
    if row["finding"] == "early warning":
        return f"{number(row['current_value'], 3)}→{number(row['predicted_value'], 3)}"
    return f"{number(row['baseline_value'], 3)}→{number(row['current_value'], 3)}"
