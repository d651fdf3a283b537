"""A model's series in a table, the worst first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from calhard.explanation.facts import ModelFacts, SeriesFacts
from calhard.explanation.phrases import minute, signed
from calhard.explanation.verdict import ORDER, Verdict, verdict_of
from calhard.wording.names import display_name
from calhard.wording.words import count, enumerated, percent

SHOWN = 20
QUIET_SHOWN = 5
LONGEST = 28
HEADINGS = ("class", "metric", "verdict", "change", "of bound", "sd", "since")


def ranked(series: Sequence[SeriesFacts]) -> list[tuple[SeriesFacts, Verdict]]:
    """Return series and verdicts, the worst first; equals keep their order."""
    judged = [(facts, verdict_of(facts)) for facts in series]
    return sorted(judged, key=_badness)


def _badness(pair: tuple[SeriesFacts, Verdict]) -> tuple[int, int, float]:
    facts, verdict = pair
    effect = facts.change["effect_size"] if facts.change else None
    return ORDER.index(verdict.word), -verdict.rank, -abs(effect or 0.0)


def overview_text(
    model: ModelFacts, judged: Sequence[tuple[SeriesFacts, Verdict]], heading: str
) -> str:
    """Return the table of a model's series under a heading; what is not listed is counted."""
    loud = sum(verdict.word != "healthy" for _, verdict in judged)
    shown = min(SHOWN, max(loud, QUIET_SHOWN))
    rows = [HEADINGS, *(_row(*pair) for pair in judged[:shown])]
    wide = [max(len(row[i]) for row in rows) for i in range(len(HEADINGS))]
    lines = ["  ".join(f"{cell:<{w}}" for cell, w in zip(row, wide, strict=True)) for row in rows]
    rest = [verdict for _, verdict in judged[shown:]]
    words = {verdict.word for verdict in rest}
    told = f", all {words.pop()}" if len(words) == 1 else f": {_counted(rest)}"
    more = [f"and {len(rest):,} more{told}"] if rest else []
    if model.not_kept:
        what = count(model.not_kept, "series", "series")
        more.append(f'and {what} without a finding, of which nothing was kept (keep = "flagged")')
    total = f"{heading}: {_counted([verdict for _, verdict in judged]) or 'no series kept'}"
    return "\n".join([total, "", *(line.rstrip() for line in lines), *more])


def _counted(verdicts: Sequence[Verdict]) -> str:
    """``2 alarmed and 12 healthy``."""
    found = Counter(verdict.word for verdict in verdicts)
    parts = [f"{found[word]:,} {word}" for word in ORDER if found[word]]
    return enumerated(parts) if parts else ""


def _row(facts: SeriesFacts, verdict: Verdict) -> tuple[str, ...]:
    found, bound = facts.change, facts.told("slo_bound")
    step = found["change_magnitude"] if found else None
    effect = found["effect_size"] if found else None
    onset = found["onset"] if found else None
    failed = found is not None and found["regression_type"] == "MetricFailure"
    word = verdict.word if verdict.short == verdict.word else f"{verdict.word}, {verdict.short}"
    return (
        display_name(facts.class_id, LONGEST),
        display_name(facts.metric, LONGEST),
        word,
        "failed" if failed else ("" if step is None else signed(step)),
        "" if step is None or not bound or failed else percent(abs(step) / bound, 0),
        "" if effect is None or failed else f"{abs(effect):.1f}",
        "" if onset is None else minute(onset),
    )
