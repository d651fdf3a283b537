"""Worker processes that live no longer than the work, whatever ends it.

Not a `ProcessPoolExecutor`: its workers share one pipe for their results, so one that is killed
while it writes leaves the driver waiting for ever; and they outlive a driver that is killed.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any, Generic, cast

from calhard.engines.base import Result, Task
from calhard.errors import CalhardError

CONTEXT = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
"""A plain fork would copy the threads' locks of pyarrow and deadlock."""

WAIT_SECONDS = 10
"""For the exit code of a worker whose pipe broke."""

Outcome = tuple[bool, Any]
"""(True, result) or (False, error)."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A process and the driver's end of its pipe, which is its alone."""

    process: BaseProcess
    pipe: Connection

    def give(self, task: object) -> None:
        """Send a task; the worker must be idle."""
        try:
            self.pipe.send(task)
        except OSError as e:
            raise self._death() from e

    def take(self) -> Outcome:
        """Return what came of the task."""
        try:
            outcome: Outcome = self.pipe.recv()
        except (EOFError, OSError) as e:
            raise self._death() from e
        return outcome

    def _death(self) -> CalhardError:
        self.process.join(WAIT_SECONDS)
        code = self.process.exitcode or 0
        if code < 0:
            return CalhardError(
                f"a worker process was killed ({signal.Signals(-code).name}), perhaps since memory "
                "ran out; nothing was published. Try fewer workers (--workers 1), or a machine "
                "with more memory."
            )
        return CalhardError(
            f"a worker process ended by itself (exit code {code}); nothing was published. In a "
            'script of your own, call calhard under if __name__ == "__main__":, or with one worker.'
        )


@contextmanager
def crew(number: int, function: Callable[[Any], Any]) -> Iterator[list[Worker]]:
    """Start workers that compute ``function``; they are gone when this is left.

    They watch a pipe of which this process alone holds the other end: it breaks when this process
    closes it or dies.
    """
    context = multiprocessing.get_context(CONTEXT)
    if CONTEXT == "forkserver":
        # Imported once, not by each worker.
        context.set_forkserver_preload([__name__, function.__module__])
    watched, lifeline = context.Pipe(duplex=False)
    hired: list[Worker] = []
    try:
        for _ in range(number):
            hired.append(_hire(context, watched, function))  # noqa: PERF401  # those so far must end if one fails
        yield hired
    finally:
        lifeline.close()
        for worker in hired:
            worker.pipe.close()
            worker.process.join()
        watched.close()


def _hire(context: BaseContext, watched: Connection, function: Callable[[Any], Any]) -> Worker:
    ours, theirs = context.Pipe()
    process = context.Process(  # type: ignore[attr-defined]  # every concrete context has it
        target=_serve, args=(theirs, watched, function), daemon=True
    )
    try:
        process.start()
    finally:
        theirs.close()
    return Worker(process, ours)


def _serve(pipe: Connection, watched: Connection, function: Callable[[Any], Any]) -> None:
    """Compute what comes through the pipe; interrupts are the driver's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_after, args=(watched,), daemon=True).start()
    with suppress(EOFError, OSError):  # the driver has gone
        while True:
            pipe.send_bytes(_outcome(function, pipe.recv()))


def _outcome(function: Callable[[Any], Any], task: object) -> bytes:
    try:
        return pickle.dumps((True, function(task)))
    except Exception as e:  # noqa: BLE001  # whatever it is, the driver raises it
        return _told(e)


def _die_after(watched: Connection) -> None:
    try:
        watched.recv()
    except (EOFError, OSError):
        os._exit(0)


def _told(error: Exception) -> bytes:
    """An error as it travels; one that cannot is told in words."""
    error.add_note("In a worker process:\n" + traceback.format_exc())
    try:
        content = pickle.dumps((False, error))
        pickle.loads(content)  # noqa: S301  # our own; some errors travel one way alone
    except Exception:  # noqa: BLE001  # pickle raises anything
        plain = CalhardError(f"a worker failed with {type(error).__name__}: {error}")
        return pickle.dumps((False, plain))
    return content


@dataclass(slots=True)
class Shift(Generic[Task, Result]):
    """Tasks on their way through a crew, handed out in order, one a worker at a time."""

    tasks: Sequence[Task]
    idle: list[Worker]
    busy: dict[Connection, tuple[int, Worker]]
    outcomes: dict[int, Outcome]
    given: int = 0
    failed: bool = False

    def results(self) -> Iterator[Result]:
        """Yield the results in the order of the tasks; raise the first error in that order."""
        for turn in range(len(self.tasks)):
            self._assign()
            while turn not in self.outcomes:
                self._collect()
                self._assign()
            done, result = self.outcomes.pop(turn)
            if not done:
                raise result
            yield result

    def _assign(self) -> None:
        """Give the next tasks to idle workers; none once one has failed."""
        while self.idle and self.given < len(self.tasks) and not self.failed:
            worker = self.idle.pop()
            worker.give(self.tasks[self.given])
            self.busy[worker.pipe] = self.given, worker
            self.given += 1

    def _collect(self) -> None:
        """Wait for a result, or for a worker that died."""
        for pipe in cast("list[Connection]", wait(list(self.busy))):
            index, worker = self.busy.pop(pipe)
            done, result = worker.take()
            self.outcomes[index] = done, result
            self.failed |= not done
            self.idle.append(worker)
