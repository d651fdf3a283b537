"""Experiments are audited as any other history is: twice alike, resumable, without leftovers."""

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import calhard
import calhard_kernels
from calhard.cli.main import cli
from calhard.engines import LocalEngine
from calhard.pipeline import run_audit
from calhard.sources import fetched
from calhard.sources.folder import own_folder
from tests.sources.teams import DAY, END, START, Team

ROOTS = [str(Path(package.__file__).parents[1]) for package in (calhard, calhard_kernels)]


def log_fleet(team):
    """Log 40 days of three models in long runs; one of them breaks five days before the end."""
    rng = np.random.default_rng(11)
    for model in ("churn", "fraud", "shop"):
        points = []
        for day in range(40):
            broken = 0.05 if model == "fraud" and day >= 35 else 0.0
            for key, level in (("aece/a", 0.02 + broken), ("aece/b", 0.03), ("dece/a", 0.01)):
                value = level + rng.normal(0, 0.001)
                points.append((key, value, START + day * DAY, day))
        team.run(points, tags={"model_id": model}, ended=False)


@pytest.fixture(scope="module")
def night(server, tmp_path_factory):
    """Audit a fleet in MLflow; return team and folder."""
    team = Team(server, "nights")
    log_fleet(team)
    out = tmp_path_factory.mktemp("nights")
    calhard.audit(team.source, team.plan(), out=out, workers=1)
    return team, out


def content(out):
    """The bytes of a night's files, without what only tells how long it took."""
    (night,) = (out / "nights").iterdir()
    found = {}
    for path in sorted(p for p in night.rglob("*") if p.is_file()):
        data = path.read_bytes()
        if path.suffix == ".json":
            told = json.loads(data)
            told.pop("timings")
            for file in told.get("files", []):
                if file["name"] == "summary.json":
                    file.clear()
            data = json.dumps(told)
        found[str(path.relative_to(night))] = data
    return found


def test_a_broken_model_is_found_and_the_night_names_its_source(night):
    team, out = night
    (folder,) = (out / "nights").iterdir()
    summary = json.loads((folder / "summary.json").read_text())
    manifest = json.loads((folder / "manifest.json").read_text())
    assert summary["source"] == manifest["source"] == "mlflow:nights"
    assert team.server.uri not in (folder / "manifest.json").read_text()
    assert pq.read_table(folder / "regressions.parquet")["model_id"].unique().to_pylist() == [
        "fraud"
    ]
    last = datetime.fromtimestamp((END - DAY) / 1_000, tz=UTC)
    assert summary["as_of"] == last.isoformat()
    assert not (out / ".sources").exists()


def test_the_same_content_gives_the_same_night(night, tmp_path):
    team, out = night
    calhard.audit(team.source, team.plan(), out=tmp_path, workers=1)
    assert content(tmp_path) == content(out)


def test_a_published_night_is_told_with_what_changed_in_the_experiment(night, tmp_path, capsys):
    team, out = night
    at = datetime.fromtimestamp((END - DAY) / 1_000, tz=UTC).isoformat()
    command = ["audit", team.source, "--out", str(out), "--as-of", at]
    config = tmp_path / "calhard.toml"
    source = "[calibration.hardening.mlflow.source]\n"
    config.write_text(source)
    os.environ["MLFLOW_TRACKING_URI"] = team.server.uri
    assert cli.main([*command, "--config", str(config)]) == 1
    told = capsys.readouterr().err
    assert "is published already; --force audits it again" in told
    config.write_text(f"{source}metrics.dece = 'none'\n")
    assert cli.main([*command, "--config", str(config)]) == 1
    assert "is published already, from another input; --force" in capsys.readouterr().err


def test_check_says_what_an_audit_would_cover(night, capsys):
    team, _ = night
    assert cli.main(["check", team.source, "--mlflow-uri", team.server.uri]) == 0
    told = capsys.readouterr()
    assert told.out.startswith("mlflow:nights: sound\n")
    assert "sorted: streamed in one pass" in told.out
    assert "models     3 with 6 model-classes" in told.out
    assert "event=fetching runs=3 of=3 rows=240" in told.err
    assert "View run" not in told.out + told.err
    assert cli.main(["check", team.source, "--mlflow-uri", team.server.uri, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["source"] == "mlflow:nights"


class Ended(Exception):
    """What ends an audit in a test."""


def test_an_audit_that_died_is_gone_on_with_from_a_fetch_of_the_same_content(night, tmp_path):
    team, out = night

    def end(stage, *_):
        if stage == "judge":
            raise Ended

    told = []
    with fetched(team.source, team.plan(), out=tmp_path) as source, pytest.raises(Ended):
        run_audit(source, team.plan(), out=tmp_path, engine=LocalEngine(1), progress=end)
    with fetched(team.source, team.plan(), out=tmp_path) as source:
        tell = lambda *args: told.append(args)  # noqa: E731
        run_audit(source, team.plan(), out=tmp_path, engine=LocalEngine(1), progress=tell)
    assert told[0][:3] == ("resume", 1, 1)
    assert content(tmp_path) == content(out)


def test_a_fetch_that_ends_halfway_leaves_nothing(night, tmp_path):
    team, _ = night

    def end(*_):
        raise Ended

    with pytest.raises(Ended), fetched(team.source, team.plan(), out=tmp_path, progress=end):
        pass
    assert list(tmp_path.iterdir()) == []


KILLED = """
import sys, time
from calhard.sources import fetched
from calhard.plan import AuditPlan
plan = AuditPlan.model_validate({"mlflow": {"uri": sys.argv[2]}})
def tell(*_):
    print("half", flush=True)
    time.sleep(600)
with fetched(sys.argv[1], plan, out=sys.argv[3], progress=tell):
    pass
"""


def test_what_a_killed_fetch_leaves_is_never_used_and_swept_by_the_next(night, tmp_path):
    team, out = night
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(ROOTS)}
    command = [sys.executable, "-c", KILLED, team.source, team.server.uri, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
        assert child.stdout.readline() == "half\n"
        with own_folder(tmp_path):
            assert len(list((tmp_path / ".sources").iterdir())) == 2  # a living one is left alone
        child.send_signal(signal.SIGKILL)
    (left,) = (tmp_path / ".sources").iterdir()
    assert not list(left.glob("*.parquet"))
    calhard.audit(team.source, team.plan(), out=tmp_path, workers=1)
    assert not (tmp_path / ".sources").exists()
    assert content(tmp_path) == content(out)
