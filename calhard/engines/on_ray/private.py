"""A Ray of this process alone, on this machine alone: nobody else can reach it, none outlives it.

Every socket listens on the loopback; whoever connects must know a token that lies in a file that
nobody else can read; so do the session's files and logs. There is no dashboard, and no statistics
are sent to Ray's makers.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from calhard.engines.on_ray.manners import nothing_on_stdout, signals_as_they_were
from calhard.errors import CalhardError

PREFIX = "calhard-ray-"
LONGEST = 18
"""Letters of the folder for temporary files: a socket's path has 107 at most."""
ALIVE = "alive"
"""A file that the process holds locked for as long as it lives."""
STORE_BYTES = 128 * 2**20
"""Of shared memory. Results of size are in files: functions and outcomes are all that it holds."""
FORGOTTEN = ("RAY_ADDRESS", "RAY_AUTH_TOKEN", "RAY_JOB_CONFIG_JSON_ENV_VAR")
"""Variables that would lead to another cluster, or let others in."""


@contextmanager
def private_ray(
    cpus: int, gpus: float | None = None, *, store_bytes: int = STORE_BYTES, debug: bool = False
) -> Iterator[None]:
    """Run a Ray, and be joined to it; it ends with the block, or with the process.

    Ray counts the cards of the machine itself unless it is told how many there are.

    Raises
    ------
    CalhardError
        It does not start, or would listen beyond this machine.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(private_folder())
        stack.enter_context(_environment(folder))
        ray = import_module("ray")
        _made_sure()
        stack.enter_context(nothing_on_stdout(debug=debug))
        stack.callback(ray.shutdown)
        with signals_as_they_were(), _umask(0o077):
            try:
                ray.init(
                    address="local",
                    num_cpus=cpus,
                    num_gpus=gpus,
                    include_dashboard=False,
                    object_store_memory=store_bytes,
                    log_to_driver=debug,
                    logging_level="INFO" if debug else "CRITICAL",
                    _temp_dir=str(folder / "r"),
                )
            except Exception as e:  # Ray raises anything
                raise CalhardError(
                    f"Ray does not start on this machine ({type(e).__name__}: {e}); try again, or "
                    "use --engine local"
                ) from e
        if not ip_address(ray.util.get_node_ip_address()).is_loopback:
            raise CalhardError("Ray listens beyond this machine; do not import ray before calhard")
        yield


@contextmanager
def private_folder() -> Iterator[Path]:
    """Make a folder that only this user can enter; remove it and those of the dead."""
    base = Path(tempfile.gettempdir())
    if len(str(base)) > LONGEST:
        base = Path("/tmp")  # noqa: S108  # the folder in it is of this user alone
    _sweep(base)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
    handle = os.open(folder / "new", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        (folder / "new").rename(folder / ALIVE)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def _sweep(base: Path) -> None:
    """Remove the folders of processes that were killed."""
    for folder in base.glob(f"{PREFIX}*"):
        with suppress(OSError):
            handle = os.open(folder / ALIVE, os.O_WRONLY | os.O_NOFOLLOW)
            try:
                if os.fstat(handle).st_uid == os.getuid():
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(handle)


@contextmanager
def _environment(folder: Path) -> Iterator[None]:
    """Set what Ray's processes inherit; a token of this Ray alone among it."""
    token = folder / "token"
    handle = os.open(token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(secrets.token_hex(32))
    wanted: Mapping[str, str | None] = {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # every socket on the loopback
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # no warning of what we do ourselves
        "OMP_NUM_THREADS": "1",
        **dict.fromkeys(FORGOTTEN),
    }
    before = {name: os.environ.get(name) for name in wanted}
    _set(wanted)
    try:
        yield
    finally:
        _set(before)
        _forget_token()


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _made_sure() -> None:
    """Have a Ray that was imported before obey the environment as it is now."""
    constants: Any = import_module("ray._private.ray_constants")
    constants.ENABLE_RAY_CLUSTER = False
    import_module("ray._raylet").Config.initialize("")
    _forget_token()


def _forget_token() -> None:
    """Ray keeps the first token that it read, for all clusters to come."""
    raylet = sys.modules.get("ray._raylet")
    if raylet is not None:
        raylet.AuthenticationTokenLoader.instance().reset_cache()
        raylet.Config.initialize("")


@contextmanager
def _umask(bits: int) -> Iterator[None]:
    """Let Ray's processes write for this user alone."""
    before = os.umask(bits)
    try:
        yield
    finally:
        os.umask(before)
