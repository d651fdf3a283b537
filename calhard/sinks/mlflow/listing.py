"""A night's findings in one list, the most urgent first, whole as CSV."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv

from calhard.report.cases import RANK, SEVERITY
from calhard.schema import TIMESTAMP

KINDS = {
    "regressions": "regression",
    "violations": "SLO violation",
    "warnings": "early warning",
    "improvements": "improvement",
}
"""Tables of findings, and what a row of each is called."""
LISTING = pa.schema(
    [
        ("severity", pa.string()),
        ("model_id", pa.string()),
        ("class_id", pa.string()),
        ("metric", pa.string()),
        ("finding", pa.string()),
        ("type", pa.string()),
        ("verdict", pa.string()),
        ("direction", pa.string()),
        ("onset", TIMESTAMP),
        ("baseline_value", pa.float64()),
        ("current_value", pa.float64()),
        ("threshold", pa.float64()),
        ("change", pa.float64()),
        ("effect_size", pa.float64()),
        ("p_value", pa.float64()),
        ("q_value", pa.float64()),
        ("risk", pa.float64()),
        ("predicted_value", pa.float64()),
        ("predicted_breach_at", TIMESTAMP),
        ("detail", pa.string()),
    ]
)
_SOURCES = {
    "severity": ("severity", "warning_level"),
    "type": ("regression_type", "window"),
    "change": ("change_magnitude", "drift"),
    "detail": ("detail", "recommended_actions"),
}
"""Columns of the list that have another name in some tables."""
_LEVELS = {"red": 0, "orange": 1, "yellow": 2}
WARNED, UNCONFIRMED, BETTER = 10, 20, 30
"""Ranks from which on early warnings, what noise may explain, and improvements are listed."""
_FORMULA = r"^\s*[=+\-@\t\r\n＝＋－＠]"
"""Text that begins like this is computed by a spreadsheet that opens the CSV."""


def listing(tables: Mapping[str, pa.Table]) -> pa.Table:
    """Return the findings of all tables, `LISTING`.

    Confirmed ones come first, by severity; then early warnings, then what noise may explain, then
    improvements; rows of one rank as their tables have them.
    """
    rank = np.concatenate([_ranks(name, tables[name]) for name in KINDS])
    parts = [_columns(name, tables[name]) for name in KINDS]
    return pa.concat_tables(parts).take(pa.array(np.argsort(rank, kind="stable")))


def _columns(name: str, table: pa.Table) -> pa.Table:
    """One table's findings with the columns of the list; null where it has no such column."""
    rows = table.num_rows
    own = {"finding": pa.array([KINDS[name]] * rows, pa.string())}
    for field in LISTING:
        for source in _SOURCES.get(field.name, (field.name,)):
            if source in table.schema.names:
                own[field.name] = table[source].cast(field.type)
    columns = [own.get(f.name, pa.nulls(rows, f.type)) for f in LISTING]
    return pa.table(columns, schema=LISTING)


def _ranks(name: str, table: pa.Table) -> NDArray[np.int64]:
    if name == "improvements":
        return np.full(table.num_rows, BETTER)
    if name == "warnings":
        levels = table["warning_level"].to_pylist()
        return np.array([WARNED + _LEVELS[level] for level in levels], np.int64)
    severity = np.array([3 - RANK[SEVERITY[s]] for s in table["severity"].to_pylist()], np.int64)
    if name == "regressions":
        return severity
    unsure = np.array(pc.not_equal(table["verdict"], "violated").to_pylist(), bool)
    better = np.array(pc.equal(table["direction"], "better").to_pylist(), bool)
    return np.where(better, BETTER, severity + np.where(unsure, UNCONFIRMED, 0))


def write_csv(found: pa.Table, file: Path) -> None:
    """Write a list of findings as CSV that a spreadsheet can open without computing a name.

    Instants are ISO 8601 in UTC; a text that a spreadsheet would take for a formula begins with an
    apostrophe.
    """
    columns = {f.name: _cells(found[f.name]) for f in found.schema}
    csv.write_csv(pa.table(columns), file)


def _cells(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_timestamp(column.type):
        seconds = column.cast(pa.timestamp("s", "UTC"), safe=False)
        return pc.strftime(seconds, format="%Y-%m-%dT%H:%M:%SZ")
    if pa.types.is_string(column.type):
        formula = pc.fill_null(pc.match_substring_regex(column, _FORMULA), False)
        return pc.if_else(formula, pc.binary_join_element_wise("'", column, ""), column)
    return column
