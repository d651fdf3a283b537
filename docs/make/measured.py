"""The table of error rates and recall, from what the benchmark wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from docs.make.pages import ROOT

RESULTS = ROOT / "benchmarks" / "results" / "statistics.json"
HEAD = ("| promise | setting | bound | measured | 95 % interval | |", "|---|---|---|---|---|---|")


def measured() -> str:
    """Return the benchmark's table in Markdown, and what it was measured with."""
    found = json.loads(RESULTS.read_text(encoding="utf-8"))
    machine, result = found["machine"], found["measured"]
    told = (
        f"Measured on {machine['date']} with calhard {machine['calhard']}, NumPy "
        f"{machine['numpy']}, SciPy {machine['scipy']}; seed {result['seed']}, fleets of "
        f"{result['series']:,} series."
    )
    held = [row["holds"] for row in result["rows"] if row["bound"] != "—"]
    head = [
        "| promise | setting | bound | measured | 95 % interval | |",
        "|---|---|---|---|---|---|",
    ]
    rows = [_row(row) for row in result["rows"]]
    return "\n".join([told, f"{sum(held)} of {len(held)} bounds hold.", "", *head, *rows, ""])


def _row(row: Mapping[str, Any]) -> str:
    low, high = row["interval"]
    mark = "" if row["bound"] == "—" else ("holds" if row["holds"] else "**missed**")
    cells = (
        row["promise"],
        row["setting"],
        row["bound"],
        f"{row['share']:.2%} of {row['trials']:,}",
        f"{low:.2%} – {high:.2%}",
        mark,
    )
    return f"| {' | '.join(cells)} |"
