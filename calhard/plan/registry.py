"""How models of a fleet are found in a model registry."""

from __future__ import annotations

from calhard.plan.sections import Section


class Registry(Section):
    """The model registry: which models are whose, and what is written there."""
