"""A cluster that listens on this machine's loopback alone; Ray itself would not find it there.

Ray takes 127.0.0.1 for the machine's address, at which such a cluster does not answer, and waits
for it until it ends the process.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

VARIABLE = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""By 0 Ray keeps to the loopback, on any system."""
CONNECT_SECONDS = 2.0


@contextmanager
def kept_to_loopback(host: str, port: int) -> Iterator[bool]:
    """Have Ray join a cluster at a loopback address as it listens; tell whether there alone.

    Nothing is changed where the machine's own address answers as well.
    """
    ray: Any = import_module("ray")
    constants = ray._private.ray_constants
    before, told = constants.ENABLE_RAY_CLUSTER, os.environ.get(VARIABLE)
    alone = _answers(host, port) and not _answers(_own_address(), port)
    if not alone:
        yield False
        return
    constants.ENABLE_RAY_CLUSTER = False
    os.environ[VARIABLE] = "0"
    try:
        yield True
    finally:
        constants.ENABLE_RAY_CLUSTER = before
        if told is None:
            os.environ.pop(VARIABLE, None)
        else:
            os.environ[VARIABLE] = told


def _own_address() -> str:
    """What Ray takes for this machine's address."""
    return str(import_module("ray._private.services").get_node_ip_address())


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), CONNECT_SECONDS).close()
    except OSError:
        return False
    return True
