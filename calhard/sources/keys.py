"""What a metric's key means: the column that it fills, and whose class and model it names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from calhard.plan.logged import NUMBERS, PLACEHOLDER

if TYPE_CHECKING:
    from calhard.plan import AuditPlan

SAMPLES = "total_samples"
REMEMBERED = 100_000
"""Keys whose meaning is looked up once; beyond, it is found again."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What one key says."""

    column: str
    model_id: str | None = None
    class_id: str | None = None


@dataclass(frozen=True, slots=True)
class KeyMap:
    """From keys to meanings; several columns may be filled by one key."""

    exact: Mapping[str, tuple[Meaning, ...]]
    patterns: tuple[tuple[str, re.Pattern[str]], ...]
    _known: dict[str, tuple[Meaning, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, plan: AuditPlan) -> KeyMap:
        """Return the keys of a plan's metrics."""
        logged = plan.mlflow.source
        columns = [*plan.metric_catalogue(), *NUMBERS]
        keys = {name: logged.metrics.get(name) or own_keys(name) for name in columns}
        keys[SAMPLES] = tuple(
            origin.removeprefix("metric:")
            for origin in logged.total_samples
            if origin.startswith("metric:")
        )
        flat = [(column, key) for column, listed in keys.items() for key in listed]
        exact: dict[str, tuple[Meaning, ...]] = {}
        for column, key in flat:
            if not PLACEHOLDER.search(key):
                exact[key] = (*exact.get(key, ()), Meaning(column))
        patterns = [(c, _compiled(key)) for c, key in flat if PLACEHOLDER.search(key)]
        return cls(exact, tuple(patterns))

    def meanings(self, key: str) -> tuple[Meaning, ...]:
        """Return what a key means; nothing for most."""
        known = self._known.get(key)
        if known is None:
            known = tuple(dict.fromkeys(self._found(key)))
            if len(self._known) < REMEMBERED:
                self._known[key] = known
        return known

    def _found(self, key: str) -> Iterable[Meaning]:
        yield from self.exact.get(key, ())
        for column, pattern in self.patterns:
            match = pattern.fullmatch(key)
            if match:
                told = match.groupdict()
                yield Meaning(column, told.get("model_id"), told.get("class_id"))


def own_keys(name: str) -> tuple[str, str]:
    """Return the keys under which a metric is looked for that is not mapped."""
    return name, f"{name}/{{class_id}}"


def _compiled(pattern: str) -> re.Pattern[str]:
    """Return a pattern's expression; of two names the first is as short as may be."""
    parts = PLACEHOLDER.split(pattern)
    texts = [re.escape(text) for text in parts[::2]]
    names = [f"(?P<{name}>.+?)" for name in parts[1::2]]
    between = [piece for pair in zip(texts, [*names, ""], strict=True) for piece in pair]
    return re.compile("".join(between), re.DOTALL)
