"""Keeps Ray, which takes a program for its own, from this one's signals and its stdout."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any


@contextmanager
def signals_as_they_were() -> Iterator[None]:
    """Have SIGTERM handled as before; Ray would exit with a code of its own."""
    main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if main:
            signal.signal(signal.SIGTERM, handler)


@contextmanager
def nothing_on_stdout(*, debug: bool) -> Iterator[None]:
    """Drop what Ray prints of workers that died, or of their logs; to stderr with ``debug``.

    It prints to stdout, where a report or summary.json is expected. The loop tells what matters.
    """
    worker: Any = import_module("ray._private.worker")
    printed = worker.print_to_stdstream

    def elsewhere(data: dict[str, Any], ignore_prefix: bool) -> None:
        if debug:
            printed({**data, "is_err": True}, ignore_prefix)

    worker.print_to_stdstream = elsewhere
    try:
        yield
    finally:
        worker.print_to_stdstream = printed
