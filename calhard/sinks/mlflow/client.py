"""An MLflow server as calhard speaks to it: bounded waits, and errors that a person can act on."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from calhard.errors import CalhardError, ConfigError
from calhard.plan.publishing import Mlflow
from calhard.sinks.mlflow.address import WEB, address_of, secrets_of, shown
from calhard.sinks.mlflow.bounded import within
from calhard.sinks.mlflow.errors import (
    COLLISION,
    FOREIGN,
    MISSING,
    OLD,
    TRANSIENT,
    Fault,
    MlflowFailed,
    fault_of,
)
from calhard.sinks.mlflow.identity import (
    Identity,
    asking,
    secret_variables,
    take_over,
)
from calhard.sinks.mlflow.surroundings import imported, surrounded

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

OLDEST = (3, 12)
"""Older servers hand out files and runs to anybody (CVE-2025-14279, CVE-2026-2614)."""
PAUSES = (0.5, 1.0, 2.0)
"""Seconds before a request is tried again; the last one counts for all later ones."""
COLLISIONS = 3
"""How often what collides with another publisher is tried again, whatever the settings say."""
NEVER = -1
"""Tries after the first one, of what may not be tried again whatever goes wrong."""
PATIENCE = 60.0
"""Seconds that failures may cost in all; after that nothing is tried again."""
WHOLE = 4.0
"""A whole answer may take so many time-outs: one that comes by the letter never is silent."""


@dataclass(slots=True)
class Server:
    """An MLflow server or database that answered.

    Parameters
    ----------
    client : MLflow's client; each call of it is tried again where that may help, and raises
        `MlflowFailed` else
    version : of the server
    shown : its address, without credentials
    """

    uri: str
    shown: str
    settings: Mlflow
    identity: Identity = field(repr=False)
    version: str = ""
    lost: float = 0.0
    """Seconds that failures have cost."""
    until: float | None = None
    """The moment of `time.monotonic` at which whoever waits gives up."""
    _client: Any = field(default=None, repr=False)

    @property
    def client(self) -> MlflowClient:
        """MLflow's client, with this server's bounds around every call."""
        return cast("MlflowClient", _Guarded(self, self._client))

    @property
    def once(self) -> MlflowClient:
        """The same client that tries nothing again: who asks must look before asking again."""
        return cast("MlflowClient", _Guarded(self, self._client, again=False))

    @property
    def bare(self) -> MlflowClient:
        """MLflow's client without bounds: for what `call` is given."""
        return cast("MlflowClient", self._client)

    @property
    def is_web(self) -> bool:
        """Whether it is a server, not a database."""
        return self.uri.startswith(WEB)

    @property
    def is_lost(self) -> bool:
        """Whether failures have cost so much that nothing is tried again."""
        return self.lost + PAUSES[0] > PATIENCE

    def call(
        self, doing: str, act: Callable[[], Any], *, again: bool = True, more: float = 0.0
    ) -> Any:
        """Return what a request gives, within `longest` seconds whatever the server does.

        Parameters
        ----------
        doing : what a message calls it, such as ``search_runs``
        again : whether it may be tried again
        more : seconds that it may take longer, as an upload does

        Raises
        ------
        MlflowFailed
            It failed, as often as was tried; the message names server, failure and remedy.
        """
        most = self.settings.retries if again else NEVER
        return self._tried(doing, lambda: self._bounded(act, more), 0, most)

    def _tried(self, doing: str, act: Callable[[], Any], tried: int, most: int) -> Any:
        began = time.monotonic()
        try:
            return act()
        except CalhardError:
            raise
        except Exception as e:  # whatever a client meets that strangers answer
            self.lost += time.monotonic() - began
            fault = fault_of(e, self._secrets)
            pause = PAUSES[min(tried, len(PAUSES) - 1)]
            is_over = self.lost + pause > PATIENCE or self._left() <= pause
            is_collision = fault.code == COLLISION and most != NEVER
            enough = max(most, COLLISIONS) if is_collision else most
            if tried >= enough or is_over or fault.code not in TRANSIENT:
                raise MlflowFailed(fault.told(self.shown, doing), fault.code) from e
        self.lost += pause
        time.sleep(pause)
        return self._tried(doing, act, tried + 1, most)

    @property
    def _secrets(self) -> tuple[str, ...]:
        """What no message may show."""
        return (*self.identity.secrets, *secret_variables(), *secrets_of(self.uri))

    def _bounded(self, act: Callable[[], Any], more: float) -> Any:
        silence = self.settings.timeout_seconds + more
        with asking(self.identity, self.uri), surrounded(silence):
            return within(min(self.longest + more, self._left()), act)

    @property
    def longest(self) -> float:
        """Seconds within which a request is answered in full or given up.

        It is `WHOLE` time-outs, or what is left of `PATIENCE`, but one time-out at least. A
        database, which knows no time-out and is sometimes brought up to date first, has `PATIENCE`.
        """
        silence = self.settings.timeout_seconds
        whole = WHOLE * silence if self.is_web else PATIENCE
        return max(silence, min(whole, PATIENCE - self.lost))

    def _left(self) -> float:
        """Seconds that may still be waited."""
        return math.inf if self.until is None else self.until - time.monotonic()


class _Guarded:
    """A client whose every method is called by `Server.call`."""

    def __init__(self, server: Server, client: Any, *, again: bool = True) -> None:
        self._server, self._client, self._again = server, client, again

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        if not callable(method):
            return method

        def guarded(*args: Any, **kwargs: Any) -> Any:
            return self._server.call(name, lambda: method(*args, **kwargs), again=self._again)

        return guarded


def connect(
    settings: Mlflow,
    *,
    uri: str | None = None,
    identity: Identity | None = None,
    seconds: float | None = None,
) -> Server:
    """Return a server that answers and is new enough.

    Parameters
    ----------
    uri : wins over the settings'
    identity : who asks, if not whom the settings name
    seconds : the longest that all calls together may take; by default each of them has the bound
        of its own alone, `Server.longest`

    Raises
    ------
    ConfigError
        No address is given or it is none of MLflow's, or MLflow is not installed.
    MlflowFailed
        Nothing answers there, what answers is no MLflow, or one that is too old.
    """
    address, inside = address_of(settings, uri)
    check_mlflow()
    take_over()
    who = identity or Identity.of(settings.username, settings.password, settings.token)
    who = who if who.is_named else inside
    until = None if seconds is None else time.monotonic() + seconds
    server = Server(address, shown(address), settings, who, until=until)
    server.version = _version(server)
    server._client = server.call("", lambda: _open(server.uri))
    return server


def check_mlflow() -> None:
    """Refuse to go on without MLflow.

    Raises
    ------
    ConfigError
        It is not installed, or too old.
    """
    from importlib.metadata import PackageNotFoundError, version

    try:
        with imported():
            import mlflow.tracking  # noqa: F401

        here = version("mlflow")
    except (ImportError, PackageNotFoundError) as e:
        raise ConfigError("MLflow is not installed; pip install 'calhard[mlflow]'") from e
    if numbers(here) < OLDEST:
        least = ".".join(map(str, OLDEST))
        raise ConfigError(f"MLflow {here} is too old; pip install -U 'mlflow>={least}'")


def numbers(version: str) -> tuple[int, ...]:
    """Return the numbers that a version begins with: (3, 17, 2) of 3.17.2rc0."""
    found = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def _version(server: Server) -> str:
    """Return the version of a server that answers and is new enough."""
    if not server.is_web:
        from mlflow.version import VERSION

        return str(VERSION)
    try:
        told = str(server.call("", lambda: _asked(server.uri))).strip()
    except MlflowFailed as e:
        if e.code != MISSING:
            raise
        told = ""
    if not re.fullmatch(r"\d+\.\d+[\w.+-]*", told):
        raise MlflowFailed(Fault(FOREIGN).told(server.shown, ""), FOREIGN)
    if numbers(told) < OLDEST:
        least = ".".join(map(str, OLDEST))
        message = f"MLflow at {server.shown}: version {told} is too old; calhard needs {least}"
        raise MlflowFailed(f"{message} or newer; upgrade the server", OLD)
    return told


def _asked(uri: str) -> str:
    """What the server says of its version."""
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.request_utils import augmented_raise_for_status
    from mlflow.utils.rest_utils import http_request

    answer = http_request(get_default_host_creds(uri), "/version", "GET")  # type: ignore[no-untyped-call]  # as MLflow has it
    augmented_raise_for_status(answer)  # type: ignore[no-untyped-call]  # likewise
    return str(answer.text)


def _open(uri: str) -> Any:
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)
