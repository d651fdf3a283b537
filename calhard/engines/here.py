"""The executor without a process of its own: one call at a time, in this one."""

from __future__ import annotations

import time
from itertools import count
from types import TracebackType
from typing import Self

from calhard.engines.executor import Call, Kind, Outcome, Ticket


class Here:
    """Computes a call when it is waited for. What kills a worker kills this process; none hangs."""

    name = "here"
    slots = 1

    def __init__(self) -> None:
        self._calls: dict[Ticket, Call] = {}
        self._ended: list[tuple[Ticket, Outcome]] = []
        self._tickets = count()

    def __enter__(self) -> Self:
        """Return the executor itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Forget what was not computed."""
        self._calls.clear()

    def start(self, call: Call) -> Ticket:
        """Remember a call."""
        ticket = next(self._tickets)
        self._calls[ticket] = call
        return ticket

    def wait(self, seconds: float | None) -> list[tuple[Ticket, Outcome]]:
        """Compute what was started, however long it takes; where nothing was, pass the time."""
        if not (self._calls or self._ended) and seconds is not None:
            time.sleep(seconds)
        calls, self._calls = self._calls, {}
        ended, self._ended = self._ended, []
        return [*ended, *((ticket, Outcome.of(call)) for ticket, call in calls.items())]

    def cancel(self, ticket: Ticket) -> None:
        """Take back a call that was not computed yet."""
        if self._calls.pop(ticket, None) is not None:
            self._ended.append((ticket, Outcome(Kind.CANCELLED)))
