"""A cluster on this machine's loopback alone is joined by its address, with nothing set for it."""

import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="Ray is not installed: pip install 'calhard[ray]'")

from calhard.engines.on_ray import joined
from calhard.engines.on_ray.loopback import VARIABLE, kept_to_loopback
from tests.engines.ray.conftest import ROOT
from tests.faults.fleets import write_history
from tests.submit.cluster import running

OWN = "calhard.engines.on_ray.loopback._own_address"


@pytest.fixture
def own(monkeypatch):
    """The machine's address, as the tests have it: another one of the loopback."""
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(OWN, lambda: "127.0.0.2")


def kept(host, port):
    import ray

    with kept_to_loopback(host, port) as alone:
        during = ray._private.ray_constants.ENABLE_RAY_CLUSTER, os.environ.get(VARIABLE)
    assert os.environ.get(VARIABLE) is None
    return alone, during


@pytest.mark.usefixtures("own")
def test_ray_is_kept_to_the_loopback_where_nothing_else_answers(monkeypatch):
    monkeypatch.setattr("ray._private.ray_constants.ENABLE_RAY_CLUSTER", True)
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert kept("127.0.0.1", server.getsockname()[1]) == (True, (False, "0"))
    with socket.create_server(("0.0.0.0", 0)) as server:  # as a cluster's head does
        assert kept("127.0.0.1", server.getsockname()[1]) == (False, (True, None))


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("127.0.0.1:6379", ("127.0.0.1", 6379)),
        ("[::1]:6379", ("::1", 6379)),
        ("auto", ("127.0.0.1", 6400)),
        ("10.1.2.3:6379", None),
        ("ray://127.0.0.1:10001", None),
    ],
)
def test_only_a_head_at_a_loopback_address_is_looked_at(monkeypatch, address, place):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:6400")
    assert joined._on_this_machine(address) == place


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the cluster is ended by /proc")
def test_an_audit_joins_such_a_cluster_by_its_address(tmp_path):
    history = write_history(tmp_path / "history")
    folder = Path(tempfile.mkdtemp(dir="/tmp", prefix="cl-"))  # short, for the paths of sockets
    with running(folder) as cluster:
        env = {k: v for k, v in cluster.environment.items() if k != VARIABLE}
        env["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "kernels")])
        command = [sys.executable, "-m", "calhard.cli.main", "audit", str(history), "--json"]
        options = ["--out", str(tmp_path), "--engine", "ray", "--ray-address", cluster.control]
        done = subprocess.run(
            [*command, *options],
            env=env,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["engine"] == "ray"
