"""The engine of one machine: this process, or one worker process per core."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

from calhard.engines.base import Result, Task
from calhard.errors import CalhardError

CONTEXT = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
"""A plain fork would copy the threads' locks of pyarrow and deadlock."""


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

    def map(self, function: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[Result]:
        """Yield ``function(task)`` of every task, in the order of the tasks."""
        workers = min(self.workers or usable_cores(), len(tasks))
        if workers <= 1:
            yield from (function(task) for task in tasks)
            return
        context = multiprocessing.get_context(CONTEXT)
        if CONTEXT == "forkserver":
            context.set_forkserver_preload(["calhard.pipeline.tasks"])  # imported once, not by each
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            futures = [pool.submit(function, task) for task in tasks]
            try:
                for future in futures:
                    yield future.result()
            except BrokenProcessPool as e:
                raise CalhardError(
                    "a worker process died (out of memory, or killed); nothing was published. "
                    "Try fewer workers (--workers 1), or a machine with more memory."
                ) from e
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
