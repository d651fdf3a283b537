"""Which registered model a model of the fleet is, and under which alias it is in service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from calhard.plan.globs import matched
from calhard.plan.registry import Registry

MODEL_ID = "{model_id}"
"""Stands for the id in the name of a registered model."""


@dataclass(frozen=True, slots=True, order=True)
class Wanted:
    """A registered model by name; ``alias`` is "" where the configured aliases count in order."""

    model: str
    alias: str = ""

    def serving(self, there: dict[str, str], aliases: Sequence[str]) -> str | None:
        """Return the alias in service: the first of those wanted that a model has.

        ``there`` maps a registered model's aliases to versions.
        """
        wanted = (self.alias,) if self.alias else aliases
        return next((alias for alias in wanted if alias in there), None)


def wanted(registry: Registry, model_ids: Sequence[str]) -> dict[str, Wanted]:
    """Return where each model of a fleet would be registered; whether it is, the server knows.

    The last glob of the mapping that matches an id counts; without one, the id itself is the name.
    """
    found = {name: Wanted(name) for name in model_ids}
    for glob, place in registry.models.items():
        name, at, alias = place.rpartition("@")
        pattern, alias = (name, alias) if at else (alias, "")
        for model_id, hit in zip(model_ids, matched([glob], model_ids), strict=True):
            if hit:
                found[model_id] = Wanted(pattern.replace(MODEL_ID, model_id), alias)
    return found
