"""Runs of an experiment that gave no rows, by reason: nothing is left out without a word."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from calhard.schema import coverage_row

SECTION = "[calibration.hardening.mlflow.source]"
NO_MODEL, NO_METRIC = "no model is named", "logs no metric that is mapped"
TOO_OLD, OURS = "its values are older than what an audit reads", "published by calhard"
REASONS = {
    NO_MODEL: ("rejected", f"name where the model stands: {SECTION} model_id"),
    NO_METRIC: ("outside", f"nothing to mend, or map its metrics: {SECTION} metrics"),
    TOO_OLD: ("outside", "nothing to mend"),
    OURS: ("outside", "nothing to mend"),
}
MOST_NAMES = 10_000
"""Names of metrics, tags and params that are remembered, for a person who is to map them."""


@dataclass(slots=True)
class LeftOut:
    """Counts of runs by reason, an example of each, and what such runs hold."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    keys: Counter[str] = field(default_factory=Counter)
    """Keys of metrics that are not mapped."""
    places: Counter[str] = field(default_factory=Counter)
    """Tags and params of runs without a model."""

    def add(self, reason: str, run_id: str) -> None:
        """Count a run; the example is the first by id."""
        self.counts[reason] += 1
        self.examples[reason] = min(self.examples.get(reason, run_id), run_id)

    def remember(self, names: Counter[str], found: list[str]) -> None:
        """Count names, up to a bound."""
        names.update(name for name in found if name in names or len(names) < MOST_NAMES)

    def coverage(self) -> tuple[Mapping[str, object], ...]:
        """Return the rows of the coverage table."""
        return tuple(
            coverage_row("run", outcome, reason, self.counts[reason], self.examples[reason], remedy)
            for reason, (outcome, remedy) in REASONS.items()
            if self.counts[reason]
        )
