"""Variables and log levels that MLflow's client reads, set for a call and put back after it.

MLflow knows no other way to be told how long to wait, to be quiet and to tell nobody. They belong
to the process: its children, and its own use of MLflow, find them as they were.
"""

from __future__ import annotations

import logging
import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock

NAME = "calhard"
"""The provider of credentials that calhard has MLflow's client ask."""
AUTH, TIMEOUT = "MLFLOW_TRACKING_AUTH", "MLFLOW_HTTP_REQUEST_TIMEOUT"
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # `Server` tries again, within bounds of its own
    "GIT_PYTHON_REFRESH": "quiet",
}
CHATTY = ("mlflow", "alembic", "urllib3.connectionpool")
"""Loggers that tell what is no news, or what an error tells again."""


@dataclass(slots=True)
class _Taken:
    """What calls under way have replaced; calls in several threads share it."""

    lock: Lock = field(default_factory=Lock)
    waits: list[float] = field(default_factory=list)
    variables: dict[str, str | None] = field(default_factory=dict)
    levels: dict[str, int] = field(default_factory=dict)


_TAKEN = _Taken()


@contextmanager
def surrounded(seconds: float) -> Iterator[None]:
    """Let MLflow's client be quiet, ask calhard who asks, and wait so long for an answer.

    The first call under way sets it, the last one puts it back. Calls at the same moment wait as
    long as the most patient of them.
    """
    with _TAKEN.lock:
        if not _TAKEN.waits:
            _take()
        _TAKEN.waits.append(seconds)
        _wait()
    try:
        yield
    finally:
        with _TAKEN.lock:
            _TAKEN.waits.remove(seconds)
            if _TAKEN.waits:
                _wait()
            else:
                _give_back()


@contextmanager
def imported() -> Iterator[None]:
    """Import MLflow without telemetry; it sets its loggers up as it does for anybody."""
    if "mlflow.tracking" in sys.modules:
        yield
        return
    before = {name: os.environ.get(name) for name in QUIET}
    os.environ.update(QUIET)
    try:
        yield
    finally:
        _put(before)


def provider_before() -> str | None:
    """Return the provider of credentials that the process names itself."""
    return _TAKEN.variables.get(AUTH)


def _take() -> None:
    wanted = QUIET | {AUTH: NAME}
    _TAKEN.variables = {name: os.environ.get(name) for name in (*wanted, TIMEOUT)}
    if _TAKEN.variables[AUTH] == NAME:  # started by another process of calhard in such a moment
        _TAKEN.variables[AUTH] = None
    os.environ.update(wanted)
    for name in CHATTY:
        logger = logging.getLogger(name)
        _TAKEN.levels[name] = logger.level
        logger.setLevel(logging.CRITICAL)


def _wait() -> None:
    os.environ[TIMEOUT] = str(math.ceil(max(_TAKEN.waits)))


def _give_back() -> None:
    _put(_TAKEN.variables)
    _TAKEN.variables = {}
    for name, level in _TAKEN.levels.items():
        logging.getLogger(name).setLevel(level)


def _put(variables: dict[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
