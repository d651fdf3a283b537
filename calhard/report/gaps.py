"""What was not audited, and why: the first screen's part of the coverage table."""

from __future__ import annotations

from dataclasses import dataclass

from calhard.report.names import display_name
from calhard.report.night import NightReport
from calhard.report.words import count

OUTCOMES = ("missing", "rejected", "indeterminate", "insufficient")
"""Outcomes that mean that something was not audited, the gravest first."""
SHOWN = 4


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
    counts: dict[tuple[str, str, str, str], int] = {}
    examples: dict[tuple[str, str, str, str], str] = {}
    for row in night.tables["coverage"].to_pylist():
        if row["outcome"] in OUTCOMES and row["count"]:
            key = row["outcome"], row["unit"], row["reason"] or "", row["remedy"] or ""
            counts[key] = counts.get(key, 0) + row["count"]
            examples.setdefault(key, row["example"] or "")
    order = sorted(counts, key=lambda key: (OUTCOMES.index(key[0]), -counts[key], key))
    told = tuple(_gap(key, counts[key], examples[key]) for key in order[:SHOWN])
    return Gaps(told, len(order) - len(told))


def _gap(key: tuple[str, str, str, str], number: int, example: str) -> Gap:
    outcome, unit, reason, remedy = key
    units = count(number, unit, unit if unit == "series" else "")
    first = f" ({'first: ' if number > 1 else ''}{display_name(example, 60)})" if example else ""
    return Gap(f"{units} {outcome}", display_name(reason, 160) + first, display_name(remedy, 160))
