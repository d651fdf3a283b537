"""What `calhard submit` refuses before anything is sent, and with which exit code."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.submit.served import ray, serving

ROOT = Path(__file__).parents[2]
NEEDS = ("history", "--out", "nights", "--address")


@pytest.fixture
def submit(tmp_path):
    """Run the command in an empty folder, with nobody's token."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    env |= {"PYTHONPATH": f"{ROOT}:{ROOT / 'kernels'}", "HOME": str(tmp_path)}

    def run(*words):
        return subprocess.run(
            [sys.executable, "-m", "calhard.cli.main", "submit", *words],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return run


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((*NEEDS, "auto"), "no address of a Ray dashboard"),
        ((*NEEDS, "http://10.255.255.1:8265"), "CVE-2023-48022"),
        ((*NEEDS, "http://127.0.0.1:9", "--as-of", "yesterday"), "no ISO instant"),
        ((*NEEDS, "http://127.0.0.1:9", "--wheel", "none.whl"), "none.whl"),
        ((*NEEDS, "http://127.0.0.1:9", "--fleet", ""), "--fleet is empty"),
        (("history", "--out", "nights"), "--address"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(submit, words, told):
    done = submit(*words)
    assert done.returncode == 2
    assert told in done.stderr
    assert done.stdout == ""


def test_a_cluster_that_is_not_there_is_a_failure(submit):
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'calhard[ray]'")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        done = submit(*NEEDS, f"http://127.0.0.1:{free.getsockname()[1]}")
    assert done.returncode == 4
    assert "nothing answers there" in done.stderr


def test_an_old_cluster_and_a_missing_history_are_told(submit):
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'calhard[ray]'")
    with serving(ray("2.53.0")) as (address, _):
        done = submit(*NEEDS, address)
    assert done.returncode == 2
    assert "CVE-2026-27482" in done.stderr
    with serving(ray()) as (address, _):
        done = submit(*NEEDS, address)
    assert done.returncode == 4
    assert "name the audit's moment: --as-of" in done.stderr


def test_a_fleet_that_is_switched_off_is_not_submitted(submit, tmp_path):
    (tmp_path / "off.toml").write_text("[calibration.hardening]\nenabled = false\n")
    done = submit(*NEEDS, "http://127.0.0.1:9", "--config", "off.toml")
    assert done.returncode == 0
    assert "nothing was submitted" in done.stdout
