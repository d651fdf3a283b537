"""What the loop asks of whatever computes: start a call, wait, cancel. It never tries again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Any, Protocol, Self

from calhard.uri import passes

Ticket = int
"""Names a started call; no executor gives the same one twice."""


class Kind(StrEnum):
    """How a call ended."""

    DONE = "done"
    ERROR = "error"
    """The task raised an exception: it would do so again."""
    CRASH = "crash"
    """Its worker died, by itself or by a signal."""
    MEMORY = "out of memory"
    """A MemoryError, or a worker that the system killed for want of memory."""
    LOST = "lost"
    """Its worker or node is gone, through no fault of the task."""
    STORAGE = "storage failed"
    """Storage failed the task in a way that may pass: `uri.passes`."""
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Call:
    """``function(task)``, both picklable; results of size are left in files by the function."""

    function: Callable[[Any], Any]
    task: Any

    def __call__(self) -> Any:
        """Compute it here."""
        return self.function(self.task)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a call: its value, or the error that tells a person why there is none."""

    kind: Kind
    value: Any = None
    error: Exception | None = None

    @classmethod
    def of(cls, call: Call) -> Outcome:
        """Compute a call in this process."""
        try:
            return cls(Kind.DONE, call())
        except MemoryError as e:
            return cls(Kind.MEMORY, error=e)
        except Exception as e:  # noqa: BLE001  # whatever it is, the loop decides
            return cls(Kind.STORAGE if passes(e) else Kind.ERROR, error=e)


class Executor(Protocol):
    """Computes up to ``slots`` calls at once, entered before and left after its use.

    Whatever ends its use ends what it computes. No call is tried twice by itself.
    """

    @property
    def name(self) -> str:
        """A short name."""
        ...

    @property
    def slots(self) -> int:
        """How many calls may have been started whose outcome was not told yet."""
        ...

    def start(self, call: Call) -> Ticket:
        """Begin a call."""
        ...

    def wait(self, seconds: float | None) -> Sequence[tuple[Ticket, Outcome]]:
        """Return the outcomes of calls that ended, each once, as soon as there is one.

        None after ``seconds``; None waits without end.
        """
        ...

    def cancel(self, ticket: Ticket) -> None:
        """End a call, even one that hangs; `wait` tells its outcome, CANCELLED as a rule.

        Of a call that ended already, told or not, nothing changes.
        """
        ...

    def __enter__(self) -> Self:
        """Make ready."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End everything that was started."""
        ...
