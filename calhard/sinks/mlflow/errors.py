"""What MLflow's client, requests or a database raise, told to a person: what happened, a remedy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from calhard.errors import PublishError

UNREACHABLE, TIMEOUT, FAILS = "UNREACHABLE", "TIMEOUT", "FAILS"
COLLISION = "COLLISION"
DENIED, FORBIDDEN, HOST, TLS = "DENIED", "FORBIDDEN", "HOST", "TLS"
FOREIGN, OLD, PLACE = "FOREIGN", "OLD", "PLACE"
MISSING, EXISTS = "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS"
TRANSIENT = frozenset({UNREACHABLE, TIMEOUT, FAILS, COLLISION})
"""What may be better the next moment."""
LONGEST = 300
"""Characters of a server's own words."""
_CODES = {
    "UNAUTHENTICATED": DENIED,
    "CUSTOMER_UNAUTHORIZED": DENIED,
    "PERMISSION_DENIED": FORBIDDEN,
    "INTERNAL_ERROR": FAILS,
    "TEMPORARILY_UNAVAILABLE": FAILS,
    "DEADLINE_EXCEEDED": FAILS,
    "REQUEST_LIMIT_EXCEEDED": FAILS,
    "RESOURCE_EXHAUSTED": FAILS,
    "NOT_FOUND": MISSING,
    "ENDPOINT_NOT_FOUND": FOREIGN,
    "ALREADY_EXISTS": EXISTS,
}
_STATUS = {401: DENIED, 403: FORBIDDEN, 404: MISSING, 408: FAILS, 429: FAILS}
_NO_JSON = re.compile(r"was successful but the response body was not in a valid JSON")
_STRANGE = re.compile(r"not in a valid JSON format|<!doctype html|<html", re.IGNORECASE)
"""What is said of an answer that is none of MLflow's."""
_HOST = re.compile(r"Invalid Host header|DNS rebinding", re.IGNORECASE)
_COLLISION = re.compile(r"UNIQUE constraint|duplicate key|Duplicate entry|database is locked")
"""Two wrote the same at the same moment, and the database let one of them wait or fail."""
_HTTP = re.compile(r"too many (\d{3}) error responses|failed with error code (\d{3})")
_KEYS = "[calibration.hardening.mlflow]"
_TOLD = {
    UNREACHABLE: "no MLflow server answers there; start it, or check the address",
    TIMEOUT: f"does not answer in time; try again later, or set {_KEYS} timeout_seconds higher",
    FAILS: "the server fails; look at its log, or try again later",
    COLLISION: "others write the same at the same moment; try again",
    DENIED: f"refuses who asks (401); set {_KEYS} username and password, or token",
    FORBIDDEN: "the account may not do this (403); give it EDIT on the experiment, or use another",
    HOST: "refuses the name by which it is addressed (403); start it with --allowed-hosts",
    TLS: "its certificate is not trusted; set MLFLOW_TRACKING_SERVER_CERT_PATH to its authority's",
    FOREIGN: "what answers there is no MLflow server, or a log-in page is before it; check the "
    "address, and give credentials",
    PLACE: "the store cannot be read or written; check its folder and its room",
}


class MlflowFailed(PublishError):
    """MLflow does not do what it is asked for; the message is for a person.

    ``code`` is one of this module's, or MLflow's own, such as ``RESOURCE_DOES_NOT_EXIST``.
    """

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Fault:
    """What went wrong: a code, and what the server said of it."""

    code: str
    words: str = ""

    def told(self, shown: str, doing: str) -> str:
        """Return it for a person: where, what was being done, what happened, what mends it."""
        where = f"MLflow at {shown}: {doing}" if doing else f"MLflow at {shown}"
        known = _TOLD.get(self.code)
        says = f" ({self.words})" if self.words and known else self.words
        return f"{where}: {known or ''}{says}"


def fault_of(error: BaseException, secrets: tuple[str, ...] = ()) -> Fault:
    """Return what an exception means; no secret is in its words."""
    chain = list(_chain(error))
    text = "\n".join(map(str, chain))
    asked = (code for link in chain if (code := _of_requests(link, str(link))))
    code = next(asked, None) or next((code for link in chain if (code := _code(link))), None)
    if _HOST.search(text):
        code = HOST
    elif code != EXISTS and _COLLISION.search(text):
        code = COLLISION
    elif _NO_JSON.search(text) or (code in {None, MISSING} and _STRANGE.search(text)):
        code = FOREIGN
    words = "" if code in {UNREACHABLE, TIMEOUT, FOREIGN, HOST} else _words(error)
    for secret in secrets:
        words = words.replace(secret, "********")
    return Fault(code or "UNEXPECTED", words)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield what led to an error, the first cause first."""
    before = error.__cause__ or error.__context__
    if before is not None and before is not error:
        yield from _chain(before)
    yield error


def _code(error: BaseException) -> str | None:
    text = str(error)
    return _of_requests(error, text) or _of_mlflow(error, text) or _of_store(error)


def _of_requests(error: BaseException, text: str) -> str | None:
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return _of_status(error.response.status_code)
    if isinstance(error, requests.exceptions.SSLError):
        return TLS
    if isinstance(error, requests.Timeout) or "Read timed out" in text:
        return TIMEOUT
    if isinstance(error, requests.exceptions.JSONDecodeError):
        return FOREIGN
    if isinstance(error, requests.exceptions.RetryError):
        return FAILS
    return UNREACHABLE if isinstance(error, requests.RequestException) else None


def _of_status(status: int) -> str:
    return _STATUS.get(status, FAILS if status >= 500 else f"HTTP {status}")


def _of_mlflow(error: BaseException, text: str) -> str | None:
    from mlflow.exceptions import MlflowException

    if not isinstance(error, MlflowException):
        return None
    status = _HTTP.search(text)
    if status is not None:
        return _of_status(int(status[1] or status[2]))
    return _CODES.get(error.error_code, str(error.error_code))


def _of_store(error: BaseException) -> str | None:
    """A database or a folder on this machine."""
    if isinstance(error, TimeoutError):
        return TIMEOUT
    is_database = type(error).__module__.partition(".")[0] in {"sqlalchemy", "sqlite3"}
    return PLACE if isinstance(error, OSError) or is_database else None


def _words(error: BaseException) -> str:
    """The first line of what an error says."""
    text = " ".join((str(error) or type(error).__name__).split("\n", 1)[0].split())
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
