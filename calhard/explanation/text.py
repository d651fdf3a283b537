"""An explanation as text: the verdict first, then what stands behind it."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import wrap

from calhard.explanation import sections
from calhard.explanation.facts import SeriesFacts
from calhard.explanation.reliability import came_true
from calhard.explanation.verdict import verdict_of
from calhard.wording.names import display_name

WIDTH, INDENT = 96, 11
PARTS: dict[str, Callable[[SeriesFacts], list[str]]] = {
    "Since": sections.since,
    "Size": sections.size,
    "Now": sections.now,
    "Before": sections.before,
    "Sure": sections.sure,
    "Tests": sections.tests,
    "SLO": sections.slo,
    "Forecast": sections.ahead,
    "Noticed": sections.noticed,
    "Data": sections.data,
    "Incident": sections.incident,
    "Came true": came_true,
}


def title(facts: SeriesFacts, night: str) -> str:
    """Return what is explained."""
    names = (display_name(name) for name in (facts.model_id, facts.class_id, facts.metric))
    return f"{' / '.join(names)}, night {night}"


def series_text(facts: SeriesFacts, night: str, width: int = WIDTH) -> str:
    """Return the explanation of one series, lines of at most ``width`` characters."""
    lines = [title(facts, night), "", *wrap(verdict_of(facts).sentence, width), ""]
    if facts.evidence is None and facts.regression is None:
        return "\n".join(lines + _class_health(facts, width))
    for label, part in PARTS.items():
        if facts.evidence is None and label not in {"Since", "Sure", "Incident"}:
            continue
        for place, line in enumerate(part(facts)):
            lines += _labelled(label if place == 0 else "", line, width)
    return "\n".join(lines)


def _labelled(label: str, line: str, width: int) -> list[str]:
    """A line behind its label; a longer one goes on under its own beginning."""
    found = wrap(line, max(width - INDENT, 30), drop_whitespace=True)
    if len(line) <= max(width - INDENT, 30):
        found = [line]  # wrap would close up the columns of a table
    return [f"{label if i == 0 else '':<{INDENT}}{text}" for i, text in enumerate(found)]


def _class_health(facts: SeriesFacts, width: int) -> list[str]:
    group = facts.group
    if group is None:
        return []
    counts = ", ".join(
        f"{group[name]:,} {word}"
        for name, word in (
            ("audited", "audited"),
            ("insufficient", "too short"),
            ("indeterminate", "indeterminate"),
            ("failed", "failed"),
        )
        if group[name]
    )
    return _labelled("Class", f"{group['health']}: {counts} series", width)
