"""How many calls a cluster computes at once."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import ray

from calhard.errors import CalhardError

LOOK_SECONDS = 5.0
"""Between two looks: nodes come and go."""


def alive_nodes() -> list[dict[str, Any]]:
    """Return what Ray tells of the nodes that are alive."""
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]  # as Ray has it
    return [node for node in nodes if node["Alive"]]


class Room:
    """Counts calls of so many processors, and cards, that fit on the nodes that are alive.

    Parameters
    ----------
    cpus, gpus : what each call takes
    at_most : no more; where the cluster grows on demand, so many are begun, and it grows
    """

    def __init__(
        self,
        cpus: float = 1.0,
        gpus: float = 0.0,
        at_most: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.cpus, self.gpus, self._at_most = cpus, gpus, at_most
        self._clock = clock
        self._looked = -math.inf
        self._fit = 0

    @property
    def slots(self) -> int:
        """How many calls may be under way; one at least, for which the cluster may grow."""
        if self._at_most is not None:
            return self._at_most
        if self._clock() - self._looked >= LOOK_SECONDS:
            self._looked, self._fit = self._clock(), self._count()
        return max(self._fit, 1)

    def check(self) -> None:
        """Look whether a cluster that does not grow has room at all.

        Raises
        ------
        CalhardError
            No node has the processors or cards that one call takes.
        """
        if self._at_most is None and self._count() == 0:
            raise CalhardError(
                f"no node of the Ray cluster has {self.cpus:g} CPU and {self.gpus:g} GPU for a "
                "worker; add nodes, or name with --workers how many the cluster shall grow to"
            )

    def memory(self) -> int | None:
        """Return the memory of a call in bytes, on the node that has least; None without nodes.

        It is what Ray tells that a node has, in the proportion of the processors.
        """
        nodes = [node["Resources"] for node in alive_nodes()]
        shares = [
            int(has["memory"] * self.cpus / has["CPU"])
            for has in nodes
            if "memory" in has and self._on(has)
        ]
        return min(shares) if shares else None

    def _count(self) -> int:
        return sum(self._on(node["Resources"]) for node in alive_nodes())

    def _on(self, has: dict[str, Any]) -> int:
        fit = [int(has.get("CPU", 0) // self.cpus)]
        if self.gpus > 0:
            fit.append(int(has.get("GPU", 0) // self.gpus))
        return min(fit)
