"""Who asks an MLflow server: credentials that go with a request, not with the process.

MLflow's client takes credentials from variables of the process alone. Two identities, one that
reads and one that acts, live here side by side: every request asks, in its own context, who it is
of. Where the configuration names nobody, MLflow's own variables count as they always do.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from calhard.errors import ConfigError
from calhard.plan.secret import Secret
from calhard.sinks.mlflow.surroundings import NAME, provider_before


@dataclass(frozen=True, slots=True, repr=False)
class Identity:
    """A log-in, or a token; neither where the configuration names none."""

    username: str | None = None
    password: str | None = None
    token: str | None = None

    @classmethod
    def of(
        cls,
        username: str | Secret | None,
        password: str | Secret | None,
        token: str | Secret | None,
    ) -> Identity:
        """Return the identity that a configuration names; secrets are read now.

        Raises
        ------
        ConfigError
            A username without a password, both a log-in and a token, or a secret that is not there.
        """
        found = cls(revealed(username), revealed(password), revealed(token))
        if (found.username is None) != (found.password is None):
            raise ConfigError("MLflow: username and password go together; give both, or neither")
        if found.username is not None and found.token is not None:
            raise ConfigError("MLflow: give username and password, or a token, not both")
        return found

    @property
    def is_named(self) -> bool:
        """Whether there is any."""
        return self.username is not None or self.token is not None

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no message may show."""
        return tuple(text for text in (self.password, self.token) if text)


NOBODY = Identity()
_ASKING: ContextVar[tuple[Identity, str]] = ContextVar("asking", default=(NOBODY, ""))


@contextmanager
def asking(identity: Identity, uri: str) -> Iterator[None]:
    """Send requests of this context in someone's name, to one server.

    Another one that the server names, for artifacts, is asked without credentials.
    """
    mark = _ASKING.set((identity, place_of(uri)))
    try:
        yield
    finally:
        _ASKING.reset(mark)


def place_of(uri: str) -> str:
    """Return host and port of a server as one writes them who writes all the same way.

    Capitals count for nothing, a name in letters beyond ASCII is its name in the DNS, and where no
    port is given it is the scheme's.
    """
    parts = urlsplit(uri)
    host = (parts.hostname or "").rstrip(".")
    if not host.isascii():
        from idna import IDNAError, encode

        with suppress(IDNAError):
            host = encode(host, uts46=True).decode()
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return f"{host}:{port}" if host else ""


def revealed(text: str | Secret | None) -> str | None:
    """Return a text, or the secret that it refers to.

    Raises
    ------
    ConfigError
        The secret is not there.
    """
    try:
        return text.reveal() if isinstance(text, Secret) else text
    except ValueError as e:
        raise ConfigError(f"MLflow: {e}") from e


def secret_variables() -> tuple[str, ...]:
    """Return what MLflow's own variables hold that no message may show."""
    found = (os.environ.get(f"MLFLOW_TRACKING_{name}") for name in ("PASSWORD", "TOKEN"))
    return tuple(text for text in found if text)


def take_over() -> None:
    """Have MLflow's client ask `asking` for credentials, where `surrounded` names calhard to it."""
    from mlflow.tracking.request_auth.registry import _request_auth_provider_registry, fetch_auth

    if any(known.get_name() == NAME for known in _request_auth_provider_registry):
        return

    class Provider:
        """What MLflow asks, by its name."""

        def get_name(self) -> str:
            return NAME

        def get_auth(self) -> Callable[[Any], Any]:
            before = provider_before()
            if before and not _ASKING.get()[0].is_named:
                theirs: Callable[[Any], Any] = fetch_auth(before)  # type: ignore[no-untyped-call]  # as MLflow has it
                return theirs
            return signed

    _request_auth_provider_registry.register(Provider)  # type: ignore[no-untyped-call]  # as MLflow has it


def signed(request: Any) -> Any:
    """Put the credentials of this context on a request; leave MLflow's own where there are none."""
    from requests.auth import HTTPBasicAuth
    from requests.utils import get_netrc_auth

    who, host = _ASKING.get()
    if host and place_of(request.url) != host:
        request.headers.pop("Authorization", None)
        return request
    if who.username is not None and who.password is not None:
        return HTTPBasicAuth(who.username.encode(), who.password.encode())(request)
    if who.token is not None:
        request.headers["Authorization"] = f"Bearer {who.token}"
    if "Authorization" not in request.headers and (known := get_netrc_auth(request.url)):
        return HTTPBasicAuth(*known)(request)
    return request
