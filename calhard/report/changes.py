"""What changed since the last night that was published."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from calhard.report.cases import confirmed_pairs
from calhard.report.exhibits import EarlierNight
from calhard.report.night import NightReport
from calhard.wording.names import display_name
from calhard.wording.words import count

NAMED = 3
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Change:
    """One way in which findings differ: how many, and the first of them by name."""

    word: str
    count: int
    names: tuple[str, ...]

    @property
    def rest(self) -> int:
        """How many are not named."""
        return self.count - len(self.names)


@dataclass(frozen=True, slots=True)
class Changes:
    """Tonight against the last night; ``notes`` are sentences beside the counts."""

    since: str
    changes: tuple[Change, ...]
    notes: tuple[str, ...]


def changes(night: NightReport, before: EarlierNight | None) -> Changes | None:
    """Return what is new, ongoing and gone by model and metric; None on the first night."""
    if before is None:
        return None
    if not before.readable:
        note = (
            f"Night {before.night} was published but is damaged, so nothing can be compared; "
            f"calhard report OUT --night {before.night} --verify tells more."
        )
        return Changes(before.night, (), (note,))
    now = confirmed_pairs(night)
    told = (
        Change("new", *_named(now - before.found)),
        Change("ongoing", *_named(now & before.found)),
        Change("no longer found", *_named(before.found - now)),
    )
    return Changes(before.night, told, tuple(_notes(night, before)))


def _named(pairs: frozenset[Pair] | set[Pair]) -> tuple[int, tuple[str, ...]]:
    first = sorted(pairs)[:NAMED]
    return len(pairs), tuple(f"{display_name(m, 40)}: {display_name(k, 40)}" for m, k in first)


def _notes(night: NightReport, before: EarlierNight) -> list[str]:
    summary = night.summary
    incidents = summary["counts"]["incidents"]
    told = f"Incidents: {incidents:,} tonight, {before.incidents:,} then; the verdict then: "
    notes = [f"{told}{display_name(before.verdict)}."]
    days = (date.fromisoformat(night.night) - date.fromisoformat(before.night)).days
    if days > 1:
        notes.append(f"{count(days - 1, 'night')} in between had no audit.")
    if before.plan_sha256 != summary.get("plan_sha256", before.plan_sha256):
        notes.append("The configuration has changed since, which alone may change findings.")
    return notes
