"""Two nights of the small fleet, and the same in which only findings were kept."""

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
from calhard.plan import AuditPlan
from calhard.plan.sections import Storage
from tests.explain.nights import AS_OF_US, audit, write_history

ROOTS = [str(Path(package.__file__).parents[1]) for package in (calhard, calhard_kernels)]
COMMAND = [sys.executable, "-m", "calhard.cli.main", "explain"]
DAY_US = 86_400_000_000


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: bytes
    err: str


@pytest.fixture(scope="session")
def history(tmp_path_factory):
    return write_history(tmp_path_factory.mktemp("history"))


@pytest.fixture(scope="session")
def nights(history, tmp_path_factory):
    """Two nights; not to be written to."""
    out = tmp_path_factory.mktemp("nights")
    audit(history, out, as_of_us=AS_OF_US - 20 * DAY_US)
    return audit(history, out)


@pytest.fixture(scope="session")
def flagged(history, tmp_path_factory):
    """A night that kept the evidence and values of findings alone."""
    plan = AuditPlan(storage=Storage(keep="flagged"))
    return audit(history, tmp_path_factory.mktemp("flagged"), plan)


@pytest.fixture(scope="session")
def environment():
    """Variables with which a child process finds this calhard."""
    quiet = {k: v for k, v in os.environ.items() if k not in {"NO_COLOR", "PYTHONIOENCODING"}}
    own = {"PYTHONPATH": os.pathsep.join(ROOTS), "COLUMNS": "100", "TERM": "xterm-256color"}
    return {**quiet, **own, "PYTHONUTF8": "1"}


@pytest.fixture
def run(capsys):
    """Call calhard explain in this process."""

    def call(*args):
        capsys.readouterr()
        code = cli.main(args=["explain", *map(str, args)], prog_name="calhard")
        out, err = capsys.readouterr()
        return Ended(code or 0, out.encode(), err)

    return call


@pytest.fixture
def spawn(environment):
    """Run calhard explain in a process of its own."""

    def call(*args, **more):
        env = environment | more
        done = subprocess.run(
            [*COMMAND, *map(str, args)], env=env, capture_output=True, check=False
        )
        return Ended(done.returncode, done.stdout, done.stderr.decode())

    return call
