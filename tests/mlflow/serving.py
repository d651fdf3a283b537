"""A real `mlflow server` on the loopback, one per process of tests, that serves all of them.

Every test uses a fleet, an experiment and models of its own name.
"""

import atexit
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

STARTS_WITHIN = 90.0
GUARD = '("$@"; kill -9 0) < /dev/null & cat > /dev/null; kill -9 0'
"""Ends its group of processes when a command ends, or when nobody holds stdin any more."""
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # no further processes
    "GIT_PYTHON_REFRESH": "quiet",
}


@dataclass(frozen=True)
class Running:
    """A server: its address, its folder, its process."""

    uri: str
    folder: Path
    process: subprocess.Popen

    @property
    def log(self):
        return (self.folder / "server.log").read_text(errors="replace")

    def stop(self):
        """End the server and the workers that it started: its own group of processes, no other."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def start(folder, *options, **variables):
    """Start a server on sqlite with proxied artifacts in a folder; further options of its own."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
    command += ["--artifacts-destination", str(folder / "artifacts"), *options]
    theirs = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            ["sh", "-c", GUARD, "sh", *command],
            cwd=folder,
            env=theirs | QUIET | variables,
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
    running = Running(f"http://127.0.0.1:{port}", folder, process)
    atexit.register(running.stop)
    _wait(running)
    return running


def _wait(running):
    """Wait until it answers."""
    until = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < until:
        if running.process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{running.uri}/health", timeout=5):
                return
        except urllib.error.HTTPError:
            return  # it asks for a log-in
        except OSError:
            time.sleep(0.1)
    running.stop()
    raise RuntimeError(f"no mlflow server within {STARTS_WITHIN:.0f} s:\n{running.log[-4000:]}")


@cache
def shared():
    """Start the one server of this process; it ends with it."""
    folder = Path(tempfile.mkdtemp(prefix="calhard-mlflow-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return start(folder)


@pytest.fixture(scope="session")
def server():
    """A real server that all tests share: `.uri`; each uses names of its own in it."""
    pytest.importorskip("mlflow", reason="mlflow is not installed")
    return shared()


@pytest.fixture
def settings(server):
    """Settings that name the shared server."""
    from calhard.plan.publishing import Mlflow

    return Mlflow(uri=server.uri)


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    """No MLflow settings of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
