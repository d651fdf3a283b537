"""Where an MLflow server is: what may be written for it, and what of it may be shown."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

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
    if not given.startswith(WEB):
        return _absolute(given), NOBODY
    address, inside = taken_apart(given)
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
        _check_host(uri, scheme)
        return
    example = "write http://HOST:PORT, https://HOST or sqlite:////ABSOLUTE/PATH/mlflow.db"
    if "://" not in uri or scheme == "file":
        raise ConfigError(
            f"{shown(uri)}: is no MLflow server (folders are none any more); {example}"
        )
    raise ConfigError(f"{shown(uri)}: is no address of an MLflow server; {example}")


def _check_host(uri: str, scheme: str) -> None:
    """Refuse an address in which no host can be found, or another one than is meant.

    Raises
    ------
    ConfigError
        It has brackets or a port that are none, no host, or a log-in that ends it too early.
    """
    try:
        parts = urlsplit(uri)
        is_whole = bool(parts.hostname or scheme not in WEB) and (parts.port or 1) > 0
    except ValueError as e:
        raise ConfigError(
            f"{shown(uri)}: is no address of an MLflow server ({_reason(e)}); "
            "write http://HOST:PORT or https://HOST"
        ) from e
    if not is_whole:
        raise ConfigError(f"{shown(uri)}: names no host; write http://HOST:PORT or https://HOST")
    if scheme in WEB and "@" in uri[len(scheme) :].replace(parts.netloc, "", 1):
        raise ConfigError(
            f"{shown(uri)}: a log-in with /, ? or # in it; write them %2F, %3F and %23, or give "
            "[mlflow] username and password"
        )


def _reason(error: ValueError) -> str:
    """What is wrong with an address, without the part that may be a password."""
    return "brackets" if "IPv6" in str(error) else "its port is no number"


def _absolute(uri: str) -> str:
    """Return a database's address that means the same from every folder.

    Raises
    ------
    ConfigError
        The folder's name cannot stand in an address.
    """
    scheme, _, rest = uri.partition(":///")
    path, mark, options = rest.partition("?")
    is_file = scheme.partition("+")[0] == "sqlite" and path and not path.startswith((":", "file:"))
    if not is_file or Path(path).is_absolute():
        return uri
    absolute = str(Path(path).absolute())
    if "?" in absolute:
        raise ConfigError(f'{shown(uri)}: lies in a folder with "?" in its name; choose another')
    return f"{scheme}:///{absolute}{mark}{options}"


def shown(uri: str) -> str:
    """Return an address without the credentials that may stand in it.

    All before the last ``@`` is left out: a password may hold what ends one in an address.
    """
    scheme, mark, rest = uri.partition("://")
    if mark and not scheme.startswith("sqlite"):
        rest = rest.rpartition("@")[2].partition("#")[0]
    return f"{scheme}{mark}{rest.partition('?')[0]}" if mark else uri.partition("?")[0]


def secrets_of(uri: str) -> tuple[str, ...]:
    """Return what stands in a database's address that no message may show."""
    scheme, _, rest = uri.partition("://")
    if scheme.startswith("sqlite"):
        log_in, after = "", rest
    else:
        log_in, _, after = rest.rpartition("@")
    password = log_in.partition(":")[2]
    options = [value for _, value in parse_qsl(after.partition("?")[2])]
    found = (password, unquote(password), *options)
    return tuple(dict.fromkeys(text for text in found if len(text) > 1))
