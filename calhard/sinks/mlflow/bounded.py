"""A call that is waited for no longer than so many seconds, whatever it does."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


def within(seconds: float, act: Callable[[], T]) -> T:
    """Return what a call gives.

    A time-out of the network is told by each silence: a server that sends a byte now and then
    would hold its client for ever. Here the whole counts. A call that is given up goes on in a
    thread of its own, which ends with the process at the latest.

    Raises
    ------
    TimeoutError
        It is not done.
    """
    answers: SimpleQueue[tuple[T, None] | tuple[None, BaseException]] = SimpleQueue()

    def work() -> None:
        try:
            answers.put((act(), None))
        except BaseException as e:  # noqa: BLE001  # raised again where it is waited for
            answers.put((None, e))

    Thread(target=copy_context().run, args=(work,), daemon=True).start()
    try:
        value, error = answers.get(timeout=max(seconds, 0.0))
    except Empty as e:
        raise TimeoutError(f"not done within {seconds:.0f} s") from e
    if error is not None:
        raise error
    return value  # type: ignore[return-value]  # the error is None, so this is not
