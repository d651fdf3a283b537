"""What is done about a task that fails, as a value; and what comes of every task in the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

Split = Callable[[Any], Sequence[Any] | None]
"""Returns smaller tasks that together are a task's, in order; None where it cannot be split.

A single one stands for the task itself, better known. Picklable: it is computed where tasks are,
for a task that kills workers may be one that cannot even be looked at.
"""


@dataclass(frozen=True, slots=True)
class Policy:
    """When a task is tried again, split, given up, or started a second time beside the first."""

    attempts: int = 3
    """Tries of a task in all, for crashes, lost workers, lack of memory and time-outs alike."""
    patience: tuple[float, ...] = ()
    """Seconds before each further try where storage failed in a way that may pass."""
    last: Callable[[Any], Any] | None = None
    """What a task is made of for the last of those tries; nothing by default."""
    timeout: float | None = None
    """Seconds after which a try counts as hung: its worker is killed, the try has failed."""
    quarantine: bool = False
    """Whether a task that failed for good is told as `Quarantined`; else its error is raised."""
    quarantines: int = 32
    """More of them than so, and than tasks that were done: nothing is wrong with the tasks."""
    isolate: bool = False
    """Never compute in the driver's own process, where a crash would be the driver's."""
    fatal: tuple[type[Exception], ...] = (Exception,)
    """What of a task's own exceptions is raised at once; others are as good as its last crash."""
    splits: int = 64
    """How often a task and those split from it may be split."""
    speculate: float | None = None
    """A try that takes so many times the median gets a second one beside it; None: never."""
    speculate_after: float = 0.75
    """Share of the tasks that must be done before."""


@dataclass(frozen=True, slots=True)
class Finished(Generic[Task, Result]):
    """A task's result."""

    task: Task
    value: Result


@dataclass(frozen=True, slots=True)
class Quarantined(Generic[Task]):
    """A task that was given up after so many tries, and why, in words."""

    task: Task
    reason: str
    attempts: int
    error: Exception
    """What would have been raised."""


Settled: TypeAlias = Finished[Task, Result] | Quarantined[Task]
