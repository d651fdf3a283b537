"""The engine of one machine: this process, or one worker process per core."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from calhard.engines.base import Results
from calhard.engines.executor import Executor
from calhard.engines.here import Here
from calhard.engines.loop import Loop
from calhard.engines.memory import machine_memory
from calhard.engines.policy import Finished, Policy, Result, Settled, Split, Task
from calhard.engines.workers import Processes


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
        Worker processes; all usable cores by default. One computes in this process, as does a
        single task: whatever kills a worker kills this process then, and what hangs, hangs. A
        policy may forbid that.
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
            Worker processes died of a task time and again. Whatever a task raises ends the
            iteration, and the other workers at once.
        """
        with self.executor(function, len(tasks)) as executor:
            for settled in Loop(executor, function, tasks, Policy()).results():
                yield cast("Finished[Task, Result]", settled).value

    def run(
        self,
        function: Callable[[Task], Result],
        tasks: Sequence[Task],
        policy: Policy,
        split: Split | None = None,
    ) -> Results[Settled[Task, Result]]:
        """Yield what comes of every task under a policy, in the order of the tasks."""
        isolated = policy.isolate and len(tasks) > 0
        with self.executor(function, len(tasks), isolated=isolated) as executor:
            yield from Loop(executor, function, tasks, policy, split).results()

    def worker_memory(self) -> int | None:
        """Return the machine's memory, or the container's, shared out among the workers."""
        memory = machine_memory()
        return None if memory is None else memory // (self.workers or usable_cores())

    def executor(
        self, function: Callable[[Task], Result], tasks: int, *, isolated: bool = False
    ) -> Executor:
        """Return where so many tasks are computed; ``isolated``: not in this process."""
        workers = min(self.workers or usable_cores(), tasks)
        if workers <= 1 and not isolated:
            return Here()
        return Processes(workers, [function.__module__])
