"""The night in a sentence, and on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
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
        console.print()
        for row in rows:
            console.print(_incident(row))
        rest = night.tables["incidents"].num_rows - len(rows)
        if rest > 0:
            console.print(Text(f"… and {count(rest, 'more incident')}", style="dim"))
        console.print()
    for line in _coverage(summary):
        console.print(Text(line))
    if where:
        console.print(Text(f"Details: {where}"))


def _incident(row: Mapping[str, Any]) -> Text:
    """One incident on a line: how urgent, what, since when, how much."""
    since = "not dated" if row["onset"] is None else f"since {instant(row['onset'])}"
    return Text.assemble(
        (f"{row['severity']:<9} ", STYLES[row["severity"]]),
        f"{since:<27} {display_name(row['title'], 160)} ({count(row['findings'], 'finding')})",
    )


def _coverage(summary: Mapping[str, Any]) -> Iterator[str]:
    """What the verdict rests on."""
    counts, met = summary["counts"], summary["compliance"]
    audited = counts["ok"] + counts["failed"]
    told = [
        f"{count(audited, 'series', 'series')} audited",
        f"{counts['failed']:,} of them silent, flat or not a number" if counts["failed"] else "",
        f"{counts['indeterminate']:,} indeterminate" if counts["indeterminate"] else "",
        f"{counts['insufficient']:,} too young to audit" if counts["insufficient"] else "",
        f"{count(counts['rows'], 'row')} read, {counts['rows_rejected']:,} rejected",
    ]
    yield f"Coverage {percent(summary['coverage']['share'])}: {', '.join(filter(None, told))}."
    if met["rate"] is not None:
        rate, goal = percent(met["rate"], 2), percent(met["goal"], 0)
        yield f"SLOs were met in {rate} of the week's model-class nights (goal {goal})."
