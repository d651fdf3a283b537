"""The engine of one machine: this process, or one worker process per core."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection

from calhard.engines.base import Result, Results, Task
from calhard.errors import CalhardError

CONTEXT = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
"""A plain fork would copy the threads' locks of pyarrow and deadlock."""

DIED = (
    "a worker process died (out of memory, or killed); nothing was published. Try fewer workers "
    "(--workers 1), or a machine with more memory; in a script of your own, call calhard under "
    'if __name__ == "__main__":'
)


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
        try:
            with _pool(workers, function.__module__) as pool:
                futures = [pool.submit(function, task) for task in tasks]
                for future in futures:
                    yield future.result()
        except BrokenProcessPool as e:
            raise CalhardError(DIED) from e


@contextmanager
def _pool(workers: int, preload: str) -> Iterator[ProcessPoolExecutor]:
    """A pool whose workers live no longer than the work, whatever ends it.

    The workers watch a pipe of which this process alone holds the other end: it breaks when this
    process closes it or dies.
    """
    context = multiprocessing.get_context(CONTEXT)
    if CONTEXT == "forkserver":
        context.set_forkserver_preload([preload])  # imported once, not by each worker
    watched, lifeline = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(
        workers, mp_context=context, initializer=_live_while, initargs=(watched,)
    )
    try:
        yield pool
        pool.shutdown(wait=True)
    finally:
        lifeline.close()
        pool.shutdown(wait=True, cancel_futures=True)
        watched.close()


def _live_while(watched: Connection) -> None:
    """Make this worker end when the pipe breaks; interrupts are its driver's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_after, args=(watched,), daemon=True).start()


def _die_after(watched: Connection) -> None:
    try:
        watched.recv()
    except (EOFError, OSError):
        os._exit(1)
