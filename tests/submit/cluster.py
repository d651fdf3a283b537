"""A real Ray of one node, reachable from this machine alone, that ends with the tests."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PYTHON = Path(sys.executable)
ROOT = Path(__file__).parents[2]
PATHS = os.pathsep.join([str(ROOT), str(ROOT / "kernels")])
"""Where this calhard is found."""
PORTS = range(20_100, 29_900)
"""Ray's workers use 10002 to 19999; other tests' servers ask the system for a port."""


@dataclass(frozen=True)
class Cluster:
    """A Ray that runs."""

    address: str
    control: str
    token: Path
    session: Path

    @property
    def environment(self):
        """What a command needs to speak to it."""
        env = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
        return env | {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.token),
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # else Ray makes 127.0.0.1 another address
        }


def free_ports(count):
    """Return ports that nobody listens on, the same ones hardly ever twice."""
    found = []
    while len(found) < count:
        port = secrets.choice(PORTS)
        with socket.socket() as probe:
            if port not in found and probe.connect_ex(("127.0.0.1", port)) != 0:
                found.append(port)
    return found


@contextmanager
def running(folder):
    """Run a Ray whose files are under a folder with a short name; kill it by that folder."""
    token = folder / "token"
    handle = os.open(token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.write(handle, secrets.token_hex(32).encode())
    os.close(handle)
    names = ("port", "dashboard-port", "node-manager-port", "object-manager-port")
    names += ("ray-client-server-port", "dashboard-agent-listen-port", "metrics-export-port")
    names += ("runtime-env-agent-port", "dashboard-agent-grpc-port")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    env = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    env |= {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_USAGE_STATS_ENABLED": "0",
        "PYTHONPATH": PATHS,
        "PATH": f"{PYTHON.parent}{os.pathsep}{os.environ['PATH']}",
    }
    command = [
        PYTHON.parent / "ray",
        "start",
        "--head",
        "--num-cpus=2",
        f"--temp-dir={folder}",
        "--object-store-memory=100000000",
        "--include-dashboard=true",
        *(f"--{name}={port}" for name, port in ports.items()),
    ]
    try:
        started = subprocess.run(
            command, env=env, capture_output=True, text=True, check=False, timeout=120
        )
        assert started.returncode == 0, started.stdout + started.stderr
        yield Cluster(
            f"http://127.0.0.1:{ports['dashboard-port']}",
            f"127.0.0.1:{ports['port']}",
            token,
            folder,
        )
    finally:
        kill(folder)
        shutil.rmtree(folder, ignore_errors=True)


def processes(folder):
    """Return the processes of the Ray whose files are under a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        try:
            words = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
        except OSError:
            continue
        if os.fsencode(folder) in words:
            found.append(int(entry.name))
    return found


def kill(folder):
    """Kill the processes of a Ray until none is left."""
    for _ in range(50):
        there = processes(folder)
        if not there:
            return
        for pid in there:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.1)
