"""FAULTS 19 to 21: what fails every worker is narrowed down to the model that is to blame."""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from calhard.errors import CalhardError
from calhard.explanation import explain_night
from calhard.history import shards
from calhard.pipeline import run_audit
from calhard.plan import AuditPlan
from calhard.store import list_nights, open_night
from tests.faults.breaking import tree
from tests.faults.fleets import NIGHT, SPEC, audit, contents, coverage, write_history
from tests.faults.sick import SickEngine

NAMES = [(f"m{i}", class_) for i in range(9) for class_ in ("c", "d")]
BAD = "m4"
ROOT = Path(__file__).parents[2]
REASONS = {
    "crash": "failed to compute: a worker process was killed (SIGSEGV)",
    "hang": "failed to compute: a task took more than 3 s and was ended",
    "memory": "failed to compute: out of memory",
    "error": "failed to compute: ValueError: a number is out of its mind",
}


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    return write_history(tmp_path_factory.mktemp("fleet") / "history", NAMES)


@pytest.fixture(scope="module")
def without(tmp_path_factory):
    """The files of a night of the same fleet, less the bad model."""
    place = tmp_path_factory.mktemp("without")
    # Noise is by place, so the others keep theirs only if the bad one is filtered out afterwards.
    write_history(place / "history", NAMES)
    plan = AuditPlan(retired_models=(BAD,))
    audit(place / "history", place / "out", plan)
    return contents(place / "out")


@pytest.fixture(autouse=True)
def three_shards(monkeypatch):
    """Three models in each shard."""
    few = partial(shards.ordered_shards, target=6 * SPEC.days)
    monkeypatch.setattr("calhard.history.open.ordered_shards", few)


def sick(history, out, stage, models, how, plan=None):
    return run_audit(history, plan or AuditPlan(), out=out, engine=SickEngine(stage, models, how))


@pytest.mark.parametrize(
    ("stage", "how"),
    [
        ("AssessShard", "crash"),
        ("AssessShard", "hang"),
        ("AssessShard", "memory"),
        ("AssessShard", "error"),
        ("JudgeShard", "crash"),
        ("JudgeShard", "memory"),
    ],
)
def test_a_poison_model_is_left_out_by_name_and_all_others_are_audited(
    history, tmp_path, without, stage, how
):
    report = sick(history, tmp_path, stage, (BAD,), how)
    assert report.exit_code == 3
    assert coverage(tmp_path, "model")[1:] == [("indeterminate", REASONS[how], 1, BAD)]
    night = open_night(tmp_path)
    assert contents(tmp_path)["evidence.parquet"] == without["evidence.parquet"]
    health = {row["model_id"]: row["health"] for row in night.table("health").to_pylist()}
    assert (health.pop(BAD), set(health.values())) == ("INSUFFICIENT", {"HEALTHY"})
    assert report.summary["coverage"]["share"] <= 8 / 9
    assert report.summary["verdict"] == "degraded"
    assert set(tree(tmp_path)) == {
        f".locks/night={NIGHT}",
        *(f"nights/night={NIGHT}/{name}" for name in tree(night.path)),
    }


def test_a_poison_model_that_is_expected_is_not_called_silent(history, tmp_path):
    plan = AuditPlan(expected_models=tuple(f"m{i}" for i in range(9)))
    sick(history, tmp_path, "AssessShard", (BAD,), "error", plan)
    assert [outcome for outcome, *_ in coverage(tmp_path, "model")] == ["audited", "indeterminate"]
    assert open_night(tmp_path).table("regressions").num_rows == 0


def test_several_poison_models_are_all_named(history, tmp_path):
    sick(history, tmp_path, "AssessShard", ("m0", "m1", "m8"), "crash")
    assert [example for *_, example in coverage(tmp_path, "model")][1:] == ["m0", "m1", "m8"]


def test_values_that_cannot_be_kept_change_no_verdict(history, tmp_path, without):
    report = sick(history, tmp_path, "KeepSeries", (BAD,), "crash")
    assert report.exit_code == 0
    (unkept,) = coverage(tmp_path, "group")
    reason = "audited, but the values behind them could not be kept: a worker process was killed"
    assert unkept == ("unkept", f"{reason} (SIGSEGV)", 6, "models after 'm2' through 'm5'")
    night = open_night(tmp_path)
    assert night.table("evidence").num_rows > 0
    assert (night.series(BAD).num_rows, night.series("m8").num_rows) == (0, 2 * SPEC.days)
    assert explain_night(night, BAD).verdict


def test_where_everything_fails_nothing_is_published_and_the_reason_is_told(history, tmp_path):
    everyone = tuple(f"m{i}" for i in range(9))
    with pytest.raises(ValueError, match="out of its mind"):
        sick(history, tmp_path, "AssessShard", everyone, "error")
    with pytest.raises(CalhardError, match=r"SIGSEGV.*nothing was published"):
        sick(history, tmp_path, "AssessShard", everyone, "crash")
    assert list_nights(tmp_path) == []
    assert set(tree(tmp_path)) == {f".locks/night={NIGHT}"}


def test_a_lack_of_memory_in_this_process_is_survived_as_well(history, tmp_path, without):
    engine = SickEngine("AssessShard", (BAD,), "memory", workers=1)
    report = run_audit(history, AuditPlan(), out=tmp_path, engine=engine)
    assert report.exit_code == 3
    assert contents(tmp_path)["evidence.parquet"] == without["evidence.parquet"]


POISONED = """
import sys
from calhard.pipeline import run_audit
from calhard.plan import AuditPlan
from tests.faults.sick import SickEngine
engine = SickEngine("AssessShard", ("m4",), "crash", workers=1)
run_audit(sys.argv[1], AuditPlan(), out=sys.argv[2], engine=engine)
"""


def test_a_model_that_kills_the_process_of_an_audit_is_found_by_the_next_run(
    history, tmp_path, without
):
    """One worker computes in the audit's own process, unless an earlier try died of it."""
    command = [sys.executable, "-c", POISONED, str(history), str(tmp_path)]
    path = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'kernels'}"}
    first = subprocess.run(command, cwd=ROOT, env=path, check=False)
    assert first.returncode == -signal.SIGSEGV
    assert list_nights(tmp_path) == []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("calhard.history.open.ordered_shards", shards.ordered_shards)
        engine = SickEngine("AssessShard", (BAD,), "crash", workers=1)
        report = run_audit(history, AuditPlan(), out=tmp_path, engine=engine)
    assert report.exit_code == 3
    assert coverage(tmp_path, "model")[1:] == [("indeterminate", REASONS["crash"], 1, BAD)]
    assert contents(tmp_path)["evidence.parquet"] == without["evidence.parquet"]


def test_an_unsorted_history_is_split_as_well(tmp_path, without, monkeypatch):
    write_history(tmp_path / "history", NAMES)
    monkeypatch.setattr("calhard.history.open.ordered_shards", lambda extents: None)
    few = partial(shards.gathered_shards, target=6 * SPEC.days)
    monkeypatch.setattr("calhard.history.open.gathered_shards", few)
    report = sick(tmp_path / "history", tmp_path / "out", "AssessShard", (BAD,), "error")
    assert report.exit_code == 3
    assert contents(tmp_path / "out")["evidence.parquet"] == without["evidence.parquet"]
