"""FAULTS 19, 20 and 22 on whole audits: another engine, killed in the middle, the same bytes."""

import os
import select
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from calhard.engines.on_ray import RayEngine
from calhard.pipeline import run_audit
from calhard.plan import AuditPlan
from calhard.store import list_nights, open_night
from tests.engines.ray.conftest import PATHS
from tests.engines.ray.driver import FEW
from tests.engines.ray.test_private import family
from tests.faults.fleets import audit, contents, coverage, write_history
from tests.faults.sick import Sick

pytestmark = pytest.mark.slow
NAMES = [(f"m{i}", class_) for i in range(9) for class_ in ("c", "d")]


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    return write_history(tmp_path_factory.mktemp("fleet") / "history", NAMES)


@pytest.fixture(autouse=True)
def three_shards(monkeypatch):
    monkeypatch.setattr("calhard.history.open.ordered_shards", FEW)


@pytest.fixture(scope="module")
def sound(history, tmp_path_factory):
    """The files of a night of the local engine."""
    out = tmp_path_factory.mktemp("sound")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("calhard.history.open.ordered_shards", FEW)
        audit(history, out)
    return contents(out)


@dataclass
class SickRay:
    """Ray, where one model's shard kills whatever assesses it."""

    model: str

    name = "ray"

    def run(self, function, tasks, policy, split=None):
        if type(function).__name__ == "AssessShard":
            function = Sick(function, (self.model,), "crash")
        return RayEngine().run(function, tasks, policy, split)


def test_a_night_of_ray_is_that_of_the_local_engine(own_ray, history, tmp_path, sound):
    report = run_audit(history, AuditPlan(), out=tmp_path, engine=RayEngine())
    assert contents(tmp_path) == sound
    assert report.summary["engine"] == "ray"


def test_a_poison_model_is_left_out_by_name_on_ray_as_well(own_ray, history, tmp_path):
    report = run_audit(history, AuditPlan(), out=tmp_path, engine=SickRay("m4"))
    assert report.exit_code == 3
    reason = "failed to compute: a worker process died on Ray"
    assert coverage(tmp_path, "model")[1:] == [("indeterminate", reason, 1, "m4")]
    health = {r["model_id"]: r["health"] for r in open_night(tmp_path).table("health").to_pylist()}
    assert health.pop("m4") == "INSUFFICIENT"
    assert set(health.values()) == {"HEALTHY"}


def half_way(history, out, *address):
    """Start an audit on a Ray, its own by default; return it when two of three shards are done."""
    environment = os.environ | {"PYTHONPATH": PATHS}
    for name in () if address else ("RAY_ADDRESS", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"):
        environment.pop(name, None)
    command = [sys.executable, "-m", "tests.engines.ray.driver", history, out, out / "gate"]
    command += address
    driver = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    line = driver.stdout.readline()
    assert line.startswith("half 127.0.0.1:"), line
    return driver


def resumed(history, out):
    """Go on with the local engine; return how many shards were done before."""
    told = []
    audit(history, out, progress=lambda stage, done, *rest: told.append((stage, done)))
    return dict(told).get("resume")


def named(pids, word):
    """The processes among some whose program has a word in its path."""
    return [
        pid for pid in pids if word in Path(f"/proc/{pid}/cmdline").read_text().partition("\0")[0]
    ]


def test_a_driver_that_is_killed_takes_its_ray_along_and_is_gone_on_with(history, tmp_path, sound):
    driver = half_way(history, tmp_path)
    ray = family(driver.pid) - {driver.pid}
    (head,), (node,) = named(ray, "gcs_server"), named(ray, "raylet")
    handles = [os.pidfd_open(pid) for pid in (head, node)]
    driver.kill()
    assert driver.wait() == -signal.SIGKILL
    for handle in handles:
        assert select.select([handle], [], [], 60)[0] == [handle]
        os.close(handle)
    assert list_nights(tmp_path) == []
    assert resumed(history, tmp_path) == 2
    assert contents(tmp_path) == sound


def test_a_head_that_is_killed_ends_the_run_with_a_clear_message(history, tmp_path, sound):
    driver = half_way(history, tmp_path)
    (head,) = named(family(driver.pid), "gcs_server")
    os.kill(head, signal.SIGKILL)
    said, _ = driver.communicate()
    assert driver.returncode == 4
    assert said.startswith("calhard: the head of the Ray cluster (GCS at 127.0.0.1:")
    assert "does not answer; nothing was published. What was done is kept: run" in said
    assert resumed(history, tmp_path) == 2
    assert contents(tmp_path) == sound


def test_sigterm_ends_the_run_in_order_and_it_is_gone_on_with_on_ray(
    own_ray, history, tmp_path, sound
):
    import ray

    driver = half_way(history, tmp_path, ray.get_runtime_context().gcs_address)
    driver.send_signal(signal.SIGTERM)
    assert driver.wait() == 128 + signal.SIGTERM
    told = []
    tell = lambda stage, done, *rest: told.append((stage, done))  # noqa: E731
    run_audit(history, AuditPlan(), out=tmp_path, engine=RayEngine(), progress=tell)
    assert dict(told)["resume"] == 2
    assert contents(tmp_path) == sound
