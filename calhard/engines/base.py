"""What the pipeline asks of an engine, and how it tells how far it is."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

from calhard.engines.policy import Policy, Result, Settled, Split, Task

Results: TypeAlias = Generator[Result, None, None]
"""Results as they come; closing it ends what still computes."""

Progress = Callable[[str, int, int, int], None]
"""Called as ``progress(stage, done, total, rows)``; done and total count shards."""


class Engine(Protocol):
    """Computes tasks somewhere; the results do not depend on where, or on how many at once."""

    @property
    def name(self) -> str:
        """A short name for the manifest."""
        ...

    def map(self, function: Callable[[Task], Result], tasks: Sequence[Task]) -> Results[Result]:
        """Yield ``function(task)`` of every task, in the order of the tasks.

        ``function`` is a module-level function or a picklable callable; a task that raises ends
        the iteration with that error, and no further result is yielded. Closing the iteration ends
        the workers, whatever they are at. A task may be computed again where its worker died, and
        must not mind what it left the first time.
        """
        ...

    def run(
        self,
        function: Callable[[Task], Result],
        tasks: Sequence[Task],
        policy: Policy,
        split: Split | None = None,
    ) -> Results[Settled[Task, Result]]:
        """Yield what comes of every task, in the order of the tasks: finished, or quarantined.

        As `map`, with a policy of its own: a task that was split comes as what it was split into.
        Two tries of one task may be at work at the same time.
        """
        ...


@runtime_checkable
class KnowsMemory(Protocol):
    """An engine that can tell what its workers have."""

    def worker_memory(self) -> int | None:
        """Return the memory of each worker in bytes; None where it is not known."""
        ...
