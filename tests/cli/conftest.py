"""The command line, called in this process or in one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import calhard
import calhard_kernels
from calhard.cli.main import cli
from calhard.simulate import FleetSpec, write_fleet

ROOTS = [str(Path(package.__file__).parents[1]) for package in (calhard, calhard_kernels)]
COMMAND = [sys.executable, "-m", "calhard.cli.main"]


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(capsys):
    """Call a command in this process."""

    def call(*args):
        capsys.readouterr()
        code = cli.main(args=[str(a) for a in args], prog_name="calhard")
        return Ended(code or 0, *capsys.readouterr())

    return call


@pytest.fixture(scope="session")
def environment():
    """Variables with which a child process finds this calhard."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(ROOTS), "COLUMNS": "100", "TERM": "xterm"}


@pytest.fixture
def spawn(environment):
    """Run a command in a process of its own."""

    def call(*args, **more):
        settings = {"env": environment, "text": True, "stderr": subprocess.PIPE}
        settings |= {} if "stdout" in more else {"stdout": subprocess.PIPE}
        done = subprocess.run([*COMMAND, *map(str, args)], **{**settings, **more}, check=False)
        return Ended(done.returncode, done.stdout or "", done.stderr or "")

    return call


@pytest.fixture(scope="session")
def healthy(tmp_path_factory):
    """A history in which nothing is wrong."""
    return write_fleet(FleetSpec(models=3, classes=1, broken=0.0), tmp_path_factory.mktemp("well"))


@pytest.fixture(scope="session")
def broken(tmp_path_factory):
    """A history in which one model of four has a step of 6 sd."""
    return write_fleet(FleetSpec(models=4, classes=1), tmp_path_factory.mktemp("ill"))


@pytest.fixture(scope="session")
def nights(broken, tmp_path_factory):
    """A published night with a finding; not to be written to."""
    out = tmp_path_factory.mktemp("nights")
    assert cli.main(args=["audit", str(broken), "--out", str(out), "-q"]) == 1
    return out
