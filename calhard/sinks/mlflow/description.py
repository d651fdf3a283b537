"""What a run's page says first: the verdict, then counts, incidents, and how to go on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from shlex import quote
from typing import Any

from calhard.findings.health import STATES
from calhard.sinks.mlflow.metrics import ToldNight
from calhard.sinks.mlflow.names import LONGEST_TAG, cut, escaped
from calhard.wording.words import NONE, count, covered, instant, percent, reasons

Row = Mapping[str, Any]
INCIDENTS = 10
WIDE = " | &nbsp;&nbsp;"
"""Room between the columns of a table, which MLflow gives none."""
COUNTED = {
    "incidents": "incidents",
    "regressions": "confirmed regressions",
    "violations": "confirmed SLO violations",
    "unconfirmed": "beyond a bound, but within noise",
    "warnings": "early warnings",
    "improvements": "improvements",
}
ARTIFACTS = {
    "report.html": "the page of the night: incidents with plots, evidence and advice",
    "findings.json": "the 500 most urgent findings as a table",
    "findings.csv": "all findings",
    "figures": "the fleet, its nights, and whether the tests are sound",
    "evidence.parquet": "one row per series: every statistic behind the verdict",
}


def description(nights: Sequence[ToldNight], incidents: Sequence[Row]) -> str:
    """Return Markdown of the last of the trailing nights; every name in it is escaped.

    Its first lines are all that is read where a page shows no more of it.

    Parameters
    ----------
    incidents : rows of the incidents table, the most urgent first; those that are told
    """
    summary = nights[-1].summary
    parts = [
        f"**{escaped(summary['verdict'].upper())}** {_scope(summary)}",
        escaped(summary["sentence"], 1_000),
        "\n".join(_incidents(incidents, summary["counts"]["incidents"])),
        "\n".join(f"- {escaped(reason, 400)}" for reason in reasons(summary)),
        _counts(nights),
        "\n".join(_further(nights[-1].night, incidents)),
    ]
    return cut("\n\n".join(part for part in parts if part), LONGEST_TAG)


def _scope(summary: Row) -> str:
    """What the verdict rests on, in a few words."""
    counts = summary["counts"]
    audited = f"{counts['ok'] + counts['failed']:,} series of {counts['models']:,} models audited"
    return f"- {audited}, coverage {covered(summary['coverage']['share'])}"


def _counts(nights: Sequence[ToldNight]) -> str:
    """What was found tonight, and in the night before."""
    last, before = nights[-1], nights[-2] if len(nights) > 1 else None
    now, then = _told(last), _told(before) if before else {}
    heads = ("&nbsp;", last.night, before.night if before else "night before")
    rows = [(word, told, then.get(word, NONE)) for word, told in now.items()]
    lines = [f"| {WIDE.join(cells)} |" for cells in (heads, *rows)]
    return "\n".join([lines[0], "|---|---:|---:|", *lines[1:]])


def _told(night: ToldNight) -> dict[str, str]:
    """What a night found, by what it is called."""
    counts, summary = night.summary["counts"], night.summary
    told = {word: f"{counts[name]:,}" for name, word in COUNTED.items()}
    states = {s: summary["health"].get(s, 0) for s in STATES[::-1]}
    told |= {f"model-classes {state.lower()}": f"{n:,}" for state, n in states.items()}
    return told | {"SLO compliance of seven nights": percent(summary["compliance"]["rate"], 2)}


def _incidents(rows: Sequence[Row], total: int) -> Iterator[str]:
    if not total:
        return
    yield f"**Incidents** ({total:,}{f', the first {len(rows)}' if total > len(rows) else ''})"
    yield ""
    for row in rows:
        since = "not dated" if row["onset"] is None else f"since {instant(row['onset'])}"
        title, found = escaped(row["title"], 160), count(row["findings"], "finding")
        yield f"- **{row['severity']}** {title} ({found}, {since})"


def _further(night: str, incidents: Sequence[Row]) -> Iterator[str]:
    yield "**Go on**"
    yield ""
    for name, what in ARTIFACTS.items():
        yield f"- Artifact {escaped(name)}: {what}"
    for command in _commands(night, incidents):
        yield f"- In a terminal: {escaped(command, 500)}"


def _commands(night: str, incidents: Sequence[Row]) -> Iterator[str]:
    """Commands for a terminal that sees the nights' folder, OUT; names are quoted for the shell."""
    if incidents:
        yield f"calhard explain OUT {quote(incidents[0]['models'][0])} --night {night}"
    yield f"calhard report OUT --night {night}"
