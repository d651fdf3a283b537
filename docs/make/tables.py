"""The columns of a night's tables, from their schemas and from what each of them means."""

from __future__ import annotations

import pyarrow as pa

from calhard.schema import NIGHT_TABLES
from docs.make.meanings import COLUMNS, ROWS, SHARED

TYPES = {
    pa.string(): "text",
    pa.float64(): "number",
    pa.int64(): "integer",
    pa.timestamp("us", tz="UTC"): "time, UTC",
    pa.list_(pa.string()): "list of text",
}


def night_tables() -> str:
    """Return a table of columns for every table of a night, in Markdown.

    Raises
    ------
    KeyError
        A column has no meaning in `docs.make.meanings`; give it one.
    """
    return "\n".join(_table(name) for name in ROWS)


def _table(name: str) -> str:
    known = SHARED | COLUMNS.get(name, {})
    head = [f"### {name}.parquet", "", f"One row per {ROWS[name]}.", ""]
    if name == "improvements":
        return "\n".join([*head, "The columns of `regressions.parquet`.", ""])
    rows = [
        f"| `{field.name}` | {TYPES[field.type]} | {known[field.name]} |"
        for field in NIGHT_TABLES[name]
    ]
    return "\n".join([*head, "| column | type | |", "|---|---|---|", *rows, ""])
