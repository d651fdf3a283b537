"""The night in a sentence, and on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from calhard.report.night import NightReport
from calhard.wording.names import display_name
from calhard.wording.words import count, covered, enumerated, instant, percent, reasons

SHOWN = 10
STYLES = {"critical": "bold red", "severe": "red", "moderate": "yellow", "minor": "dim"}
LONGEST_PATH = 1_000


def verdict_sentence(summary: Mapping[str, Any]) -> str:
    """Return a plain sentence or two for someone who reads no further.

    Never "healthy" where nothing was audited; what is missing of a degraded night is named.
    """
    counts = summary["counts"]
    fleet = f"fleet {display_name(str(summary['fleet']))}"
    audited = counts["ok"] + counts["failed"]
    if not audited:
        none = f"Nothing of {fleet} could be audited: no verdict, and that is not good news."
        return none + _missing(summary)
    series = count(audited, "audited series", "audited series")
    scope = f"{series} of {count(counts['models'], 'model')}"
    missing = "" if summary["coverage"]["ok"] else _missing(summary)
    if counts["regressions"] + counts["violations"]:
        whole = " is healthy as a whole, but" if summary["healthy"] else ""
        found = f"{_confirmed(counts)} in {scope}{'' if missing else _rejected(counts)}"
        return f"Calibration of {fleet}{whole} needs attention: {found}.{missing}"
    if summary["reasons"]:
        others = [r for r in reasons(summary) if not (missing and r.startswith("coverage "))]
        why = f", but: {'; '.join(others)}" if others else ""
        return f"Nothing is confirmed in {scope} of {fleet}{why}.{missing}"
    found = f"nothing confirmed in {scope}{_rejected(counts)}"
    return f"Calibration of {fleet} is healthy: {found}.{_young(counts)}"


def _rejected(counts: Mapping[str, int]) -> str:
    """What was refused of a night that is covered all the same; nothing where nothing was."""
    files, rows = counts["files_rejected"], counts["rows_rejected"]
    if not files + rows:
        return ""
    return f"; {count(files, 'file')} and {count(rows, 'row')} were rejected"


def _confirmed(counts: Mapping[str, int]) -> str:
    parts = [
        count(counts[name], f"confirmed {noun}")
        for name, noun in (("regressions", "regression"), ("violations", "SLO violation"))
        if counts[name]
    ]
    return f"{count(counts['incidents'], 'incident')} with {enumerated(parts)}"


def _missing(summary: Mapping[str, Any]) -> str:
    """What could not be covered, of a night that is degraded."""
    counts = summary["counts"]
    parts = [
        text
        for number, text in (
            (counts["files_rejected"], f"{count(counts['files_rejected'], 'file')} unreadable"),
            (counts["rows_rejected"], f"{count(counts['rows_rejected'], 'row')} rejected"),
            (
                counts["indeterminate"],
                f"{count(counts['indeterminate'], 'series', 'series')} indeterminate",
            ),
            (
                counts["insufficient"] if not counts["ok"] + counts["failed"] else 0,
                f"{count(counts['insufficient'], 'series', 'series')} too young",
            ),
        )
        if number
    ]
    told = f": {enumerated(parts)}" if parts else ""
    return f" Coverage is only {covered(summary['coverage']['share'])}{told}."


def _young(counts: Mapping[str, int]) -> str:
    young = counts["insufficient"]
    if not young:
        return ""
    return f" {count(young, 'series is', 'series are')} too young to be judged."


def terminal_summary(night: NightReport, console: Console, where: str = "") -> None:
    """Print the night: its verdict, its incidents by urgency, its coverage, where to look."""
    summary = night.summary
    verdict = str(summary["verdict"])
    style = {"healthy": "bold green", "unhealthy": "bold red"}.get(verdict, "bold yellow")
    console.print(Text(f"{night.night}  {verdict.upper()}", style=style))
    console.print(Text(summary["sentence"]))
    for reason in reasons(summary):
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
        console.print(Text(f"Look at {display_name(where, LONGEST_PATH)}"))


def _incident(row: Mapping[str, Any]) -> Text:
    """One incident on a line that is never cut short: how urgent, since when, what, how much."""
    since = "not dated" if row["onset"] is None else f"since {instant(row['onset'])}"
    return Text.assemble(
        (f"{row['severity']:<9} ", STYLES[row["severity"]]),
        f"{since:<27} {display_name(row['title'], 160)} ({count(row['findings'], 'finding')})",
    )


def _coverage(summary: Mapping[str, Any]) -> Iterator[str]:
    """What the verdict rests on."""
    counts, met = summary["counts"], summary["compliance"]
    failed = f"{counts['failed']:,} of them failed (silent, flat, not a number, forbidden events)"
    parts = [
        f"{count(counts['ok'] + counts['failed'], 'series', 'series')} audited",
        failed if counts["failed"] else "",
        f"{counts['indeterminate']:,} indeterminate" if counts["indeterminate"] else "",
        f"{counts['insufficient']:,} too young" if counts["insufficient"] else "",
        f"{count(counts['rows'], 'row')} read, {counts['rows_rejected']:,} rejected",
    ]
    yield f"Coverage {covered(summary['coverage']['share'])}: {', '.join(filter(None, parts))}."
    if met["rate"] is not None:
        rate, goal = percent(met["rate"], 2), percent(met["goal"], 0)
        yield f"SLOs were met in {rate} of the week's model-class nights (goal {goal})."
