"""Opens places that a URI names, with time-outs; what their servers say, and which of it passes."""

from __future__ import annotations

import errno
import re
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import pyarrow as pa
import pyarrow.fs as pafs

from calhard.errors import ConfigError, InputError

TIMEOUTS = {"connect_timeout": 10.0, "request_timeout": 30.0}
"""Seconds for a connection, and without a single byte; arrow's own, 1 and 3, are too short for the
completion of a large upload."""
ATTEMPTS = "max_attempts"
"""How often a request is tried in all; arrow's own are 3."""
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_ENDPOINT = "AWS_ENDPOINT_URL (or ?endpoint_override= in the URI)"
_DENIED = (
    "access denied; give credentials that may do this (AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or the machine's role)"
)
_SLOW = (
    "the server did not answer in time; run again when it does, or wait longer "
    "(?request_timeout=SECONDS in the URI)"
)
_TOLD = (
    (r"NO_SUCH_BUCKET", f"no such bucket; create it, or check its name and {_ENDPOINT}"),
    (r"ACCESS_DENIED|HTTP status 40[13]|\b403\b|SIGNATURE|INVALID_ACCESS_KEY|TOKEN", _DENIED),
    (r"curlCode: 6\b", f"the server's name is not known here; check the network and {_ENDPOINT}"),
    (
        r"curlCode: 7\b",
        f"no server answers there; start it, or check {_ENDPOINT}",
    ),
    (r"curlCode: 28\b|REQUEST_TIMEOUT", _SLOW),
    (r"curlCode: (35|58|60|77)\b", "its certificate is not trusted; give ?tls_ca_file_path=FILE"),
    (
        r"SLOW_DOWN|THROTTLING|INTERNAL_FAILURE|SERVICE_UNAVAILABLE|HTTP status 5\d\d",
        "the server failed or is overloaded; run again later",
    ),
    (r"curlCode: (52|55|56)\b", "the server ended the connection; run again when it is up"),
)
"""What stands in arrow's messages, and what a person can do; the first that fits counts."""


_PASSING = re.compile(
    r"curlCode: (7|28|52|55|56)\b|HTTP status (429|5\d\d)|NETWORK_CONNECTION|REQUEST_TIMEOUT|"
    r"SLOW_DOWN|THROTTLING|INTERNAL_FAILURE|SERVICE_UNAVAILABLE"
)
"""What stands in arrow's messages where a server did not answer, or was overloaded."""
_PASSING_NUMBERS = frozenset(
    getattr(errno, name)
    for name in (
        *("EIO", "EREMOTEIO", "ESTALE", "ETIMEDOUT", "EAGAIN"),
        *("ECONNRESET", "ECONNABORTED", "ECONNREFUSED"),
        *("ENETDOWN", "ENETUNREACH", "ENETRESET", "EHOSTDOWN", "EHOSTUNREACH"),
    )
    if hasattr(errno, name)
)
"""What a disk across a network says that is away."""


class StorageFailed(OSError):
    """Storage did not give what it should, and may a little later; the message is for a person."""


def is_uri(text: str) -> bool:
    """Return whether a text names a place on a store rather than a folder."""
    return _URI.match(text) is not None


def shown(uri: str) -> str:
    """Return a URI without the credentials that may stand in it, and without its options.

    Other texts are returned as they are.
    """
    if "://" not in uri:
        return uri
    parts = urlsplit(uri)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def open_uri(uri: str) -> tuple[pafs.FileSystem, str]:
    """Return the filesystem that a URI names, and the path in it.

    Beyond arrow's options an S3 URI may name ``request_timeout``, ``connect_timeout`` (seconds) and
    ``max_attempts``.

    Raises
    ------
    ConfigError
        An option is no positive number.
    InputError
        The URI's scheme or one of its options is unknown, or its server cannot be asked.
    """
    bare, own = _options(uri)
    try:
        filesystem, path = pafs.FileSystem.from_uri(bare)
        return _patient(filesystem, own), path
    except (pa.ArrowException, OSError, ValueError) as e:
        raise InputError(f"{shown(uri)}: cannot open the URI: {told(e)}") from e


def _options(uri: str) -> tuple[str, dict[str, float]]:
    """Take the options out of a URI that arrow does not know."""
    parts = urlsplit(uri)
    given = parse_qsl(parts.query, keep_blank_values=True)
    mine = {name: text for name, text in given if name in TIMEOUTS or name == ATTEMPTS}
    rest = [(name, text) for name, text in given if name not in mine]
    own = {name: _positive(name, text) for name, text in mine.items()}
    return (urlunsplit(parts._replace(query=urlencode(rest))) if mine else uri), own


def _positive(name: str, text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,6}", text) or not int(text):
        raise ConfigError(f"{name}={text}: is no whole number from 1; write one such as {name}=30")
    return float(text)


def _patient(filesystem: pafs.FileSystem, own: dict[str, float]) -> pafs.FileSystem:
    """Give an S3 filesystem its time-outs, which a URI cannot; others stay as they are."""
    if filesystem.type_name != "s3":
        return filesystem
    _, (options,) = filesystem.__reduce__()  # what it is pickled by: all its options by name
    attempts: dict[str, Any] = {}
    if ATTEMPTS in own:
        strategy = pafs.AwsStandardS3RetryStrategy(max_attempts=int(own[ATTEMPTS]))
        attempts["retry_strategy"] = strategy
    timeouts = {name: own.get(name, seconds) for name, seconds in TIMEOUTS.items()}
    given = {name: value for name, value in options.items() if value not in ("", None)}
    if not given.get("proxy_options", {}).get("host"):
        given.pop("proxy_options", None)
    given["allow_delayed_open"] = True  # a small object is put in one request
    return pafs.S3FileSystem(**(given | timeouts | attempts))


def is_remote(error: BaseException) -> bool:
    """Return whether an object store's client raised an error."""
    return "AWS Error" in str(error) or "curlCode" in str(error)


def passes(error: BaseException) -> bool:
    """Return whether an error of storage may be gone a little later, with nothing mended.

    A full disk, a folder that is closed or missing, and bytes that are damaged stay what they are.
    """
    if isinstance(error, StorageFailed):
        return True
    if not isinstance(error, OSError):
        return False
    if is_remote(error):
        return _PASSING.search(str(error)) is not None
    return error.errno in _PASSING_NUMBERS


def told(error: BaseException) -> str:
    """Return what a filesystem's error says, in words and with a remedy where it is known."""
    text = str(error) or type(error).__name__
    if not is_remote(error):
        return text
    words = next((words for sign, words in _TOLD if re.search(sign, text)), None)
    if words is None:
        return text.partition(" (Request ID")[0]
    during = re.search(r"during (\w+) operation", text)
    return words + (f" [{during.group(1)}]" if during else "")


def no_such(filesystem: pafs.FileSystem, path: str) -> str:
    """Return why nothing is at a path: the bucket may be the one that is missing."""
    bucket = path.partition("/")[0]
    if filesystem.type_name == "s3" and filesystem.get_file_info(bucket).type.name == "NotFound":
        return f"no such bucket; create it, or check its name and {_ENDPOINT}"
    return "no such file or folder"
