"""Whether the cluster's head still answers: Ray itself ends the process a minute after it died."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import ray

from calhard.engines.on_ray.outcomes import ClusterLost

PATIENCE_SECONDS = 20.0
"""A head that is restarted with its state kept answers again within seconds."""
CONNECT_SECONDS = 2.0


class Heart:
    """Looks at the head's control store (GCS) by connecting to it; a Ray Client has none to see."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        address: tuple[str, int] | None = None,
    ) -> None:
        self._clock = clock
        self._seen = clock()
        self._address = address or _control_store()

    def check(self) -> None:
        """Look whether the head answers.

        Raises
        ------
        ClusterLost
            It has not for some time.
        """
        now = self._clock()
        if self.beats:
            self._seen = now
        elif now - self._seen > PATIENCE_SECONDS:
            raise ClusterLost(f"the head of the Ray cluster (GCS at {self._text}) does not answer")

    @property
    def beats(self) -> bool:
        """Whether it answers now."""
        if self._address is None:
            return True
        try:
            socket.create_connection(self._address, CONNECT_SECONDS).close()
        except OSError:
            return False
        return True

    @property
    def _text(self) -> str:
        host, port = self._address or ("", 0)
        return f"{host}:{port}"


def _control_store() -> tuple[str, int] | None:
    if ray.util.client.ray.is_connected():  # type: ignore[no-untyped-call]  # as Ray has it
        return None
    host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
    return host.strip("[]"), int(port)
