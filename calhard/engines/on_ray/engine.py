"""The engine of a Ray cluster, or of a Ray of one's own on this machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self, cast

from calhard.engines.base import Results
from calhard.engines.local import usable_cores
from calhard.engines.loop import Loop
from calhard.engines.on_ray.joined import check_ray, joined
from calhard.engines.on_ray.private import private_ray
from calhard.engines.on_ray.versions import versions
from calhard.engines.on_ray.worker import Setup
from calhard.engines.oom import Killings
from calhard.engines.policy import Finished, Policy, Result, Settled, Split, Task
from calhard.errors import ConfigError

if TYPE_CHECKING:
    from calhard.engines.on_ray.executor import RayTasks


@dataclass(slots=True)
class RayEngine:
    """Maps tasks over a Ray cluster; results are those of the local engine, byte for byte.

    Ray is started or joined with the first task, and left when the engine is closed or the process
    ends. What workers read and write must be where all nodes see it.

    Parameters
    ----------
    address : str, optional
        ``auto`` (the cluster that this machine or job is part of), ``ray://host:port``,
        ``host:port``; without one, or by ``local``, a Ray of its own on this machine, reachable by
        nobody else. Where the program has joined Ray itself, that cluster is used, and left alone.
    workers : int, optional
        Calls at once; as many as fit by default. Name a number where the cluster grows on demand.
    cpus_per_task : float
        Processors that Ray sets aside for a call.
    gpus : float
        Cards, or the part of one, for each worker: calls go to actors that hold them.
    debug : bool
        Show what Ray logs.
    """

    address: str | None = None
    workers: int | None = None
    cpus_per_task: float = 1.0
    gpus: float = 0.0
    debug: bool = False
    _stack: ExitStack = field(default_factory=ExitStack, init=False, repr=False)
    _killings: Killings | None = field(default=None, init=False, repr=False)
    _umask: int | None = field(default=None, init=False, repr=False)
    _is_ours: bool = field(default=False, init=False, repr=False)
    _checked: bool = field(default=False, init=False, repr=False)

    @property
    def name(self) -> str:
        """``ray``."""
        return "ray"

    def __enter__(self) -> Self:
        """Return the engine itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the cluster; end it if it is our own."""
        self.close()

    def close(self) -> None:
        """Leave the cluster; end it if it is our own."""
        self._stack.close()

    def map(self, function: Callable[[Task], Result], tasks: Sequence[Task]) -> Results[Result]:
        """Yield ``function(task)`` of every task, in the order of the tasks.

        Raises
        ------
        CalhardError
            Workers died of a task time and again, or the cluster is lost. Whatever a task raises
            ends the iteration, and the other workers at once.
        """
        for settled in self.run(function, tasks, Policy()):
            yield cast("Finished[Task, Result]", settled).value

    def run(
        self,
        function: Callable[[Task], Result],
        tasks: Sequence[Task],
        policy: Policy,
        split: Split | None = None,
    ) -> Results[Settled[Task, Result]]:
        """Yield what comes of every task under a policy, in the order of the tasks."""
        if tasks:
            with self.executor() as executor:
                yield from Loop(executor, function, tasks, policy, split).results()

    def worker_memory(self) -> int | None:
        """Return the least of the nodes' memories by processor, times what a call takes of those.

        None on a cluster that has no node yet.
        """
        self._join()
        from calhard.engines.on_ray.room import Room

        return Room(self.cpus_per_task, self.gpus, self.workers).memory()

    def executor(self) -> RayTasks:
        """Return where tasks are computed; Ray is started or joined if need be.

        Raises
        ------
        ConfigError
            There is no Ray, or one that is not safe.
        CalhardError
            It does not start or answer, or no worker can run what this process runs.
        """
        self._join()
        from calhard.engines.on_ray.executor import RayActors, RayTasks
        from calhard.engines.on_ray.nodes import check_nodes
        from calhard.engines.on_ray.room import Room

        room = Room(self.cpus_per_task, self.gpus, self.workers)
        room.check()
        if not self._checked:
            check_nodes()
            self._checked = True
        setup = Setup(versions(), os.getcwd(), self._umask, self.gpus)  # noqa: PTH109  # as text
        return (RayActors if self.gpus > 0 else RayTasks)(room, setup, self._killings)

    def _join(self) -> None:
        check_ray()
        if _is_joined():
            if not self._is_ours and self.address not in {None, "local", "auto"}:
                raise ConfigError(
                    f"address {self.address}: this program has joined a Ray already; leave the "
                    "address out, or call ray.shutdown() before"
                )
            return
        self._stack.close()
        self._is_ours = True
        if self.address in {None, "local"}:
            cores = self.workers or usable_cores()
            self._umask = _umask()
            self._stack.enter_context(private_ray(cores, debug=self.debug))
            self._killings, self._checked = Killings(), True
        else:
            self._stack.enter_context(joined(str(self.address), debug=self.debug))


def _is_joined() -> bool:
    """Whether this process is joined to a cluster already."""
    ray = sys.modules.get("ray")
    return ray is not None and ray.is_initialized()


def _umask() -> int:
    """Return this process's umask, which can only be told by setting it."""
    umask = os.umask(0o077)
    os.umask(umask)
    return umask
