"""The night in a sentence, and on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from calhard.report.names import display_name
from calhard.report.night import NightReport
from calhard.report.words import count, instant, percent

SHOWN = 10
STYLES = {"critical": "bold red", "severe": "red", "moderate": "yellow", "minor": "dim"}


def verdict_sentence(summary: Mapping[str, Any]) -> str:
    """Return one plain sentence for someone who reads no further."""
    counts, share = summary["counts"], summary["coverage"]["share"]
    fleet = f"fleet {display_name(str(summary['fleet']))}"
    audited = counts["ok"] + counts["failed"]
    if not audited:
        return f"Nothing of {fleet} could be audited: no verdict, and that is not good news."
    scope = f"{count(audited, 'series', 'series')} of {count(counts['models'], 'model')}"
    degraded = "" if summary["coverage"]["ok"] else f" Only {percent(share)} could be covered."
    confirmed = counts["regressions"] + counts["violations"]
    if confirmed:
        found = _listed(
            count(counts["incidents"], "incident"),
            count(counts["regressions"], "confirmed regression") if counts["regressions"] else "",
            count(counts["violations"], "confirmed SLO violation") if counts["violations"] else "",
        )
        return f"Calibration of {fleet} needs attention: {found} in {scope}.{degraded}"
    if summary["reasons"]:
        return f"Nothing is confirmed in {scope} of {fleet}, but {'; '.join(summary['reasons'])}."
    return f"Calibration of {fleet} is healthy: nothing confirmed in {scope}.{degraded}"


def _listed(*parts: str) -> str:
    said = [part for part in parts if part]
    return said[0] if len(said) == 1 else f"{said[0]} with {' and '.join(said[1:])}"


def terminal_summary(night: NightReport, console: Console, where: str = "") -> None:
    """Print the night: its verdict, its incidents by urgency, its coverage, where to look."""
    summary = night.summary
    style = {"healthy": "bold green", "unhealthy": "bold red"}.get(
        summary["verdict"], "bold yellow"
    )
    console.print(Text(f"{night.night}  {summary['verdict'].upper()}", style=style))
    console.print(Text(summary["sentence"]))
    for reason in summary["reasons"]:
        console.print(Text(f"  • {reason}", style="yellow"))
    rows = night.rows("incidents", SHOWN)
    if rows:
        console.print(_incidents(rows))
        rest = night.tables["incidents"].num_rows - len(rows)
        if rest > 0:
            console.print(Text(f"… and {rest} more incidents", style="dim"))
    console.print(Text(_coverage(summary)))
    if where:
        console.print(Text(f"Look at {where}"))


def _incidents(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("severity", "incident", "since", "findings"):
        table.add_column(name, justify="right" if name == "findings" else "left")
    for row in rows:
        table.add_row(
            Text(row["severity"], style=STYLES[row["severity"]]),
            Text(display_name(row["title"], 100)),
            Text(instant(row["onset"])),
            Text(str(row["findings"])),
        )
    return table


def _coverage(summary: Mapping[str, Any]) -> str:
    counts, met = summary["counts"], summary["compliance"]
    return (
        f"Coverage {percent(summary['coverage']['share'])}: {counts['ok']:,} series sound, "
        f"{counts['failed']:,} failed, {counts['indeterminate']:,} indeterminate, "
        f"{counts['insufficient']:,} too young; {counts['rows']:,} rows read, "
        f"{counts['rows_rejected']:,} rejected. "
        f"Compliance over 7 nights {percent(met['rate'], 2)} (goal {percent(met['goal'], 0)})."
    )
