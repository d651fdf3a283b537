"""Audits submitted to a real Ray on this machine, which asks for a token."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import calhard
from calhard.errors import CalhardError
from calhard.simulate import FleetSpec, write_fleet

pytest.importorskip("ray", reason="Ray is not installed: pip install 'calhard[ray]'")

from calhard.submit.dashboard import Dashboard
from calhard.submit.jobs import Jobs, NightRuns
from calhard.submit.order import Order
from calhard.submit.wheel import own_wheel
from tests.submit.cluster import PATHS, running

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("pip", path=str(Path(sys.executable).parent)) is None,
        reason="Ray installs wheels with pip, and this environment has none",
    ),
]
SPEC = FleetSpec(models=8, classes=2, days=36, cadence="daily", broken=0.5, seed=3)
"""A fleet with confirmed findings."""


@pytest.fixture(scope="module")
def cluster():
    # pytest's folders have names too long for Ray's sockets.
    with running(Path(tempfile.mkdtemp(prefix="calhard-"))) as found:
        yield found


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fleet")
    write_fleet(SPEC, folder)
    return folder


@pytest.fixture(scope="module")
def jobs(cluster):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_TOKEN_PATH", str(cluster.token))
        yield Jobs.of(Dashboard.at(cluster.address))


def started(cluster, *words, folder, **variables):
    env = cluster.environment | {"PYTHONPATH": PATHS, **variables}
    return subprocess.Popen(
        [sys.executable, "-m", "calhard.cli.main", "submit", *words, "--address", cluster.address],
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def submit(cluster, *words, folder, **variables):
    process = started(cluster, *words, folder=folder, **variables)
    out, err = process.communicate(timeout=240)
    return subprocess.CompletedProcess(words, process.returncode, out, err)


def tables(out):
    return {p.name: p.read_bytes() for p in out.rglob("*.parquet")}


def held(jobs, order):
    """Have a job that bears an order's name and does nothing for long."""
    name = order.submission_id
    jobs.client.submit_job(entrypoint="sleep 600", submission_id=name)
    return name


def test_a_night_from_afar_is_the_night_from_here_and_its_exit_code_comes_back(
    cluster, history, tmp_path
):
    here = calhard.audit(history, out=tmp_path / "here", workers=1)
    assert here.exit_code == 1
    plan = tmp_path / "calhard.toml"
    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    plan.write_text(f'[calibration.hardening.mlflow]\nuri = "{store}"\n')
    words = (str(history), "--out", "there", "--config", "calhard.toml")
    # Ray's own variable would send the job elsewhere.
    done = submit(cluster, *words, folder=tmp_path, RAY_ADDRESS="http://127.0.0.1:9")
    assert done.returncode == 1, done.stderr
    assert f"night {here.night} of fleet default: job calhard-default-" in done.stderr
    assert "Running entrypoint" in done.stderr
    assert str(tmp_path / "there") in done.stdout
    assert tables(tmp_path / "there") == tables(tmp_path / "here")
    (receipt,) = (tmp_path / "there" / ".mlflow").rglob("*.json")
    run = json.loads(receipt.read_text())["run_id"]
    assert f"night {here.night} is in MLflow: run {run} in {store}" in done.stdout

    again = submit(cluster, *words, "--json", "--exit-zero", folder=tmp_path)
    assert again.returncode == 0, again.stderr
    assert f"{here.night}-2 submitted" in again.stderr
    summary = json.loads(again.stdout)
    assert (summary["night"], summary["exit_code"]) == (here.night, 1)


def test_a_night_that_is_at_work_is_not_submitted_twice(cluster, jobs, history, tmp_path):
    plan = calhard.AuditPlan(fleet="held")
    order = Order(str(history), str(tmp_path), plan, 1_780_272_000_000_000)
    name = held(jobs, order)
    try:
        words = (str(history), "--out", "nights", "--fleet", "held")
        words += ("--as-of", "2026-06-01T00:00Z")
        done = submit(cluster, *words, folder=tmp_path)
        assert done.returncode == 75, done.stderr
        assert f"by the job {name}" in done.stderr
        assert "sleep 600" in done.stderr
        assert f"ray job logs --follow --address {cluster.address} {name}" in done.stderr
        assert not (tmp_path / "nights").exists()
        with pytest.raises(NightRuns, match="sleep 600"):
            jobs.submit(order, tmp_path / "none.whl", tmp_path)
    finally:
        jobs.stop(name)
    assert jobs.client.get_job_status(name) == "STOPPED"
    ended = jobs.follow(name, str, str)
    assert ended.code == 4
    assert "was stopped" in ended.told


def test_ctrl_c_leaves_the_job_and_says_how_to_go_on(cluster, jobs, history, tmp_path):
    name = interrupted(cluster, history, tmp_path, "--fleet", "left")
    written = []
    ended = jobs.follow(name, written.append, written.append)
    assert (ended.code, ended.told) == (1, None), "".join(written)
    assert (tmp_path / "nights" / "nights").is_dir()


def test_ctrl_c_stops_the_job_where_that_is_asked_for(cluster, jobs, history, tmp_path):
    name = interrupted(cluster, history, tmp_path, "--fleet", "left behind", "--stop-on-interrupt")
    assert jobs.client.get_job_status(name) == "STOPPED"
    assert not (tmp_path / "nights" / "nights").exists()
    words = (str(history), "--out", "nights", "--fleet", "left behind", "--quiet")
    done = submit(cluster, *words, folder=tmp_path)
    assert done.returncode == 1, done.stderr
    assert jobs.client.get_job_status(f"{name}-2") == "FAILED"  # to Ray, for it ended with 1
    assert (tmp_path / "nights" / "nights").is_dir()


def interrupted(cluster, history, folder, *words):
    """Submit, and press Ctrl-C as soon as the job is there; return its name."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:  # where tests run in the background, a shell has had them ignore it
        process = started(cluster, str(history), "--out", "nights", *words, folder=folder)
    finally:
        signal.signal(signal.SIGINT, before)
    line = process.stderr.readline()
    assert "submitted" in line, line + process.stderr.read()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    name = line.split(": job ")[1].split()[0]
    assert process.returncode == 130, err
    stopped = f"job {name} stopped; submit it again" in err
    left = f"job {name} goes on without you" in err and "ray job logs --follow" in err
    assert stopped is ("--stop-on-interrupt" in words)
    assert left is not stopped
    return name


@pytest.mark.parametrize("way", ["address", "control"])
def test_the_doctor_finds_the_cluster_well_and_without_the_token_says_so(cluster, tmp_path, way):
    words = ("doctor", "--json", "--ray-address", getattr(cluster, way))
    env = cluster.environment | {"PYTHONPATH": PATHS, "HOME": str(tmp_path)}
    found = examined(words, env)
    assert [found[name]["state"] for name in ("ray", "cluster")] == ["ok", "ok"]
    assert found["token" if way == "address" else "workers"]["state"] == "ok"
    if way == "control":
        assert "1 node, 2 CPUs" in found["cluster"]["told"]
    del env["RAY_AUTH_TOKEN_PATH"]
    found = examined(words, env)
    assert found["cluster"]["state"] == "wrong"
    assert "token" in found["cluster"]["told"]


def examined(words, env):
    done = subprocess.run(
        [sys.executable, "-m", "calhard.cli.main", *words],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    told = json.loads(done.stdout)
    assert done.returncode == (0 if told["sound"] else 1), done.stderr
    return {each["name"]: each for each in told["findings"]}


def test_only_an_audits_exit_codes_are_passed_on(jobs):
    expected = {
        "exit 0": (0, None),
        "exit 3": (3, None),
        "exit 75": (75, None),
        "exit 9": (4, "failed with exit code 9"),
        "kill -9 $$": (4, "failed with exit code -9"),
    }
    names = {
        command: jobs.client.submit_job(entrypoint=f"echo begun; {command}") for command in expected
    }
    for command, (code, told) in expected.items():
        ours, rays = [], []
        ended = jobs.follow(names[command], ours.append, rays.append)
        assert ended.code == code, command
        assert "".join(ours) == "begun\n", command
        assert "Running entrypoint" in "".join(rays)
        assert (ended.told is None) if told is None else (told in ended.told)


def test_a_job_runs_the_calhard_that_was_sent(jobs, tmp_path):
    name = jobs.client.submit_job(
        entrypoint="python -c 'import calhard, calhard_kernels as k; print(k.__file__)'",
        runtime_env={"py_modules": [str(own_wheel(tmp_path))]},
    )
    ours, rays = [], []
    assert jobs.follow(name, ours.append, rays.append).code == 0, "".join(rays)
    assert "/runtime_resources/py_modules_files/" in "".join(ours)


def test_a_cluster_lets_nobody_in_without_its_token(cluster, monkeypatch, tmp_path):
    dashboard = Dashboard.at(cluster.address)
    assert not dashboard.is_open()
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(CalhardError, match="asks for a token"):
        Jobs.of(dashboard)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "of another cluster")
    with pytest.raises(CalhardError, match="refuses the token"):
        Jobs.of(dashboard)


def test_the_ray_of_these_tests_listens_on_this_machine_alone(cluster):
    host, port = cluster.control.split(":")
    with socket.create_connection((host, int(port)), 2):
        pass
    outside = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None)}
    for address in outside - {"127.0.0.1", "127.0.1.1", "::1"}:
        with socket.socket() as probe:
            assert probe.connect_ex((address, int(port))) != 0
    assert cluster.token.stat().st_mode & 0o077 == 0
