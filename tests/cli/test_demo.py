"""``calhard demo`` and ``calhard simulate``, end to end."""

import re

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from calhard.demo import run_demo
from calhard.store import list_nights, open_night


def keys(table):
    return set(zip(table["model_id"].to_pylist(), table["class_id"].to_pylist(), strict=True))


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    return run_demo(tmp_path_factory.mktemp("demo"))


def test_the_demo_finds_all_that_lasts_but_at_most_one_and_nothing_healthy(demo):
    truth = pq.read_table(demo.out / "fleet" / "_truth.parquet")
    lasting = keys(truth.filter(pc.not_equal(truth["fault"], "transient")))
    night = open_night(demo.out)
    violations = night.table("violations")
    sure = violations.filter(pc.equal(violations["verdict"], "violated"))
    found = keys(night.table("regressions")) | keys(sure)
    assert len(lasting) > 25
    assert found <= keys(truth)
    assert len(lasting - found) <= 1
    assert (demo.found, demo.broken) == (found, keys(truth))


def test_the_demo_finds_the_common_cause(demo):
    incidents = open_night(demo.out).table("incidents").to_pylist()
    fleet = [i for i in incidents if i["scope"] == "fleet"]
    assert len(fleet) == 1
    assert set(fleet[0]["models"]) >= {f"model-{i:04d}" for i in range(8)}
    assert fleet[0]["suspected_factor"].startswith("model_version = 7.1.0")


def test_the_demo_tells_the_truth_beside_what_was_found(demo):
    told = demo.told()
    hits = len((demo.broken - demo.transient) & demo.found)
    lasting = len(demo.broken - demo.transient)
    assert told.startswith(
        f"The truth: {lasting} model-classes are broken; the audit confirmed {hits} of them "
        "and raised no false alarm.\n1 more had been off for some hours: no alarm is due.\n"
    )


def test_the_demo_ends_with_a_command_that_the_shell_finds(demo, tmp_path, monkeypatch):
    def command():
        return re.search(r"^Again +(\S+) report ", demo.told(), re.MULTILINE)[1]

    script = tmp_path / "venv" / "calhard"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(script.with_name("python")))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert command() == str(script)
    monkeypatch.setenv("PATH", str(script.parent))
    assert command() == "calhard"


def test_the_demo_can_be_run_again_in_the_same_place_and_every_path_it_names_is_there(
    run, tmp_path
):
    assert run("demo", "--out", tmp_path, "--quiet").code == 0
    ended = run("demo", "--out", tmp_path, "--quiet")
    assert (ended.code, ended.err) == (0, "")
    assert list_nights(tmp_path) == ["2026-05-31"]
    assert open_night(tmp_path).revision == 2
    named = re.findall(rf"{re.escape(str(tmp_path))}\S+", ended.out)
    assert len(named) >= 5
    assert all((tmp_path / name.rstrip(",")).exists() for name in named)
    again = run(*re.search(r"calhard (report \S+)", ended.out)[1].split())
    assert again.code == 0
    assert ended.out.startswith(again.out)


def test_simulate_writes_a_fleet_that_can_be_audited_and_says_where(run, tmp_path):
    ended = run("simulate", tmp_path / "f", "--models", 4, "--classes", 2, "--days", 3, "--seed", 5)
    assert ended.code == 0
    assert ended.out == (
        f"{tmp_path / 'f' / 'history.parquet'}: 4 models × 2 classes, 3 days; "
        f"1 broken series are listed in {tmp_path / 'f' / '_truth.parquet'}\n"
    )
    assert pq.read_metadata(tmp_path / "f" / "history.parquet").num_rows == 4 * 2 * 72
    assert run("check", tmp_path / "f").code == 0


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--models=-1", "models = -1; at least 1"),
        ("--classes=0", "classes = 0; at least 1"),
        ("--days=0", "days = 0; at least 1"),
        ("--phi=1", "phi = 1.0; between -0.95 and 0.95"),
        ("--phi=nan", "phi = nan; between -0.95 and 0.95"),
        ("--broken=nan", "broken = nan; a share between 0 and 1"),
        ("--fleet-wide=-0.1", "fleet_wide = -0.1; between 0 and 1"),
        ("--fleet-wide=0.9", "broken + fleet_wide = 1.15; at most 1"),
        ("--seed=-1", "seed = -1; at least 0"),
    ],
)
def test_what_cannot_be_simulated_ends_with_2_and_writes_nothing(run, tmp_path, option, said):
    ended = run("simulate", tmp_path / "f", option)
    assert (ended.code, ended.err) == (2, f"calhard: cannot simulate: {said}\n")
    assert not (tmp_path / "f").exists()


def test_simulate_does_not_overwrite_a_history_that_is_someones_own(run, tmp_path):
    (tmp_path / "history.parquet").write_bytes(b"precious")
    ended = run("simulate", tmp_path)
    assert ended.code == 2
    assert "was not simulated and would be lost; choose another folder" in ended.err
    assert (tmp_path / "history.parquet").read_bytes() == b"precious"
