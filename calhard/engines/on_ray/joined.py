"""Joining a cluster that is there; one that lets anybody in is refused."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from ipaddress import ip_address
from typing import Any

from calhard.engines.on_ray.loopback import kept_to_loopback
from calhard.engines.on_ray.manners import nothing_on_stdout, signals_as_they_were
from calhard.errors import CalhardError, ConfigError

OLDEST = (2, 54)
CONNECT_SECONDS = 5.0
EXAMPLES = "auto, ray://head:10001, head:6379 or local"


def check_ray() -> None:
    """Refuse to work without Ray, or with one that is not safe.

    Raises
    ------
    ConfigError
        It is not installed, or older than 2.54.
    """
    try:
        found = version("ray")
    except PackageNotFoundError as e:
        raise ConfigError(
            "Ray is not installed; pip install 'calhard[ray]', or use --engine local"
        ) from e
    if tuple(int(part) for part in found.split(".")[:2]) < OLDEST:
        raise ConfigError(
            f"Ray {found} lets web pages run code through its dashboard (CVE-2026-27482); "
            "pip install -U 'ray>=2.54'"
        )


@contextmanager
def joined(address: str, *, debug: bool = False) -> Iterator[None]:
    """Be joined to the cluster at an address; leave it as it is.

    Raises
    ------
    ConfigError
        The address is none, or of a cluster that is open to whoever reaches it.
    CalhardError
        Nothing answers there.
    """
    if address != "auto":
        host, port = _parted(address)
        check_guarded(host)
        _knock(host, port, address)
    ray = import_module("ray")
    with ExitStack() as stack:
        here = _on_this_machine(address)
        if here is not None:
            stack.enter_context(kept_to_loopback(*here))
        stack.enter_context(nothing_on_stdout(debug=debug))
        stack.callback(ray.shutdown)
        with signals_as_they_were():
            _init(ray, address, debug=debug)
        if address == "auto":
            check_guarded(ray.get_runtime_context().gcs_address.rpartition(":")[0].strip("[]"))
        yield


def _on_this_machine(address: str) -> tuple[str, int] | None:
    """Host and port of a cluster's head that is named by a loopback address."""
    if address == "auto":
        told = (
            os.environ.get("RAY_ADDRESS") or import_module("ray._private.utils").read_ray_address()
        )
        if not told or "://" in told or ":" not in told:
            return None
        address = told
    if address.startswith("ray://"):  # a proxy's, which the driver speaks to alone
        return None
    host, port = _parted(address)
    return (host, port) if _is_loopback(host) else None


def _init(ray: Any, address: str, *, debug: bool) -> None:
    level = "INFO" if debug else "CRITICAL"
    try:
        ray.init(address=address, log_to_driver=debug, logging_level=level)
    except Exception as e:  # Ray raises anything
        raise CalhardError(
            f"no Ray cluster can be joined at {address} ({_sentence(e)}); look whether it runs "
            "(ray status), with the same Ray and Python and the same token as here"
        ) from e


def _sentence(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition('. ')[0]}"


def check_guarded(host: str) -> None:
    """Refuse a cluster elsewhere unless a token or certificates keep strangers out.

    Raises
    ------
    ConfigError
        Ray's token mode and its TLS are both off here.
    """
    if _is_loopback(host) or os.environ.get("RAY_USE_TLS", "0").lower() in {"1", "true"}:
        return
    if os.environ.get("RAY_AUTH_MODE", "").lower() != "token":
        raise ConfigError(
            f"the Ray cluster at {host} is spoken to in the clear and without a token, so whoever "
            "reaches it runs code on it (CVE-2023-48022); start it with RAY_AUTH_MODE=token, and "
            "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH here"
        )


def _parted(address: str) -> tuple[str, int]:
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if "://" in address and not address.startswith("ray://"):
        raise ConfigError(f"--ray-address {address}: no address of a cluster; use {EXAMPLES}")
    if not host or not port.isdecimal():
        raise ConfigError(f"--ray-address {address}: host and port are needed; use {EXAMPLES}")
    return host.strip("[]"), int(port)


def _knock(host: str, port: int, address: str) -> None:
    """Ray itself would try for minutes."""
    try:
        socket.create_connection((host, port), CONNECT_SECONDS).close()
    except OSError as e:
        raise CalhardError(
            f"--ray-address {address}: nothing answers there ({e.strerror or e}); look whether "
            "the cluster runs (ray status) and the port is the head's (6379, for ray:// 10001)"
        ) from e


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return False
