"""Where an MLflow server is: what may be written for it, and what of it may be shown."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit, urlunsplit

from calhard.errors import ConfigError
from calhard.plan.publishing import Mlflow
from calhard.sinks.mlflow.identity import NOBODY, Identity, revealed

WEB = ("http", "https")
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")


def where(settings: Mlflow, uri: str | None = None) -> str | None:
    """Return the address of the server that is named, without credentials; None of none.

    Raises
    ------
    ConfigError
        It is no address of MLflow's.
    """
    return shown(address_of(settings, uri)[0]) if uri or settings.uri else None


def address_of(settings: Mlflow, uri: str | None) -> tuple[str, Identity]:
    """Return the address that is named, and who asks by the log-in that stands in it.

    Raises
    ------
    ConfigError
        None is named, or it is no address of MLflow's.
    """
    given = revealed(uri or settings.uri)
    if not given:
        raise ConfigError("no MLflow server is named; give --mlflow-uri, or [mlflow] uri")
    check_address(given)
    address, inside = taken_apart(given) if given.startswith(WEB) else (given, NOBODY)
    return address.rstrip("/"), inside


def taken_apart(uri: str) -> tuple[str, Identity]:
    """Return a server's address without the log-in that stands in it, and that log-in."""
    parts = urlsplit(uri)
    if "@" not in parts.netloc:
        return uri, NOBODY
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return bare, Identity(unquote(parts.username or ""), unquote(parts.password or ""))


def check_address(uri: str) -> None:
    """Refuse what is no address of a tracking server or of its database.

    Raises
    ------
    ConfigError
        It is something else; the message says what to write.
    """
    scheme = uri.partition(":")[0].partition("+")[0]
    if "://" in uri and scheme in (*WEB, *DATABASES):
        return
    example = "write http://HOST:PORT, https://HOST or sqlite:////ABSOLUTE/PATH/mlflow.db"
    if "://" not in uri or scheme == "file":
        raise ConfigError(
            f"{shown(uri)}: is no MLflow server (folders are none any more); {example}"
        )
    raise ConfigError(f"{shown(uri)}: is no address of an MLflow server; {example}")


def shown(uri: str) -> str:
    """Return an address without the credentials that may stand in it."""
    parts = urlsplit(uri)
    if not parts.scheme or "@" not in parts.netloc:
        return uri.partition("?")[0]
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
