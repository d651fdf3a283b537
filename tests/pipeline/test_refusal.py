"""A model that no worker could hold is left out by name before any work starts."""

import json
import logging
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from calhard.engines import LocalEngine
from calhard.errors import InputError
from calhard.pipeline import run_audit
from calhard.plan import AuditPlan
from calhard.store import open_night
from tests.faults.fleets import audit, contents, coverage, fleet

NAMES = [("a", "c"), ("giant", "c"), ("z", "c")]
GIANT = 10
"""Times the rows of others."""


def limited(kib):
    return AuditPlan(storage={"worker_memory_gib": kib / 2**20})


def write(folder, *, shuffled=False, alone=False):
    """Write a history of which one model has rows every few hours."""
    table = fleet([("giant", "c")] if alone else NAMES)
    giants = table.filter(pa.compute.equal(table["model_id"], "giant"))
    parts = [giants]
    for i in range(1, GIANT):
        stamps = pa.array(giants["timestamp"].cast(pa.int64()).to_numpy() - i * 3_600_000_000)
        stamps = stamps.cast(table.schema.field("timestamp").type)
        place = table.schema.get_field_index("timestamp")
        parts.append(giants.set_column(place, "timestamp", stamps))
    others = table.filter(pa.compute.not_equal(table["model_id"], "giant"))
    whole = pa.concat_tables([others, *parts])
    if shuffled:
        whole = whole.sort_by("timestamp")
    else:
        whole = whole.sort_by([(n, "ascending") for n in ("model_id", "class_id", "timestamp")])
    folder.mkdir()
    pq.write_table(whole, folder / "h.parquet", row_group_size=20)
    return folder


@pytest.mark.parametrize("shuffled", [False, True], ids=["sorted", "unsorted"])
def test_a_giant_is_left_out_with_its_rows_and_a_remedy_and_all_others_are_audited(
    tmp_path, shuffled, caplog
):
    history = write(tmp_path / "history", shuffled=shuffled)
    without = tmp_path / "without"
    audit(history, without, AuditPlan(retired_models=("giant",)))
    with caplog.at_level(logging.WARNING, "calhard"):
        report = audit(history, tmp_path / "out", limited(40))
    assert report.exit_code == 3
    ((outcome, reason, count, example),) = coverage(tmp_path / "out", "model")[1:]
    assert (outcome, count, example) == ("indeterminate", 1, "giant")
    assert reason.startswith("too large for a worker: ")
    assert f"rows of {'the model' if shuffled else 'its class'}" in reason
    assert reason.endswith(" GiB or more, a worker has 3.81e-05 GiB")
    (warned,) = [r.getMessage() for r in caplog.records]
    assert warned.startswith(f"model 'giant': {reason}; give workers more memory (fewer --workers")
    assert ("calhard prepare" in warned) is shuffled
    found = contents(tmp_path / "out")
    assert found["evidence.parquet"] == contents(without)["evidence.parquet"]
    health = open_night(tmp_path / "out").table("health").to_pylist()
    assert {r["model_id"]: r["health"] for r in health}["giant"] == "INSUFFICIENT"


def test_no_giant_is_seen_where_workers_have_enough(tmp_path, caplog):
    history = write(tmp_path / "history")
    with caplog.at_level(logging.WARNING, "calhard"):
        report = audit(history, tmp_path / "out")
    assert coverage(tmp_path / "out", "model") == [("audited", "", 3, "")]
    assert report.exit_code != 3
    assert not caplog.records


def test_an_engine_tells_what_its_workers_have_unless_the_plan_does(tmp_path, monkeypatch):
    monkeypatch.setattr("calhard.engines.local.machine_memory", lambda: 80 * 1024)
    history = write(tmp_path / "history")
    run_audit(history, AuditPlan(), out=tmp_path / "two", engine=LocalEngine(2))
    assert "too large" in coverage(tmp_path / "two", "model")[1][1]
    enough = AuditPlan(storage={"worker_memory_gib": 1.0})
    run_audit(history, enough, out=tmp_path / "plan", engine=LocalEngine(2))
    assert len(coverage(tmp_path / "plan", "model")) == 1


def test_where_nothing_else_is_there_the_night_fails_and_says_why(tmp_path):
    history = write(tmp_path / "history", alone=True)
    with pytest.raises(InputError, match=r"no row can be audited\n.*'giant': too large for a work"):
        audit(history, tmp_path / "out", limited(40))


def test_more_memory_lets_a_giant_into_the_next_revision(tmp_path):
    history = write(tmp_path / "history")
    plan = limited(40)
    audit(history, tmp_path / "out", plan)
    again = audit(history, tmp_path / "out")
    assert not again.fresh, "the night is published, with the same hash of the plan"
    assert plan.sha256() == AuditPlan().sha256()
    audit(history, tmp_path / "out", force=True)
    assert len(coverage(tmp_path / "out", "model")) == 1


def test_the_command_line_warns_on_stderr_and_ends_with_3(tmp_path):
    history = write(tmp_path / "history")
    config = tmp_path / "calhard.toml"
    config.write_text("[calibration.hardening.storage]\nworker_memory_gib = 0.00004\n")
    command = [sys.executable, "-m", "calhard.cli.main", "audit", str(history)]
    options = ["--out", str(tmp_path / "out"), "--config", str(config), "--workers", "1", "--json"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert "model 'giant': too large for a worker" in done.stderr
    assert json.loads(done.stdout)["exit_code"] == 3


def test_a_retired_giant_is_not_told(tmp_path, caplog):
    history = write(tmp_path / "history")
    plan = limited(40).model_copy(update={"retired_models": ("gia*",)})
    with caplog.at_level(logging.WARNING, "calhard"):
        report = audit(history, tmp_path / "out", plan)
    assert not caplog.records
    assert report.exit_code == 0
    assert coverage(tmp_path / "out", "model") == [
        ("audited", "", 2, ""),
        ("retired", "on retired_models", 1, "giant"),
    ]
