"""The engine of one machine: this process, or one worker process per core."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from calhard.engines.base import Result, Results, Task
from calhard.engines.workers import Shift, crew


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class LocalEngine:
    """Maps tasks over the cores of this machine.

    Parameters
    ----------
    workers : int, optional
        Worker processes; all usable cores by default. One computes in this process.
    """

    workers: int | None = None

    @property
    def name(self) -> str:
        """``local``."""
        return "local"

    def map(self, function: Callable[[Task], Result], tasks: Sequence[Task]) -> Results[Result]:
        """Yield ``function(task)`` of every task, in the order of the tasks.

        Raises
        ------
        CalhardError
            A worker process died. Whatever a task raises ends the iteration, and the other
            workers at once.
        """
        workers = min(self.workers or usable_cores(), len(tasks))
        if workers <= 1:
            yield from (function(task) for task in tasks)
            return
        with crew(workers, function) as hired:
            shift: Shift[Task, Result] = Shift(tasks, hired.copy(), {}, {})
            yield from shift.results()
