"""What a card of an incident says: what, where, since when, how sure, what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from calhard.report.cases import Case, Row, Trouble, cases
from calhard.report.exhibits import EarlierNight, Exhibits
from calhard.report.night import NightReport
from calhard.report.plot import Plot, plot
from calhard.report.reliability import ReliabilityPlot, reliability_plots
from calhard.report.runbook import Advice, advice
from calhard.report.sentences import certainty, metric_words, place, since, what
from calhard.wording.names import display_name
from calhard.wording.words import count, instant, percent

NAMED = 6
"""Names that a card lists before it counts the rest."""
ALSO = 3
"""Further findings that a card tells in a sentence each."""


@dataclass(frozen=True, slots=True)
class Card:
    """One incident, in words and pictures; all text is safe to be shown once it is escaped."""

    incident: Row
    number: int
    status: str
    what: str
    also: tuple[str, ...]
    more: int
    where: str
    since: str
    sure: tuple[str, ...]
    advice: tuple[Advice, ...]
    plots: tuple[tuple[str, Plot], ...]
    reliability: tuple[str, tuple[ReliabilityPlot, ...]] | None = None
    """Whose, and its windows."""


def cards(night: NightReport, exhibits: Exhibits) -> list[Card]:
    """Return the night's most urgent incidents, the most urgent first."""
    as_of = datetime.fromisoformat(night.summary["as_of"])
    return [
        _card(number, case, exhibits, as_of) for number, case in enumerate(cases(night), start=1)
    ]


def _card(number: int, case: Case, exhibits: Exhibits, as_of: datetime) -> Card:
    incident, troubles = case.incident, case.troubles
    worst = troubles[0] if troubles else None
    evidence = None if worst is None else exhibits.evidence.get(worst.key)
    begun = since(incident["onset"], as_of)
    return Card(
        incident=incident,
        number=number,
        status=_status(incident, exhibits.before),
        what=display_name(incident["summary"], 600) if worst is None else _what(incident, worst),
        also=tuple(what(t) for t in troubles[1 : 1 + ALSO]),
        more=max(case.total - 1 - ALSO, 0),
        where=_where(incident),
        since=f"{instant(incident['onset'])} ({begun})" if begun else "not dated",
        sure=() if worst is None else tuple(certainty(worst, evidence)),
        advice=tuple(advice(troubles)),
        plots=tuple(_plots(case, exhibits)),
        reliability=_reliability(case, exhibits),
    )


def _what(incident: Row, worst: Trouble) -> str:
    """The worst finding in words; of a fleet incident that it is one of many, first."""
    if incident["scope"] != "fleet":
        return what(worst)
    metrics = _names(incident["metrics"])
    models = count(len(incident["models"]), "model")
    return f"{models} changed together in {metrics}. Worst: {what(worst)}"


def _where(incident: Row) -> str:
    models, classes = incident["models"] or [], incident["classes"] or []
    radius = percent(incident["blast_radius"])
    return (
        f"{count(len(models), 'model')}, {radius} of the audited ones: {_names(models)}; "
        f"{count(len(classes), 'class', 'classes')}: {_names(classes)}"
    )


def _names(names: Sequence[str] | None) -> str:
    names = names or []
    told = ", ".join(display_name(name) for name in names[:NAMED])
    return told + (f" and {len(names) - NAMED:,} more" if len(names) > NAMED else "")


def _status(incident: Row, before: EarlierNight | None) -> str:
    """Whether the night before had a finding in any of an incident's models and metrics."""
    if before is None or not before.readable:
        return ""
    pairs = ((m, k) for m in incident["models"] or () for k in incident["metrics"] or ())
    return "ongoing" if any(pair in before.found for pair in pairs) else "new"


def _plots(case: Case, exhibits: Exhibits) -> list[tuple[str, Plot]]:
    found: list[tuple[str, Plot]] = []
    pictures: Mapping[tuple[str, str, str], object] = exhibits.pictures
    for key in case.drawn:
        drawn = plot(exhibits.pictures[key]) if key in pictures else None
        if drawn is not None:
            found.append((f"{metric_words(key[2])} of {place(key[0], key[1])}", drawn))
    return found


def _reliability(case: Case, exhibits: Exhibits) -> tuple[str, tuple[ReliabilityPlot, ...]] | None:
    """The diagrams of the worst model-class of an incident that has any."""
    keys = [trouble.key for trouble in case.troubles] + list(case.drawn)
    for model_id, class_id, _ in keys:
        diagrams = exhibits.reliability.get((model_id, class_id))
        if diagrams:
            return place(model_id, class_id), reliability_plots(diagrams)
    return None
