"""The fleet at a glance: models by metrics, each with the worst of its classes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from calhard.report.cases import SEVERITY
from calhard.report.exhibits import Exhibits
from calhard.report.night import NightReport

MODELS = 60
STATES = {
    "critical": "a confirmed critical finding",
    "severe": "a confirmed severe or high finding",
    "moderate": "a confirmed moderate or medium finding",
    "minor": "a confirmed minor or low finding",
    "warning": "heading for its bound: an early warning",
    "unclear": "not judged: its data contradict themselves or are bad",
    "unconfirmed": "beyond a bound, but noise may explain it",
    "young": "not judged: too little history",
    "ok": "audited, nothing found",
    "": "not reported, or not kept",
}
"""What a cell may say, the worst first."""
_STATUS = {"indeterminate": "unclear", "insufficient": "young", "ok": "ok", "failed": "ok"}
"""A failed series has a finding of its own, unless regressions are not looked for."""
_PLACE = {state: place for place, state in enumerate(STATES)}
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Rows of (model, state by metric), the worst first; ``rest`` models are not shown."""

    metrics: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    rest: int


def heat_models(night: NightReport) -> list[str]:
    """Return the models that the map shows, the worst first, then those without findings."""
    own: dict[str, list[int]] = defaultdict(list)
    for (model, _), state in _findings(night).items():
        own[model].append(_PLACE[state])
    counts = {m: tuple(-places.count(p) for p in range(len(STATES))) for m, places in own.items()}
    ranked = sorted(own, key=lambda model: (counts[model], model))[:MODELS]
    for outcome in ("indeterminate", "insufficient", ""):
        if len(ranked) < MODELS:
            there = _models(night, outcome)
            ranked += sorted(there - set(ranked))[: MODELS - len(ranked)]
    return ranked


def heat_map(night: NightReport, exhibits: Exhibits) -> HeatMap:
    """Return the worst state of the shown models' metrics."""
    found, models = _findings(night), heat_models(night)
    everyone = _models(night, "") | {model for model, _ in found}

    def state(pair: Pair) -> str:
        statuses = (_STATUS[status] for status in exhibits.statuses.get(pair, ()))
        return _worst([*statuses, *([found[pair]] if pair in found else [])])

    metrics = exhibits.metrics or tuple(sorted({metric for _, metric in found}))
    rows = ((model, tuple(state((model, metric)) for metric in metrics)) for model in models)
    return HeatMap(metrics, tuple(rows), len(everyone) - len(models))


def _worst(states: Iterable[str]) -> str:
    return min(states, key=_PLACE.__getitem__, default="")


def _models(night: NightReport, outcome: str) -> set[str]:
    """Models with any class of that outcome; all of them where it is empty."""
    health = night.tables["health"]
    models = health["model_id"].to_pylist()
    if not outcome:
        return set(models)
    return {m for m, n in zip(models, health[outcome].to_pylist(), strict=True) if n}


def _findings(night: NightReport) -> dict[Pair, str]:
    """The worst that is said of a model's metric."""
    found: dict[Pair, str] = {}

    def note(name: str, states: Iterable[str]) -> None:
        table = night.tables[name]
        pairs = zip(table["model_id"].to_pylist(), table["metric"].to_pylist(), strict=True)
        for pair, state in zip(pairs, states, strict=True):
            found[pair] = _worst([state, found.get(pair, state)])

    severities = night.tables["regressions"]["severity"].to_pylist()
    note("regressions", [SEVERITY[word] for word in severities])
    note("violations", _violation_states(night))
    note("warnings", ["warning"] * night.tables["warnings"].num_rows)
    return found


def _violation_states(night: NightReport) -> list[str]:
    table = night.tables["violations"]
    names = ("severity", "verdict", "direction")
    rows = zip(*(table[name].to_pylist() for name in names), strict=True)
    return [_violation_state(*row) for row in rows]


def _violation_state(severity: str, verdict: str, direction: str) -> str:
    if direction == "better":
        return "ok"
    return SEVERITY[severity] if verdict == "violated" else "unconfirmed"
