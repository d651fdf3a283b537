"""The most urgent findings as the table that MLflow shows: six columns that fit a screen."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from calhard.report.words import NONE, instant, number, percent
from calhard.sinks.mlflow.names import shown

Row = Mapping[str, Any]
SHOWN = 500
"""Rows of the table: five thousand freeze a browser's tab for half a minute."""
FILE = "findings.json"
TAG, TAG_VALUE = "mlflow.loggedArtifacts", json.dumps([{"path": FILE, "type": "table"}])
"""By this tag of a run MLflow knows which JSON files are tables."""
COLUMNS = ("severity", "model", "class", "metric", "finding", "since")


def write_table(found: pa.Table, file: Path) -> None:
    """Write the first `SHOWN` rows of a list of findings, as MLflow's ``log_table`` does."""
    rows = [_cells(row) for row in found.slice(0, SHOWN).to_pylist()]
    content = {"columns": COLUMNS, "data": rows}
    file.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def _cells(row: Row) -> list[str]:
    since = row["predicted_breach_at"] if row["finding"] == "early warning" else row["onset"]
    return [
        _severity(row),
        *(shown(row[name]) for name in ("model_id", "class_id", "metric")),
        _finding(row),
        instant(since) if since is not None else NONE,
    ]


def _severity(row: Row) -> str:
    if row["finding"] == "improvement" or row["direction"] == "better":
        return "better"
    return "unconfirmed" if row["verdict"] == "unconfirmed" else str(row["severity"])


def _finding(row: Row) -> str:
    change = f"{number(row['baseline_value'], 3)} → {number(row['current_value'], 3)}"
    if row["finding"] == "early warning":
        ahead = f"expected {number(row['predicted_value'], 3)}"
        return f"early warning: {ahead}, risk {percent(row['risk'], 0)}"
    if row["finding"] == "SLO violation":
        bound = f"bound {number(row['threshold'], 3)}"
        return f"SLO of the {row['type']}: {change}, {bound}"
    return f"{row['type']}: {change}"
