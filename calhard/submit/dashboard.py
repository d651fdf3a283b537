"""A cluster's dashboard: its address, whether it may be spoken to, which Ray it runs."""

from __future__ import annotations

import json
import os
import re
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from calhard.errors import CalhardError, ConfigError

OLDEST = (2, 54)
ANSWER_SECONDS = 10.0
EXAMPLE = "http://127.0.0.1:8265"
HOW_TO_NAME_ONE = (
    "set RAY_AUTH_TOKEN_PATH to a file that holds the cluster's token, or RAY_AUTH_TOKEN to the "
    "token itself"
)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A token goes where it was meant to go, and nowhere else."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        del args, kwargs


_OPENER = urllib.request.build_opener(_NoRedirect)


@dataclass(frozen=True, slots=True)
class Dashboard:
    """Where jobs are submitted."""

    address: str

    @classmethod
    def at(cls, address: str, option: str = "--address") -> Dashboard:
        """Return the dashboard at an address.

        Raises
        ------
        ConfigError
            It is no http or https address, or one at which strangers would run code as we do:
            plain http to another machine, without a token.
        """
        parts = urlsplit(address)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigError(
                f"{option} {address}: no address of a Ray dashboard; write one such as {EXAMPLE}"
            )
        found = cls(f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/"))
        if parts.scheme == "http" and not is_loopback(parts.hostname) and token() is None:
            raise ConfigError(
                f"{option} {address}: plain http to another machine without a token; whoever "
                "reaches such a cluster runs code on it (CVE-2023-48022). Reach it by an SSH "
                f"tunnel, or start it with RAY_AUTH_MODE=token, and here {HOW_TO_NAME_ONE}"
            )
        return found

    def version(self) -> str:
        """Return the version of Ray that the cluster runs.

        Raises
        ------
        CalhardError
            Nothing answers there, or something that is no Ray; or the token is missing or wrong.
        ConfigError
            It is older than 2.54.
        """
        found = str(self._told().get("ray_version", ""))
        numbers = re.match(r"(\d+)\.(\d+)", found)
        if numbers is None:
            raise CalhardError(f"{self.address}: what answers there is no Ray dashboard")
        if tuple(int(n) for n in numbers.groups()) < OLDEST:
            raise ConfigError(
                f"{self.address}: the cluster runs Ray {found}, which lets web pages run code "
                "through its dashboard (CVE-2026-27482); it must be 2.54 or newer"
            )
        return found

    def is_open(self) -> bool:
        """Return whether it lists its jobs to somebody without a token."""
        try:
            self._get("/api/jobs/", None)
        except urllib.error.HTTPError as e:
            if e.code in {401, 403}:
                return False
            raise CalhardError(f"{self.address}: {e.code} {e.reason}") from e
        return True

    def _told(self) -> dict[str, Any]:
        try:
            self._get("/api/jobs/", token())  # the version is told to anybody
            told = json.loads(self._get("/api/version", token()))
        except urllib.error.HTTPError as e:
            raise CalhardError(f"{self.address}: {_refusal(e)}") from e
        except OSError as e:
            reason = getattr(e, "reason", None) or e
            raise CalhardError(
                f"{self.address}: nothing answers there ({reason}); look whether the cluster runs "
                "and whether this is its dashboard's address (port 8265)"
            ) from e
        except ValueError:
            return {}
        return told if isinstance(told, dict) else {}

    def _get(self, path: str, known: str | None) -> bytes:
        headers = {} if known is None else {"Authorization": f"Bearer {known}"}
        request = urllib.request.Request(self.address + path, headers=headers)  # noqa: S310  # see `at`
        with _OPENER.open(request, timeout=ANSWER_SECONDS) as answer:
            content: bytes = answer.read()
        return content


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine, whatever a name server says."""
    if host == "localhost":
        return True
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return False


def token() -> str | None:
    """Return the token that Ray would use here: a variable's, a named file's, or ~/.ray's.

    Raises
    ------
    ConfigError
        The named file cannot be read.
    """
    if os.environ.get("RAY_AUTH_MODE", "").lower() == "disabled":
        return None
    if told := os.environ.get("RAY_AUTH_TOKEN", "").strip():
        return told
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    path = Path(named) if named else Path.home() / ".ray" / "auth_token"
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except (OSError, ValueError) as e:
        if named:
            raise ConfigError(f"RAY_AUTH_TOKEN_PATH={named}: cannot be read ({e})") from e
        return None


def _refusal(error: urllib.error.HTTPError) -> str:
    if error.code == 401:
        return f"the cluster asks for a token, and there is none here; {HOW_TO_NAME_ONE}"
    if error.code == 403:
        return f"the cluster refuses the token that is here; {HOW_TO_NAME_ONE}"
    return f"what answers there is no Ray dashboard ({error.code} {error.reason})"
