"""Whether Ray is here, and whether a cluster can be joined or given a job."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from urllib.parse import urlsplit

from calhard.doctor.finding import Finding, note, ok, wrong
from calhard.doctor.packages import installed
from calhard.engines.on_ray.joined import check_ray
from calhard.errors import CalhardError, ConfigError
from calhard.submit.dashboard import HOW_TO_NAME_ONE, Dashboard, is_loopback, token

LOOK = (
    "look at ray status on its head; one that listens on its own machine alone is joined there "
    "with RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0, for Ray takes 127.0.0.1 for the machine's address"
)
INSTALL = "pip install 'calhard[ray]'"
PROBE = "calhard.doctor.probe"
ANSWER_SECONDS = 120
"""A cluster's workers may have an environment to set up."""


def cluster(address: str | None) -> Iterator[Finding]:
    """Examine Ray, and the cluster at an address: a dashboard's, or one to join.

    Raises
    ------
    ConfigError
        The address is none.
    """
    if installed("ray") is None:
        told = "not installed; submit and --engine ray need it"
        yield note("ray", told, INSTALL) if address is None else wrong("ray", told, INSTALL)
        return
    try:
        check_ray()
    except ConfigError as e:
        yield _refused("ray", str(e))
        return
    yield ok("ray", version("ray"))
    if address is None:
        return
    if urlsplit(address).scheme in {"http", "https"}:
        yield from dashboard(address)
    else:
        yield from joining(address)


def dashboard(address: str) -> Iterator[Finding]:
    """Examine a cluster that jobs can be submitted to."""
    try:
        found = Dashboard.at(address, "--ray-address")
        there = found.version()
        is_open = found.is_open()
    except CalhardError as e:
        yield _refused("cluster", str(e))
        return
    here = version("ray")
    if there == here:
        yield ok("cluster", f"{found.address} answers, and runs Ray {there}")
    else:
        told = f"{found.address} runs Ray {there}, here is {here}; jobs can be submitted, "
        yield note("cluster", told + "this machine cannot join it")
    yield _guard(urlsplit(address).hostname or "", is_open=is_open)
    told = "what workers have is looked at where an audit begins, or by"
    yield note("workers", f"{told} --ray-address auto on one of the cluster's machines")


def joining(address: str) -> Iterator[Finding]:
    """Examine a cluster by joining it, in a process of its own: Ray ends one that it dislikes."""
    env = os.environ | {"RAY_AUTH_MODE": "token"} if token() else os.environ
    command = [sys.executable, "-m", PROBE, address]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=ANSWER_SECONDS, env=env
        )
    except subprocess.TimeoutExpired:
        told = f"{address}: joining it takes more than {ANSWER_SECONDS} s"
        yield wrong("cluster", told, LOOK)
        return
    lines = done.stdout.strip().splitlines()
    if done.returncode == 0 and lines:
        yield ok("cluster", lines[-1])
        yield ok("workers", "every node with processors runs the same calhard and libraries")
    elif done.returncode == 1 and lines:
        yield _refused("cluster", lines[-1])
    else:
        last = (done.stderr.strip().splitlines() or ["without a word"])[-1]
        yield wrong("cluster", f"{address}: Ray gave up ({last})", LOOK)


def _refused(name: str, message: str) -> Finding:
    """Return an error's message as a finding: what was found, then what mends it."""
    told, _, remedy = message.partition("; ")
    return wrong(name, told, remedy or "mend that, then look again")


def _guard(host: str, *, is_open: bool) -> Finding:
    if not is_open:
        return ok("token", "the cluster asks for one, and takes the one that is here")
    told = "the cluster asks for none: whoever reaches it runs code on it (CVE-2023-48022)"
    remedy = f"start it with RAY_AUTH_MODE=token, then {HOW_TO_NAME_ONE}"
    return note("token", told, remedy) if is_loopback(host) else wrong("token", told, remedy)
