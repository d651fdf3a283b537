"""FAULTS 13, 14, 17, 22 to 24 and 26 on whole audits."""

import errno
import os
import subprocess
import sys
import unicodedata
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calhard.errors import InputError, PublishError
from calhard.pipeline import run_audit
from calhard.plan import AuditPlan
from calhard.store import list_nights, open_night, prune
from calhard.store.layout import Layout
from calhard.store.reader import NightReader
from tests.faults.breaking import counted, failing, killed_at, tree
from tests.faults.fleets import NIGHT, audit, contents, coverage, fleet, write_history

ROOT = Path(__file__).parents[2]
STRIDE = 13
"""Every step of the store is broken in test_disk.py; whole audits at every thirteenth."""


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    return write_history(tmp_path_factory.mktemp("fleet") / "history")


@pytest.fixture(scope="module")
def sound(history, tmp_path_factory):
    """The files of an undisturbed night."""
    out = tmp_path_factory.mktemp("sound")
    audit(history, out)
    return contents(out)


@pytest.fixture
def no_sync(monkeypatch):
    monkeypatch.setattr("os.fsync", lambda handle: None)


# --- re-runs ----------------------------------------------------------------------------------


def stamped(root):
    return {p: p.stat().st_mtime_ns for p in Path(root).rglob("*")} | tree(root)


def test_a_rerun_of_a_published_night_touches_nothing(history, tmp_path):
    first = audit(history, tmp_path)
    before = stamped(tmp_path)
    again = audit(history, tmp_path)
    assert (first.fresh, again.fresh) == (True, False)
    assert again.exit_code == first.exit_code
    assert again.summary == first.summary
    assert stamped(tmp_path) == before


def test_force_is_a_new_revision_of_the_same_bytes_with_lineage(history, tmp_path, sound):
    audit(history, tmp_path)
    first = open_night(tmp_path)
    names = {p.name: p.read_bytes() for p in first.path.iterdir() if p.is_file()}
    hash_of_first = first.manifest_sha256
    audit(history, tmp_path, force=True)
    second = open_night(tmp_path)
    assert (second.revision, second.manifest["supersedes"]) == (2, hash_of_first)
    assert contents(tmp_path) == sound
    kept = NightReader(Layout(tmp_path, NIGHT).revision(1))
    assert {p.name: p.read_bytes() for p in kept.path.iterdir() if p.is_file()} == names
    assert kept.verify() == []


# --- who reports ------------------------------------------------------------------------------


def test_an_expected_model_without_rows_is_missing_and_a_finding(history, tmp_path):
    report = audit(history, tmp_path, AuditPlan(expected_models=("a", "b", "d", "gone")))
    models = [row for row in coverage(tmp_path, "model") if row[0] != "audited"]
    assert models == [("missing", "expected, but has no row", 1, "gone")]
    assert report.regressions["model_id"].to_pylist() == ["gone"]
    assert report.exit_code == 1


def test_an_expected_model_whose_rows_were_all_rejected_is_missing(tmp_path):
    history = write_history(tmp_path / "h")
    rows = pq.read_table(history / "history.parquet").to_pylist()
    spoiled = [row | ({"timestamp": None} if row["model_id"] == "d" else {}) for row in rows]
    schema = pq.read_schema(history / "history.parquet")
    pq.write_table(pa.Table.from_pylist(spoiled, schema=schema), history / "history.parquet")
    report = audit(history, tmp_path / "out", AuditPlan(expected_models=("a", "b", "d")))
    assert report.regressions["model_id"].to_pylist() == ["d"]
    models = [row for row in coverage(tmp_path / "out", "model") if row[0] != "audited"]
    assert models == [("missing", "expected, but has no row", 1, "d")]


@pytest.mark.parametrize("class_", ["c", "__all__"])
def test_an_expected_model_that_stopped_while_it_was_young_is_missing(tmp_path, class_):
    history = write_history(tmp_path / "h", (("a", "c"), ("b", "c"), ("young", class_)))
    rows = pq.read_table(history / "history.parquet").to_pylist()
    few = [row for row in rows if row["model_id"] == "young"][10:14]  # a fortnight before the end
    kept = [row for row in rows if row["model_id"] != "young"] + few
    schema = pq.read_schema(history / "history.parquet")
    pq.write_table(pa.Table.from_pylist(kept, schema=schema), history / "history.parquet")
    report = audit(history, tmp_path / "out", AuditPlan(expected_models=("a", "b", "young")))
    found = report.regressions.to_pylist()
    assert [(row["model_id"], row["regression_type"]) for row in found] == [
        ("young", "MetricFailure")
    ]
    models = [row for row in coverage(tmp_path / "out", "model") if row[0] != "audited"]
    assert models == [("missing", "expected, but has no row in the analysis window", 1, "young")]
    keys = [(row["model_id"], row["class_id"]) for row in report.health.to_pylist()]
    assert len(keys) == len(set(keys))
    assert report.exit_code == 1
    assert audit(history, tmp_path / "unlisted").exit_code == 0


def test_a_model_that_no_list_expects_is_new_and_no_finding(history, tmp_path, sound):
    report = audit(history, tmp_path, AuditPlan(expected_models=("a",)))
    models = [row for row in coverage(tmp_path, "model") if row[0] != "audited"]
    assert models == [("new", "not on expected_models", 1, name) for name in ("b", "d")]
    assert report.exit_code == 0
    assert report.summary["coverage"]["share"] == 1.0
    assert contents(tmp_path)["evidence.parquet"] == sound["evidence.parquet"]


def test_without_a_list_no_model_is_new(history, tmp_path):
    audit(history, tmp_path)
    assert [row[0] for row in coverage(tmp_path, "model")] == ["audited"]


def test_retired_models_are_listed_and_nothing_else(tmp_path):
    names = [("a", "c"), ("b", "c"), ("old-1", "c"), ("old-2", "c"), ("old-2", "e")]
    everything = write_history(tmp_path / "all", names)
    kept = write_history(tmp_path / "kept", names[:2])
    rows = pq.read_table(everything / "history.parquet")
    broken = rows.set_column(
        rows.schema.get_field_index("aece"), "aece", broken_values(rows, {"old-1", "old-2"})
    )
    pq.write_table(broken, everything / "history.parquet")
    plan = AuditPlan(retired_models=("old-*",), expected_models=("a", "b", "old-0"))
    report = audit(everything, tmp_path / "retired", plan)
    audit(kept, tmp_path / "without")
    with_retired, without = contents(tmp_path / "retired"), contents(tmp_path / "without")
    for name in ("evidence", "health", "violations", "regressions", "warnings", "incidents"):
        assert with_retired[f"{name}.parquet"] == without[f"{name}.parquet"], name
    models = [row for row in coverage(tmp_path / "retired", "model") if row[0] != "audited"]
    assert models == [("retired", "on retired_models", 1, f"old-{i}") for i in (0, 1, 2)]
    rows = {row[0]: row[2] for row in coverage(tmp_path / "retired", "row")}
    assert rows == {"audited": 70, "retired": 105}
    assert report.summary["coverage"]["share"] == 1.0
    assert report.exit_code == 0


def broken_values(rows, models):
    """Values of aece that jump in the last week, in some models."""
    hit = np.isin(np.array(rows["model_id"].to_pylist(), object), list(models))
    last = rows["timestamp"].cast("int64").to_numpy()
    late = last > last.max() - 5 * 86_400_000_000
    return pa.array(np.where(hit & late, 0.9, rows["aece"].to_numpy()))


@pytest.mark.parametrize("expected", [(), ("a", "b")])
def test_a_fleet_without_rows_fails_with_a_message_and_publishes_nothing(tmp_path, expected):
    (tmp_path / "history").mkdir()
    pq.write_table(fleet([("a", "c")]).slice(0, 0), tmp_path / "history" / "empty.parquet")
    with pytest.raises(InputError, match="no row") as told:
        audit(tmp_path / "history", tmp_path / "out", AuditPlan(expected_models=expected))
    assert told.value.exit_code == 4
    assert list_nights(tmp_path / "out") == []


def test_a_fleet_of_retired_models_alone_fails_and_says_why(history, tmp_path):
    with pytest.raises(InputError, match="on retired_models"):
        audit(history, tmp_path, AuditPlan(retired_models=("*",)))
    assert list_nights(tmp_path) == []


# --- names ------------------------------------------------------------------------------------

HOSTILE = [
    "../../etc/passwd",
    "/absolute",
    "C:\\windows",
    "nul\0byte",
    ".",
    "..",
    "x" * 300,
    unicodedata.normalize("NFC", "é"),
    unicodedata.normalize("NFD", "é"),
    "\u202eevil",
    "🦊",
    "line\nbreak\r",
    "night=2026-01-01",
    "~root",
    "$(touch owned)",
    "a/b/c",
    "con.parquet",
    " ",
]


def only_history_and_out(tmp_path):
    return sorted(p.name for p in tmp_path.iterdir())


def test_names_never_become_paths(history, tmp_path, monkeypatch, sound):
    names = [(name, HOSTILE[-1 - i]) for i, name in enumerate(HOSTILE)]
    write_history(tmp_path / "history", names)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    plan = AuditPlan(fleet="../fleet/\0", expected_models=("../missing", *HOSTILE))
    audit(tmp_path / "history", tmp_path / "out", plan)
    assert only_history_and_out(tmp_path) == ["here", "history", "out"]
    assert list((tmp_path / "here").iterdir()) == []
    assert set(contents(tmp_path / "out")) == set(sound)
    assert {p.split("/")[0] for p in tree(tmp_path / "out")} == {"nights", ".locks"}
    evidence = open_night(tmp_path / "out").table("evidence")
    assert set(evidence["model_id"].to_pylist()) == set(HOSTILE)


@settings(
    max_examples=5,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.tuples(st.text(min_size=1), st.text(min_size=1)), min_size=1, unique=True))
def test_the_paths_of_a_night_depend_on_no_name(tmp_path_factory, sound, names):
    place = tmp_path_factory.mktemp("names")
    write_history(place / "history", sorted(names)[:20])
    audit(place / "history", place / "out")
    assert only_history_and_out(place) == ["history", "out"]
    assert set(contents(place / "out")) == set(sound)
    night = f"nights/night={NIGHT}/"
    assert {p for p in tree(place / "out") if not p.startswith(night)} == {f".locks/night={NIGHT}"}


# --- the disk ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_sync")
def test_an_audit_killed_at_any_step_leaves_no_night_or_a_whole_one(history, tmp_path, sound):
    steps = counted(tmp_path / "whole", lambda: audit(history, tmp_path / "whole"))
    for step in range(0, len(steps), STRIDE):
        out = tmp_path / f"{step}"
        killed_at(step, out, lambda out=out: audit(history, out), after=step % 2 == 1)
        if list_nights(out):
            assert contents(out) == sound
        assert audit(history, out).exit_code == 0
        assert contents(out) == sound
        prune(out, timedelta(days=30))  # a re-run that finds the night published sweeps nothing
        assert not [name for name in tree(out) if name.startswith(".staging/")]


@pytest.mark.usefixtures("no_sync")
@pytest.mark.parametrize("sticky", [False, True], ids=["once", "sticky"])
def test_an_audit_on_a_disk_that_fails_publishes_nothing_partial(history, tmp_path, sound, sticky):
    steps = counted(tmp_path / "whole", lambda: audit(history, tmp_path / "whole"))
    refusals = []
    for step in range(0, len(steps), STRIDE):
        out = tmp_path / f"{step}"
        with failing(errno.ENOSPC, step, out, sticky=sticky):
            try:
                audit(history, out)
            except PublishError as told:
                refusals.append(str(told))
        if list_nights(out):
            assert contents(out) == sound
        audit(history, out)
        assert contents(out) == sound
    assert len(refusals) > 2
    expected = "the disk is full; free some space", "the disk did not confirm it"
    assert all(any(words in told for words in expected) for told in refusals)


class FullDisk:
    """An engine whose workers cannot write."""

    name = "full"

    def run(self, function, tasks, policy, split=None):
        raise OSError(errno.ENOSPC, "[Errno 28] Error writing bytes to file")
        yield


def test_a_worker_whose_disk_is_full_is_told_as_such(history, tmp_path):
    with pytest.raises(PublishError, match=r"No space left.*published: the disk is full"):
        run_audit(history, AuditPlan(), out=tmp_path, engine=FullDisk())
    assert list_nights(tmp_path) == []
    assert set(tree(tmp_path)) == {f".locks/night={NIGHT}"}


def command(history, out, *, before="pass", **env):
    """Run ``calhard audit`` in a process of its own, after a statement."""
    text = f"import sys; {before}; from calhard.cli.main import main; main(sys.argv[1:])"
    arguments = ["audit", str(history), "--out", str(out), "--quiet", "--workers", "1"]
    return subprocess.run(
        [sys.executable, "-c", text, *arguments],
        cwd=ROOT,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("limit", [1_000, 30_000], ids=["scratch", "tables"])
def test_a_limit_on_the_size_of_files_is_told_with_its_remedy(history, tmp_path, limit):
    sizes = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))"
    done = command(history, tmp_path / "out", before=sizes)
    assert done.returncode == 4, done.stderr
    assert "nothing was published: the file size limit is reached" in done.stderr
    assert "ulimit -f" in done.stderr
    assert "Traceback" not in done.stderr
    assert list_nights(tmp_path / "out") == []
    assert audit(history, tmp_path / "out").exit_code == 0


def test_an_output_folder_that_cannot_be_written_is_told_with_its_remedy(history, tmp_path):
    out = tmp_path / "out"
    out.mkdir(mode=0o555)
    if os.access(out, os.W_OK):
        pytest.skip("this user, root as a rule, may write anywhere")
    with pytest.raises(PublishError, match="permission denied; give the user of the audit write"):
        audit(history, out)
    assert list(out.iterdir()) == []


def test_a_file_where_the_output_folder_should_be_is_left_alone(history, tmp_path):
    (tmp_path / "out").write_text("precious")
    with pytest.raises(PublishError, match="a file stands where a folder is needed"):
        audit(history, tmp_path / "out")
    assert (tmp_path / "out").read_text() == "precious"


# --- bytes ------------------------------------------------------------------------------------


def test_the_order_of_hashes_changes_no_byte(history, tmp_path, sound):
    for seed in ("1", "2"):
        done = command(history, tmp_path / seed, PYTHONHASHSEED=seed)
        assert done.returncode == 0, done.stderr
        assert contents(tmp_path / seed) == sound


def untimed(told):
    """A summary or manifest but for the time it took, and what follows from that."""
    kept = {name: value for name, value in told.items() if name not in {"timings", "files"}}
    files = [f for f in told.get("files", []) if f["name"] != "summary.json"]
    return kept | {"files": files}


def test_summary_and_manifest_of_two_runs_differ_in_their_timings_alone(history, tmp_path):
    nights = []
    for name in ("a", "b"):
        audit(history, tmp_path / name)
        nights.append(open_night(tmp_path / name))
    one, other = nights
    assert untimed(one.summary) == untimed(other.summary)
    assert untimed(one.manifest) == untimed(other.manifest)
    assert set(one.summary["timings"]) == {"seconds"}
