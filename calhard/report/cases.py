"""Incidents as the page tells them: each with its findings, series by series, the worst first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from calhard.report.night import NightReport

Key = tuple[str, str, str]
"""Model, class and metric: one series."""
Row = Mapping[str, Any]

CARDS = 50
"""Incidents that have a card; the others are a row of a table."""
DRAWN = ((10, 3), (30, 2), (CARDS, 1))
"""Series drawn on a card: three on each of the first ten, two up to the thirtieth, then one."""
SEVERITY = {
    "minor": "minor",
    "low": "minor",
    "moderate": "moderate",
    "medium": "moderate",
    "severe": "severe",
    "high": "severe",
    "critical": "critical",
}
"""One scale for regressions and violations."""
RANK = {"minor": 0, "moderate": 1, "severe": 2, "critical": 3}


@dataclass(slots=True)
class Trouble:
    """All that is confirmed of one series: at most one regression, and a violation per window."""

    key: Key
    regression: Row | None = None
    violations: list[Row] = field(default_factory=list)

    @property
    def rows(self) -> list[Row]:
        """Its findings, the regression first."""
        return [*([] if self.regression is None else [self.regression]), *self.violations]

    @property
    def severity(self) -> str:
        """The worst of its findings'."""
        return max((SEVERITY[row["severity"]] for row in self.rows), key=RANK.__getitem__)

    @property
    def onset(self) -> datetime | None:
        """Since when, as far as anything dates it."""
        return next((row["onset"] for row in self.rows if row["onset"] is not None), None)

    @property
    def order(self) -> tuple[int, float, Key]:
        """Sorts the worst first."""
        effect = 0.0 if self.regression is None else self.regression["effect_size"] or 0.0
        return -RANK[self.severity], -abs(effect), self.key


@dataclass(frozen=True, slots=True)
class Case:
    """An incident with its series, the worst first, and those of them that are drawn."""

    incident: Row
    troubles: tuple[Trouble, ...]
    drawn: tuple[Key, ...]


def confirmed(night: NightReport) -> list[Trouble]:
    """Return every series with a confirmed finding for the worse."""
    found: dict[Key, Trouble] = {}
    for row in night.tables["regressions"].to_pylist():
        key = _key(row)
        found.setdefault(key, Trouble(key)).regression = row
    sure = night.chosen("violations", verdict="violated", direction="worse")
    for row in sure.to_pylist():
        key = _key(row)
        found.setdefault(key, Trouble(key)).violations.append(row)
    return sorted(found.values(), key=lambda trouble: trouble.order)


def cases(night: NightReport) -> list[Case]:
    """Return the incidents that have a card, in the order of their table.

    A series belongs to the incident of its model and metric whose onset is nearest to its own: one
    model's incidents lie more than a day apart.
    """
    incidents = night.rows("incidents")
    own = _owned(incidents, confirmed(night))
    return [
        Case(incident, tuple(own[place]), drawn(own[place], place))
        for place, incident in enumerate(incidents[:CARDS])
    ]


def drawn(troubles: Sequence[Trouble], place: int) -> tuple[Key, ...]:
    """Return the series that the card at a place draws: the worst, of as many models as it can."""
    many = next((size for last, size in DRAWN if place < last), 0)
    models: set[str] = set()
    first: list[Key] = []
    more: list[Key] = []
    for key in (trouble.key for trouble in troubles):
        (more if key[0] in models else first).append(key)
        models.add(key[0])
    return tuple([*first, *more][:many])


def _key(row: Row) -> Key:
    return row["model_id"], row["class_id"], row["metric"]


def _owned(incidents: Sequence[Row], troubles: Sequence[Trouble]) -> dict[int, list[Trouble]]:
    by_pair: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, incident in enumerate(incidents):
        metrics = incident["metrics"] or ()
        for model in incident["models"] or ():
            for metric in metrics:
                by_pair[model, metric].append(place)
    own: dict[int, list[Trouble]] = defaultdict(list)
    for trouble in troubles:
        places = by_pair.get((trouble.key[0], trouble.key[2]))
        if places:
            own[min(places, key=lambda p: _apart(incidents[p]["onset"], trouble.onset))].append(
                trouble
            )
    return own


def _apart(one: datetime | None, other: datetime | None) -> float:
    """Seconds between two onsets; what is not dated is as near as can be to what is neither."""
    if one is None or other is None:
        return 0.0 if one is other else float("inf")
    return abs((one - other).total_seconds())
