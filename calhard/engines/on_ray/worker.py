"""What runs in a worker of Ray: make it ready once, then compute as every worker does."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from calhard.engines.executor import Call
from calhard.engines.on_ray.versions import Versions, check_versions, versions
from calhard.engines.travel import computed

if TYPE_CHECKING:
    from ray import ObjectRef


@dataclass(frozen=True, slots=True)
class Setup:
    """How a worker is made ready."""

    versions: Versions
    """The driver's."""
    folder: str
    """Where the driver works: relative paths mean the same on every worker."""
    umask: int | None = None
    """The driver's, where Ray itself runs under another."""
    gpus: float = 0.0
    """Cards, or the part of one, that it may use."""

    def make_ready(self) -> None:
        """Make this process ready.

        Raises
        ------
        CalhardError
            It runs another calhard than the driver, or other libraries.
        """
        check_versions(self.versions, versions(), socket.gethostname())
        if self.umask is not None:
            os.umask(self.umask)
        with suppress(OSError):  # a folder of the driver's machine alone
            os.chdir(self.folder)
        _one_thread()
        if self.gpus <= 0:
            os.environ["CUDA_VISIBLE_DEVICES"] = ""  # Ray leaves every card visible
        elif self.gpus < 1:
            _limit_memory(self.gpus)


@dataclass(frozen=True, slots=True)
class Shipped:
    """A function in the object store, computed once this process is ready."""

    setup: Setup
    stored: ObjectRef[Callable[[Any], Any]]

    def __call__(self, task: Any) -> Any:
        """Compute a task."""
        return _here(self)(task)


_ready: list[Shipped] = []
_functions: list[Callable[[Any], Any]] = []
"""The last function alone, with what it was shipped as: a worker serves one stage at a time."""


def _here(shipped: Shipped) -> Callable[[Any], Any]:
    """Return a function; fetched and unpickled once, not with every task."""
    if _ready != [shipped]:
        import ray

        if [other.setup for other in _ready] != [shipped.setup]:
            shipped.setup.make_ready()
        _functions[:] = [ray.get(shipped.stored)]
        _ready[:] = [shipped]
    return _functions[0]


def compute(setup: Setup, stored: list[ObjectRef[Callable[[Any], Any]]], task: Any) -> bytes:
    """Return the pickled outcome of a task; ``stored`` is in a list so that Ray leaves it alone."""
    return computed(Call(Shipped(setup, stored[0]), task))


@cache
def _one_thread() -> None:
    """Ray counts processors, and sets OMP_NUM_THREADS by it; Arrow has pools of its own."""
    import pyarrow as pa

    pa.set_cpu_count(1)


@cache
def _limit_memory(share: float) -> None:
    """Keep to a part of a card's memory, which Ray shares out without guarding it."""
    with suppress(ImportError):
        import_module("cupy").get_default_memory_pool().set_limit(fraction=share)
