"""What was not audited, and why: the first screen's part of the coverage table."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

from calhard.report.night import NightReport
from calhard.wording.names import display_name
from calhard.wording.words import count

OUTCOMES = ("missing", "rejected", "indeterminate", "insufficient")
"""Outcomes that mean that something was not audited, the gravest first."""
SHOWN = 4
NAMED = 4
"""Up to so many units are all named."""
NO_COLUMN = "the history has no such column"
Kind = tuple[str, str, str, str]
"""Outcome, unit, reason and remedy."""


@dataclass(frozen=True, slots=True)
class Gap:
    """So many units, why they were not audited, and what to do; alike ones are one gap."""

    what: str
    why: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Gaps:
    """The gravest gaps, and how many further ones the coverage table has."""

    gaps: tuple[Gap, ...]
    rest: int


def gaps(night: NightReport) -> Gaps:
    """Return what was not audited, by outcome, then the most first."""
    counts: Counter[Kind] = Counter()
    examples: dict[Kind, list[str]] = defaultdict(list)
    for row in night.tables["coverage"].to_pylist():
        if row["outcome"] in OUTCOMES and row["count"]:
            reason = NO_COLUMN if row["unit"] == "metric" else row["reason"] or ""
            kind = row["outcome"], row["unit"], reason, row["remedy"] or ""
            counts[kind] += row["count"]
            if row["example"]:
                examples[kind].append(row["example"])
    order = sorted(counts, key=lambda kind: (OUTCOMES.index(kind[0]), -counts[kind], kind))
    told = tuple(_gap(kind, counts[kind], examples[kind]) for kind in order[:SHOWN])
    return Gaps(told, len(order) - len(told))


def _gap(kind: Kind, number: int, examples: list[str]) -> Gap:
    outcome, unit, reason, remedy = kind
    units = count(number, unit, unit if unit == "series" else "")
    why = display_name(reason, 160) + _named(number, examples)
    return Gap(f"{units} {outcome}", why, display_name(remedy, 160))


def _named(number: int, examples: list[str]) -> str:
    """All by name if they are few, else the first."""
    if not examples:
        return ""
    if len(examples) == number <= NAMED:
        return f" ({', '.join(display_name(example, 60) for example in examples)})"
    return f" (first: {display_name(examples[0], 60)})"
