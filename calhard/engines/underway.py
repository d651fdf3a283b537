"""What the loop knows of tasks on their way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from calhard.engines.executor import Kind, Outcome
from calhard.engines.policy import Settled

NONE = Outcome(Kind.CANCELLED)


@dataclass(slots=True, eq=False)
class Root:
    """A task as it was given, and what has become of it: itself, or what it was split into."""

    place: int
    leaves: list[Leaf] = field(default_factory=list)
    splits: int = 0

    @property
    def settled(self) -> bool:
        """Whether all of it has come to an end."""
        return all(leaf.settled is not None for leaf in self.leaves)


@dataclass(slots=True, eq=False)
class Leaf:
    """A task on its way."""

    root: Root
    task: Any
    attempts: int = 0
    suspect: bool = False
    """Split from one that failed: it is split again at its first failure."""
    whole: bool = False
    """It cannot be split."""
    running: int = 0
    put_off: int = 0
    """How often storage failed it."""
    due: float = 0.0
    """When it may be tried again."""
    failure: Outcome = NONE
    settled: Settled[Any, Any] | Exception | None = None


@dataclass(slots=True)
class Try:
    """A call on its way: of a leaf, or one that splits it."""

    leaf: Leaf
    began: float
    splitting: bool
    hung: bool = False
    unwanted: bool = False
    """Its outcome is of no interest any more."""
