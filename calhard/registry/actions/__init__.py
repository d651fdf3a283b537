"""Moves aliases in the registry, guarded: a rollback to a version that passed, and its undo."""

from __future__ import annotations

from calhard.registry.actions.act import carry_out, connect_to_act
from calhard.registry.actions.ledger import ActionInProgress
from calhard.registry.actions.move import Move, plan_rollback
from calhard.registry.actions.outcome import Outcome
from calhard.registry.actions.undo import plan_undo

__all__ = [
    "ActionInProgress",
    "Move",
    "Outcome",
    "carry_out",
    "connect_to_act",
    "plan_rollback",
    "plan_undo",
]
