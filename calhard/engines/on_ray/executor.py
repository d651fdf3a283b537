"""Executors on a cluster that is joined already: of tasks, and of actors that hold a card."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from itertools import count
from types import TracebackType
from typing import Any, Self

import ray
from ray import ObjectRef

from calhard.engines.executor import Call, Kind, Outcome, Ticket
from calhard.engines.on_ray.heart import Heart
from calhard.engines.on_ray.outcomes import ended, failed
from calhard.engines.on_ray.room import Room
from calhard.engines.on_ray.worker import Setup
from calhard.engines.oom import Killings

BEAT_SECONDS = 2.0
"""Between two looks at whether the cluster is still there."""
END_SECONDS = 30.0
"""For a worker to die that was told to; one that storage holds fast may never."""


class RayTasks:
    """Computes each call as a task of Ray, which Ray itself never tries twice.

    Parameters
    ----------
    room : how many calls at once
    setup : what makes a worker ready
    killings : tells the system's killings on this machine, where all workers are on it
    """

    name = "ray"

    def __init__(self, room: Room, setup: Setup, killings: Killings | None = None) -> None:
        self.room, self.setup, self._killings = room, setup, killings
        self._tickets = count()
        self._stuck = 0
        self._started: dict[Future[bytes], tuple[Ticket, ObjectRef[bytes]]] = {}
        self._cancelled: dict[Ticket, float] = {}
        self._ended: list[tuple[Ticket, Outcome]] = []
        self._stored: list[tuple[Callable[[Any], Any], list[ObjectRef[Any]]]] = []

    @property
    def slots(self) -> int:
        """How many calls may be under way: the cluster's room, less what is held by the stuck."""
        return max(self.room.slots - self._stuck, 1)

    def __enter__(self) -> Self:
        """Make ready."""
        self._heart = Heart()
        self._open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End everything that was started, and see it end."""
        for _, ref in self._started.values():
            self._end(ref)
        if self._started and self._heart.beats:
            wait(self._started, END_SECONDS)
        self._started.clear()
        self._close()

    def start(self, call: Call) -> Ticket:
        """Hand a call to the cluster."""
        ticket = next(self._tickets)
        ref = self._submit(self._store(call.function), call.task)
        self._started[ref.future()] = ticket, ref
        return ticket

    def wait(self, seconds: float | None) -> Sequence[tuple[Ticket, Outcome]]:
        """Return what came of calls.

        Raises
        ------
        ClusterLost
            The cluster does not answer any more.
        """
        due = None if seconds is None else time.monotonic() + seconds
        while not self._ended:
            left = BEAT_SECONDS if due is None else max(due - time.monotonic(), 0.0)
            self._gather(min(left, BEAT_SECONDS))
            self._give_up_waiting()
            if due is not None and time.monotonic() >= due:
                break
            if not self._ended:
                self._heart.check()
        told, self._ended = self._ended, []
        return told

    def cancel(self, ticket: Ticket) -> None:
        """Kill the worker of a call."""
        for given, ref in self._started.values():
            if given == ticket and ticket not in self._cancelled:
                self._cancelled[ticket] = time.monotonic()
                self._end(ref)

    def _store(self, function: Callable[[Any], Any]) -> list[ObjectRef[Any]]:
        """Put a function into the object store, once."""
        for known, stored in self._stored:
            if known is function:
                return stored
        stored = [ray.put(function)]
        self._stored.append((function, stored))
        return stored

    def _gather(self, seconds: float) -> None:
        """Wait as Python does: within ray.wait, Ray makes an exit code of its own of SIGTERM."""
        if not self._started:
            time.sleep(seconds)
            return
        for future in wait(self._started, seconds, FIRST_COMPLETED).done:
            outcome = self._outcome(future)
            ticket, ref = self._started.pop(future)
            self._release(ref, outcome)
            self._tell(ticket, outcome)

    def _outcome(self, future: Future[bytes]) -> Outcome:
        try:
            return ended(future.result())
        except ray.exceptions.RayError as e:
            starved = self._killings is not None and self._killings.by_the_system()
            return failed(e, starved=starved)

    def _tell(self, ticket: Ticket, outcome: Outcome) -> None:
        was_cancelled = self._cancelled.pop(ticket, None) is not None
        if was_cancelled and outcome.kind in {Kind.CRASH, Kind.MEMORY, Kind.LOST}:
            outcome = Outcome(Kind.CANCELLED, error=outcome.error)
        self._ended.append((ticket, outcome))

    def _give_up_waiting(self) -> None:
        """Tell calls as cancelled whose workers do not die."""
        late = time.monotonic() - END_SECONDS
        stuck = [ticket for ticket, since in self._cancelled.items() if since < late]
        for future, (ticket, _) in list(self._started.items()):
            if ticket in stuck:
                del self._started[future]
                self._stuck += 1
                self._tell(ticket, Outcome(Kind.CANCELLED))

    # What differs between tasks and actors.

    def _open(self) -> None:
        remote = ray.remote(_by_value())
        self._compute = remote.options(
            num_cpus=self.room.cpus, max_retries=0, retry_exceptions=False, name="calhard"
        )

    def _submit(self, stored: list[ObjectRef[Any]], task: Any) -> ObjectRef[bytes]:
        return self._compute.remote(self.setup, stored, task)

    def _end(self, ref: ObjectRef[bytes]) -> None:
        ray.cancel(ref, force=True)

    def _release(self, ref: ObjectRef[bytes], outcome: Outcome) -> None:
        """Nothing is held between tasks."""

    def _close(self) -> None:
        """Nothing is held."""


class RayActors(RayTasks):
    """Computes calls in actors that hold a card, or a part of one, each: CUDA starts once."""

    def _open(self) -> None:
        self._idle: list[Any] = []
        self._busy: dict[ObjectRef[bytes], Any] = {}
        compute = _by_value()

        class Calhard:
            def compute(self, setup: Setup, stored: list[ObjectRef[Any]], task: Any) -> bytes:
                return compute(setup, stored, task)

        self._actor: Any = ray.remote(Calhard).options(
            num_cpus=self.room.cpus,
            num_gpus=self.room.gpus,
            max_restarts=0,
            max_task_retries=0,
        )

    def _submit(self, stored: list[ObjectRef[Any]], task: Any) -> ObjectRef[bytes]:
        actor: Any = self._idle.pop() if self._idle else self._actor.remote()
        ref: ObjectRef[bytes] = actor.compute.remote(self.setup, stored, task)
        self._busy[ref] = actor
        return ref

    def _end(self, ref: ObjectRef[bytes]) -> None:
        ray.kill(self._busy[ref], no_restart=True)

    def _release(self, ref: ObjectRef[bytes], outcome: Outcome) -> None:
        """Keep an actor for the next call, unless it died, or holds memory for nothing."""
        actor = self._busy.pop(ref)
        if outcome.kind in {Kind.DONE, Kind.ERROR, Kind.STORAGE}:
            self._idle.append(actor)
        else:
            ray.kill(actor, no_restart=True)

    def _close(self) -> None:
        for actor in self._idle:
            ray.kill(actor, no_restart=True)
        self._idle.clear()
        self._busy.clear()


def _by_value() -> Callable[[Setup, list[ObjectRef[Any]], Any], bytes]:
    """Return what a worker runs; pickled by value, it can fail with a clear error where it must."""

    def calhard(setup: Setup, stored: list[ObjectRef[Any]], task: Any) -> bytes:
        from calhard.engines.on_ray.worker import compute

        return compute(setup, stored, task)

    return calhard
