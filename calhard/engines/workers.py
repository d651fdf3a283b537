"""Worker processes that live no longer than the work, whatever ends it; each dies for itself.

Not a `ProcessPoolExecutor`: its workers share one pipe for their results, so one that is killed
while it writes leaves the driver waiting for ever; one that dies breaks the whole pool; and they
outlive a driver that is killed.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, Self, cast

from calhard.engines.executor import Call, Kind, Outcome, Ticket
from calhard.engines.oom import Killings
from calhard.engines.travel import computed
from calhard.errors import CalhardError

CONTEXT = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
"""A plain fork would copy the threads' locks of pyarrow and deadlock."""

WAIT_SECONDS = 10
"""For a process to end that was killed, or whose pipe broke."""


@dataclass(slots=True)
class Worker:
    """A process and the driver's end of its pipe, which is its alone."""

    process: BaseProcess
    pipe: Connection
    function: Callable[[Any], Any] | None = None
    """What it computes, sent once, with the first task."""

    def give(self, call: Call) -> None:
        """Send a call; the worker must be idle. Raises OSError if it is dead."""
        known = call.function is self.function
        self.pipe.send((None if known else call.function, call.task))
        self.function = call.function

    def kill(self) -> None:
        """End it, whatever it is at."""
        self.pipe.close()
        self.process.kill()  # also where it is stopped, or deaf to everything else
        self.process.join(WAIT_SECONDS)


class Processes:
    """Executor of worker processes, hired as they are needed; a dead one is replaced.

    They watch a pipe of which this process alone holds the other end: it breaks when this process
    closes it or dies, and they end.
    """

    name = "processes"

    def __init__(self, slots: int, preload: Sequence[str] = ()) -> None:
        self.slots = slots
        self._preload = [__name__, *preload]
        self._idle: list[Worker] = []
        self._busy: dict[Connection, tuple[Ticket, Worker]] = {}
        self._ended: list[tuple[Ticket, Outcome]] = []
        self._tickets = count()

    def __enter__(self) -> Self:
        """Open the pipe that is watched."""
        self._context: BaseContext = multiprocessing.get_context(CONTEXT)
        if CONTEXT == "forkserver":
            # Imported once, not by each worker.
            self._context.set_forkserver_preload(self._preload)
        self._watched, self._lifeline = self._context.Pipe(duplex=False)
        self._killings = Killings()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all workers, whatever they are at."""
        self._lifeline.close()
        for worker in [*self._idle, *(worker for _, worker in self._busy.values())]:
            worker.kill()
        self._watched.close()

    def start(self, call: Call) -> Ticket:
        """Give a call to an idle worker, or to a new one."""
        ticket = next(self._tickets)
        while self._idle:
            worker = self._idle.pop()
            try:
                worker.give(call)
            except OSError:  # it died while it was idle: nobody's fault
                worker.kill()
            else:
                self._busy[worker.pipe] = ticket, worker
                return ticket
        worker = self._hire()
        self._busy[worker.pipe] = ticket, worker
        with suppress(OSError):  # dead at birth: its pipe tells so
            worker.give(call)
        return ticket

    def wait(self, seconds: float | None) -> list[tuple[Ticket, Outcome]]:
        """Return what came of calls; a worker that dies is seen at once."""
        if not self._ended:
            for pipe in cast("list[Connection]", wait(list(self._busy), seconds)):
                ticket, worker = self._busy.pop(pipe)
                self._ended.append((ticket, self._outcome(worker)))
        ended, self._ended = self._ended, []
        return ended

    def cancel(self, ticket: Ticket) -> None:
        """Kill the worker of a call."""
        for pipe, (given, worker) in list(self._busy.items()):
            if given == ticket:
                del self._busy[pipe]
                worker.kill()
                self._ended.append((ticket, Outcome(Kind.CANCELLED)))

    def _hire(self) -> Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(  # type: ignore[attr-defined]  # every concrete context has it
            target=_serve, args=(theirs, self._watched), daemon=True
        )
        try:
            process.start()
        finally:
            theirs.close()
        return Worker(process, ours)

    def _outcome(self, worker: Worker) -> Outcome:
        """What a worker sent, or how it died."""
        try:
            outcome: Outcome = worker.pipe.recv()
        except (EOFError, OSError):
            worker.process.join(WAIT_SECONDS)
            return self._death(worker)
        if outcome.kind is Kind.MEMORY:  # what it still holds is held for nothing
            worker.kill()
        else:
            self._idle.append(worker)
        return outcome

    def _death(self, worker: Worker) -> Outcome:
        code = worker.process.exitcode or 0
        worker.kill()
        if code < 0:
            hungry = code == -signal.SIGKILL and self._killings.by_the_system()
            perhaps = ", perhaps since memory ran out" if code == -signal.SIGKILL else ""
            told = CalhardError(
                f"a worker process was killed ({_signal_name(-code)}){perhaps}; nothing was "
                "published. Try fewer workers (--workers 1), or a machine with more memory."
            )
            return Outcome(Kind.MEMORY if hungry else Kind.CRASH, error=told)
        told = CalhardError(
            f"a worker process ended by itself (exit code {code}); nothing was published. In a "
            'script of your own, call calhard under if __name__ == "__main__":, or with one worker.'
        )
        return Outcome(Kind.CRASH, error=told)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _serve(pipe: Connection, watched: Connection) -> None:
    """Compute what comes through the pipe; interrupts are the driver's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_die_after, args=(watched,), daemon=True).start()
    function: Callable[[Any], Any] | None = None
    with suppress(EOFError, OSError):  # the driver has gone
        while True:
            sent, task = pipe.recv()
            function = function if sent is None else sent
            if function is not None:
                pipe.send_bytes(computed(Call(function, task)))


def _die_after(watched: Connection) -> None:
    try:
        watched.recv()
    except (EOFError, OSError):
        os._exit(0)
