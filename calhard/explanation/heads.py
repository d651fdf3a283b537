"""What each of the five tests said, as far as the evidence tells: which were closed by a gate."""

from __future__ import annotations

from dataclasses import dataclass

from calhard.explanation.facts import SeriesFacts
from calhard.judge.labels import CALIBRATION_ERRORS
from calhard.schema import HEADS
from calhard_kernels.inflation import deflate

NAMES = {
    "level": "level",
    "scan": "level, best split",
    "slope": "trend",
    "variance": "scatter",
    "oscillation": "cycle",
}
_LEVEL = "under {least:g} sd or gone again"
GATES = {
    "level": _LEVEL,
    "scan": "under {least:g} sd, gone again or no clear split",
    "slope": _LEVEL,
    "variance": "a few spikes, no wider middle",
    "oscillation": "under 1 sd, not new or not steady",
}
"""Why a small p of a head may not count."""
SMALL = 0.05
"""Of larger p-values it does not matter whether a gate was closed."""
NEARER = 0.9
"""A weighted p under this share of the combined one was not counted: its gate was closed."""


@dataclass(frozen=True, slots=True)
class HeadWord:
    """One head: its raw p (None where it is off) and what became of it."""

    name: str
    p: float | None
    said: str


def head_words(facts: SeriesFacts) -> list[HeadWord]:
    """Return what each head said, in the order of `schema.HEADS`.

    The evidence has no column for a gate. The combined p is the smallest weighted p of an open
    head, so one whose weighted p is smaller still was closed; of the others nothing is known.
    """
    weighted = _weighted(facts)
    return [
        HeadWord(NAMES[name], facts.told(f"p_{name}"), _said(facts, name, weighted))
        for name in HEADS
    ]


def _labels(facts: SeriesFacts, name: str) -> str:
    """A further reason where the labels per slot changed by more than 2×."""
    moved = facts.metric in CALIBRATION_ERRORS and bool(facts.told("tau_shift"))
    return ", or explained by the labels" if moved and name != "oscillation" else ""


def _weighted(facts: SeriesFacts) -> dict[str, float]:
    """The p over the head's share, after its family's inflation; only heads that are on."""
    weights, cap = facts.plan.regression.weights(), facts.plan.regression.lambda_cap
    raw = {name: facts.told(f"p_{name}") for name in HEADS}
    on = {name: p for name, p in raw.items() if p is not None and weights[name] > 0}
    total = sum(weights[name] for name in on)
    return {
        name: float(deflate(p, facts.inflation.get(name, 1.0), cap)) * total / weights[name]
        for name, p in on.items()
    }


def _said(facts: SeriesFacts, name: str, weighted: dict[str, float]) -> str:
    p, combined = facts.told(f"p_{name}"), facts.told("p_value")
    if p is None:
        return "off"
    if name not in weighted:
        return "not counted"
    if name == facts.told("head") and facts.change is not None:
        return "decided"
    if combined is not None and p <= SMALL and weighted[name] < NEARER * combined:
        least = facts.plan.min_effects_for((facts.model_id,), (facts.class_id,))[0]
        return f"gate closed: {GATES[name].format(least=least)}{_labels(facts, name)}"
    agrees = facts.change is not None and weighted[name] <= facts.plan.regression.max_p
    return "small too" if agrees else "quiet"
