"""Incidents as the page tells them: each with its findings, series by series, the worst first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import product
from typing import Any

import pyarrow as pa

from calhard.report.night import NightReport

Key = tuple[str, str, str]
"""Model, class and metric: one series."""
Row = Mapping[str, Any]

CARDS = 50
"""Incidents that have a card; the others are a row of a table."""
DRAWN = ((10, 3), (30, 2), (CARDS, 1))
"""Series drawn on a card: three on each of the first ten, two up to the thirtieth, then one."""
TOLD = 20
"""Series of an incident that are read in full; its card counts the others."""
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


@dataclass(frozen=True, slots=True)
class Trouble:
    """All that is confirmed of one series: at most one regression, and a violation per window."""

    key: Key
    severity: str
    regression: Row | None
    violations: tuple[Row, ...]


@dataclass(slots=True)
class Lead:
    """A series with a confirmed finding, before its rows are read; ``places`` says where they are.

    A night may have very many, of which the page tells few.
    """

    key: Key
    rank: int = 0
    effect: float = 0.0
    onset: datetime | None = None
    places: list[tuple[str, int]] = field(default_factory=list)

    @property
    def order(self) -> tuple[int, float, Key]:
        """Sorts the worst first."""
        return -self.rank, -abs(self.effect), self.key


@dataclass(frozen=True, slots=True)
class Case:
    """An incident with the worst of its series, those of them that are drawn, and all counted."""

    incident: Row
    troubles: tuple[Trouble, ...]
    drawn: tuple[Key, ...]
    total: int


def cases(night: NightReport) -> list[Case]:
    """Return the incidents that have a card, in the order of their table.

    A series belongs to the incident of its model and metric whose onset is nearest to its own: one
    model's incidents lie more than a day apart.
    """
    tables = _tables(night)
    own = _owned(night.tables["incidents"], _leads(tables))
    found = []
    for place, incident in enumerate(night.rows("incidents", CARDS)):
        told = _varied(own[place])[:TOLD]
        troubles = tuple(_trouble(lead, tables) for lead in told)
        found.append(
            Case(incident, troubles, drawn([lead.key for lead in told], place), len(own[place]))
        )
    return found


def _varied(leads: Sequence[Lead]) -> list[Lead]:
    """The worst of each metric first, then the others: one metric shall not hide another."""
    metrics: set[str] = set()
    first: list[Lead] = []
    more: list[Lead] = []
    for lead in leads:
        (more if lead.key[2] in metrics else first).append(lead)
        metrics.add(lead.key[2])
    return [*first, *more]


def drawn(keys: Sequence[Key], place: int) -> tuple[Key, ...]:
    """Return the series that the card at a place draws: the worst, of as many models as it can."""
    many = next((size for last, size in DRAWN if place < last), 0)
    models: set[str] = set()
    first: list[Key] = []
    more: list[Key] = []
    for key in keys:
        (more if key[0] in models else first).append(key)
        models.add(key[0])
    return tuple([*first, *more][:many])


def confirmed_pairs(night: NightReport) -> set[tuple[str, str]]:
    """Return model and metric of every confirmed finding for the worse."""
    return {
        pair
        for table in _tables(night).values()
        for pair in zip(table["model_id"].to_pylist(), table["metric"].to_pylist(), strict=True)
    }


def _tables(night: NightReport) -> dict[str, pa.Table]:
    """The confirmed findings for the worse, regressions first."""
    sure = night.chosen("violations", verdict="violated", direction="worse")
    return {"regressions": night.tables["regressions"], "violations": sure}


def _leads(tables: Mapping[str, pa.Table]) -> list[Lead]:
    """Every series with a finding, the worst first."""
    found: dict[Key, Lead] = {}
    for name, table in tables.items():
        columns = [table[c].to_pylist() for c in ("model_id", "class_id", "metric", "severity")]
        known = "effect_size" in table.schema.names
        effects = table["effect_size"].to_pylist() if known else [None] * table.num_rows
        told = zip(*columns, table["onset"].to_pylist(), effects, strict=True)
        for row, (model, class_, metric, severity, onset, effect) in enumerate(told):
            lead = found.setdefault((model, class_, metric), Lead((model, class_, metric)))
            lead.rank = max(lead.rank, RANK[SEVERITY[severity]])
            lead.effect = lead.effect or effect or 0.0
            lead.onset = lead.onset or onset
            lead.places.append((name, row))
    return sorted(found.values(), key=lambda lead: lead.order)


def _trouble(lead: Lead, tables: Mapping[str, pa.Table]) -> Trouble:
    rows: dict[str, list[Row]] = {name: [] for name in tables}
    for name, row in lead.places:
        rows[name] += tables[name].slice(row, 1).to_pylist()
    regression = next(iter(rows["regressions"]), None)
    return Trouble(lead.key, list(RANK)[lead.rank], regression, tuple(rows["violations"]))


def _owned(incidents: pa.Table, leads: Sequence[Lead]) -> dict[int, list[Lead]]:
    """The series of each incident by its place in the table, the worst first."""
    onsets = incidents["onset"].to_pylist()
    by_pair: dict[tuple[str, str], list[int]] = defaultdict(list)
    names = zip(incidents["models"].to_pylist(), incidents["metrics"].to_pylist(), strict=True)
    for place, (models, metrics) in enumerate(names):
        for pair in product(models or (), metrics or ()):
            by_pair[pair].append(place)
    own: dict[int, list[Lead]] = defaultdict(list)
    for lead in leads:
        places = by_pair.get((lead.key[0], lead.key[2]))
        if places:
            own[min(places, key=lambda place: _apart(onsets[place], lead.onset))].append(lead)
    return own


def _apart(one: datetime | None, other: datetime | None) -> float:
    """Seconds between two onsets; what is not dated is as near as can be to what is neither."""
    if one is None or other is None:
        return 0.0 if one is other else float("inf")
    return abs((one - other).total_seconds())
