"""Baselines pinned from a night: what they hold, versions and the one in force, audits by them."""

import json
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from calhard.cli.main import cli
from calhard.cli.submit import _checked
from calhard.errors import ConfigError, InputError
from calhard.history import read_baseline
from calhard.plan import AuditPlan
from calhard.plan.sections import Storage
from calhard.registry.baselines import Shelf, choose_baseline, pin_night
from calhard.registry.baselines.pin import pinnable, plan_of, put_into_force
from calhard.registry.baselines.send import send_baseline
from calhard.registry.baselines.shelf import BaselineInProgress
from calhard.registry.baselines.values import Selection
from calhard.sinks.mlflow.client import connect
from calhard.store import open_night, place_of
from tests.baseline.fleets import audit, evidence, group, series, violated
from tests.store.remote import bucket

__all__ = ["bucket"]

METRICS = ("aece", "dece", "alpha", "clamp_rate", "merged_bin_rate")
ALL = Selection("reference", METRICS)


def clock():
    return datetime(2026, 6, 1, 3, tzinfo=UTC)


def history():
    """Three models: one that drifts, one that does not, one that is constant."""
    noisy = {"noise": 1e-3}
    return pa.concat_tables(
        [
            group("c", {"aece": series(0.012, 0.025, **noisy), "alpha": series(1, 1)}, "drifts"),
            group(
                "c", {"aece": series(0.02, 0.02, seed=1, **noisy), "alpha": series(1, 1)}, "stays"
            ),
            group("d", {"aece": series(0.03, 0.03), "alpha": series(0.9, 0.9)}, "stays"),
        ]
    )


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audited")
    audit(folder, history())
    return folder


@pytest.fixture
def nights(audited, tmp_path):
    """Nights of its own for a test."""
    out = tmp_path / "nights"
    subprocess.run(["cp", "-r", str(audited / "nights"), str(out)], check=True)
    return out


def pin(out, chosen=ALL, **more):
    return pin_night(out, open_night(out), chosen, clock=clock, **more)


def rows(version):
    return {(r["model_id"], r["class_id"]): r for r in version.table.to_pylist()}


def test_an_audit_by_the_pinned_reference_says_what_one_without_a_pin_says(audited, nights):
    found = read_baseline(pin(nights).version.place, AuditPlan())
    assert found.table.num_rows == 3
    again = audited / "again"
    again.mkdir()
    pq.write_table(pin(nights).version.table, again / "pins.parquet")
    free = open_night(audited / "nights")
    pinned = audit(again, history(), pq.read_table(again / "pins.parquet"))
    assert violated(pinned) == violated(free) == {("c", "aece"): "low"}
    (one,), (other,) = (
        [v for v in n.table("violations").to_pylist() if v["window"] == "week"]
        for n in (free, pinned)
    )
    assert other["drift"] == pytest.approx(one["drift"], rel=1e-12)
    assert other["standard_error"] == pytest.approx(one["standard_error"], rel=1e-9)
    assert other["baseline_value"] == one["baseline_value"]


def test_both_windows_errors_make_the_error_of_the_drift(nights):
    night = open_night(nights)
    key = ("drifts", "c")
    table = night.table("evidence").to_pylist()
    row = next(r for r in table if (r["model_id"], r["metric"]) == ("drifts", "aece"))
    reference = rows(pin(nights).version)[key]["aece_standard_error"]
    week = rows(pin(nights, Selection("analysis", METRICS)).version)[key]
    assert week["aece"] == row["week_value"]
    assert np.hypot(reference, week["aece_standard_error"]) == pytest.approx(
        row["week_standard_error"], rel=1e-9
    )


def test_what_is_not_chosen_keeps_its_value_unless_fresh(nights):
    first = rows(pin(nights).version)
    chosen = Selection("analysis", ("aece",), models=("drif*",))
    done = pin(nights, chosen)
    second = rows(done.version)
    assert (done.rows, done.carried, done.version.number) == (1, 2, 2)
    assert second["drifts", "c"]["aece"] == pytest.approx(0.025, abs=1e-4)
    assert second["drifts", "c"]["alpha"] == first["drifts", "c"]["alpha"] == 1.0
    assert {k: second[k] for k in second if k[0] == "stays"} == {
        k: first[k] for k in first if k[0] == "stays"
    }
    assert done.version.about["onto"] == 1
    alone = rows(pin(nights, chosen, fresh=True).version)
    assert alone == {
        ("drifts", "c"): {k: v for k, v in second["drifts", "c"].items() if "alpha" not in k}
    }


def test_versions_never_change_and_the_same_again_is_the_one_that_is_there(nights):
    first = pin(nights)
    before = first.version.place.read_bytes()
    again = pin(nights)
    assert (again.version, again.is_new) == (first.version, False)
    second = pin(nights, Selection("analysis", METRICS), note="a new level")
    assert pin(nights, Selection("analysis", METRICS)).version == second.version
    shelf = Shelf.of(nights)
    assert [v.number for v in shelf.versions()] == [1, 2]
    assert shelf.in_force() == second.version
    assert put_into_force(nights, 1, clock=clock).version == first.version
    assert shelf.in_force() == first.version
    assert first.version.place.read_bytes() == before
    assert json.loads((nights / "baselines" / "in-force.json").read_text())["version"] == 1
    assert [p.name for p in sorted((nights / "baselines").iterdir())] == [
        first.version.place.name,
        second.version.place.name,
        "in-force.json",
    ]


def test_what_cannot_be_pinned_is_refused_and_nothing_is_written(nights):
    for chosen, told in (
        (
            Selection("reference", ("score_range_violations",)),
            "cannot be pinned; a baseline can hold",
        ),
        (Selection("reference", METRICS, models=("nobody",)), "no audited series is chosen"),
    ):
        with pytest.raises(ConfigError, match=told):
            pin(nights, chosen)
    assert Shelf.of(nights).versions() == []
    assert Shelf.of(nights).in_force() is None


def test_a_night_that_keeps_flagged_series_alone_cannot_be_pinned(tmp_path):
    audit(tmp_path, history(), plan=AuditPlan(storage=Storage(keep="flagged")))
    with pytest.raises(ConfigError, match="keeps the evidence of flagged series alone"):
        pin(tmp_path / "nights")


def test_a_declared_metric_is_pinned_as_the_night_s_own_configuration_has_it(tmp_path, monkeypatch):
    monkeypatch.setenv("HUSH", "a-password")
    plan = AuditPlan.from_text(
        '[calibration.hardening.metrics.brier]\nbound = "drift"\nthreshold = 0.02\n'
        '[calibration.hardening.mlflow]\nuri = "http://x"\nusername = "u"\npassword = "${env:HUSH}"'
    )
    audit(tmp_path, group("c", {"brier": series(0.2, 0.2)}), plan=plan)
    night = open_night(tmp_path / "nights")
    assert "brier" in pinnable(plan_of(night))
    version = pin(tmp_path / "nights", Selection("reference", ("brier",))).version
    assert rows(version)["m", "c"]["brier"] == pytest.approx(0.2)
    assert choose_baseline("pinned", tmp_path / "nights", plan).metrics == ("brier",)
    with pytest.raises(ConfigError, match="no column of a metric"):
        choose_baseline("pinned", tmp_path / "nights", AuditPlan())


def test_a_version_that_was_changed_is_refused_by_name_before_any_work(nights):
    version = pin(nights).version
    version.place.write_bytes(version.place.read_bytes()[:-1] + b"x")
    with pytest.raises(ConfigError, match=f"{version.place.name}: is damaged"):
        choose_baseline("pinned", nights, AuditPlan())


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"version": 7, "sha256": "00"}', "\x00"])
def test_a_damaged_alias_is_told_and_never_taken_for_none(nights, text):
    pin(nights)
    (nights / "baselines" / "in-force.json").write_text(text)
    with pytest.raises(InputError, match=r"in-force\.json: is damaged"):
        Shelf.of(nights).in_force()
    with pytest.raises(ConfigError, match=r"in-force\.json: is damaged"):
        choose_baseline("pinned", nights, AuditPlan())


def test_of_many_who_pin_at_once_each_gets_a_version_of_its_own_or_is_told(nights):
    start, refused = threading.Barrier(8), []
    choices = [Selection("reference", METRICS, models=(name,)) for name in ("drifts", "stays")]

    def one(number):
        start.wait()
        try:
            return pin(nights, choices[number % 2], fresh=True, note=str(number)).version.number
        except BaselineInProgress as e:
            refused.append(str(e))
            return None

    with ThreadPoolExecutor(8) as pool:
        found = Counter(pool.map(one, range(8)))
    assert all("a baseline is being written by" in told for told in refused)
    shelf = Shelf.of(nights)
    numbers = [v.number for v in shelf.versions()]
    assert numbers == sorted(n for n in found if n is not None) == list(range(1, len(numbers) + 1))
    assert shelf.in_force().number in numbers


def test_baselines_stand_on_a_store_too(nights, bucket):
    bucket.send(nights / "nights", "out/nights")
    place = place_of(bucket.uri("out"))
    done = pin_night(place, open_night(place), ALL, clock=clock)
    assert Shelf.of(place).in_force() == done.version
    assert sorted(bucket.tree("out/baselines")) == [done.version.place.name, "in-force.json"]
    assert choose_baseline("pinned", place, AuditPlan()).table.num_rows == 3
    assert bucket.tree("out/.locks") == {}


def command(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "calhard.cli.main", *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
    )


def test_the_commands_pin_list_show_and_audit_by_what_is_pinned(nights, tmp_path, capsys):
    done = command(tmp_path, "baseline", "pin", "nights", "--note", "agreed")
    assert (done.returncode, done.stderr) == (0, "")
    assert "baseline 1 of night 2026-05-31 is in force: 3 models and classes" in done.stdout
    assert cli.main(args=["baseline", "list", str(nights)]) == 0
    assert capsys.readouterr().out.split() == [
        "*",
        "1",
        "2026-05-31",
        "3",
        "rows",
        "aece,",
        "alpha",
        "agreed",
    ]
    cli.main(args=["baseline", "show", str(nights), "--model", "stays", "--json"])
    shown = json.loads(capsys.readouterr().out)
    assert (shown["version"], shown["in_force"], shown["rows"]) == (1, True, 3)
    assert {(r["model_id"], r["class_id"]) for r in shown["values"]} == {
        ("stays", "c"),
        ("stays", "d"),
    }
    pq.write_table(history(), tmp_path / "history.parquet")
    by_pin = command(
        tmp_path, "audit", "history.parquet", "--out", "nights", "--force", "--baseline", "pinned"
    )
    assert by_pin.returncode == 1, by_pin.stderr
    night = open_night(nights)
    assert {r["baseline_source"] for r in evidence(night).values()} == {"pinned"}
    version = Shelf.of(nights).in_force()
    assert night.summary["baseline_sha256"].startswith(version.mark)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("audit", "HISTORY", "--out", "OUT", "--baseline", "pinned"), "no baseline is in force"),
        (("audit", "HISTORY", "--out", "OUT", "--baseline", "./pinned"), "check the path"),
        (("baseline", "show", "OUT"), "no baseline is in force"),
        (("baseline", "show", "OUT", "4"), "no baseline 4; there are none"),
        (("baseline", "pin", "OUT", "--version", "2"), "no baseline 2; there are none"),
        (("baseline", "pin", "OUT", "--version", "2", "--fresh"), "give it alone"),
        (("baseline", "pin", "OUT", "--night", "2020-01-01"), "no night 2020-01-01"),
    ],
)
def test_the_commands_say_what_is_missing(nights, tmp_path, capsys, arguments, told):
    file = tmp_path / "history.parquet"
    pq.write_table(history(), file)
    places = {"HISTORY": str(file), "OUT": str(nights)}
    assert cli.main(args=[places.get(word, word) for word in arguments]) in {2, 4}
    assert told in capsys.readouterr().err
    assert not (nights / "baselines").exists()


def test_a_job_on_a_cluster_is_told_the_number_of_what_is_pinned_here_and_now(nights):
    with pytest.raises(ConfigError, match="no baseline is in force"):
        _checked("pinned", str(nights), AuditPlan())
    pin(nights)
    assert _checked("pinned", str(nights), AuditPlan()) == (None, ["--baseline", "pinned:1"])
    file = Shelf.of(nights).in_force().place
    assert _checked(file, str(nights), AuditPlan()) == (file, [])
    assert _checked(None, str(nights), AuditPlan()) == (None, [])


def sent(server, name):
    there = server.client.get_experiment_by_name(name)
    found = server.client.search_runs([there.experiment_id], "tags.`calhard.kind` = 'baseline'")
    return {run.data.tags["calhard.baseline"]: run for run in found}


def test_a_baseline_is_a_run_of_its_own_and_a_tag_tells_the_one_in_force(settings, name, nights):
    server = connect(settings.model_copy(update={"experiment": name}))
    first = pin(nights).version
    second = pin(nights, Selection("analysis", METRICS)).version
    for version in (first, second, second):
        send_baseline(server, version, in_force=True)
    runs = sent(server, name)
    assert {n: r.data.tags["calhard.baseline_in_force"] for n, r in runs.items()} == {
        "1": "false",
        "2": "true",
    }
    (file,) = server.client.list_artifacts(runs["2"].info.run_id)
    assert (file.path, file.file_size) == (second.place.name, len(second.content))
    assert runs["2"].info.status == "FINISHED"
    send_baseline(server, first, in_force=True)
    assert sent(server, name)["1"].data.tags["calhard.baseline_in_force"] == "true"
    assert sent(server, name)["2"].data.tags["calhard.baseline_in_force"] == "false"


def test_a_server_that_is_down_changes_no_pin(nights, tmp_path, capsys):
    config = tmp_path / "calhard.toml"
    config.write_text('[calibration.hardening.mlflow]\nuri = "http://127.0.0.1:1"\nretries = 0\n')
    assert cli.main(args=["baseline", "pin", str(nights), "--config", str(config)]) == 0
    out, err = capsys.readouterr()
    assert "is in force" in out
    (line,) = err.splitlines()
    assert "the baseline is pinned, but not in MLflow" in line
    assert line.endswith(f"calhard baseline pin {nights} --version 1 --config {config}")
