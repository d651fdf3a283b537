"""``calhard prepare``: what it prints, where, and how it ends."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import calhard
import calhard_kernels
from calhard.cli.main import cli
from calhard.errors import HistoryInProgress
from calhard.store.lock import locked
from calhard.store.staged import LOCK
from tests.prepare.made import content, rows, seen, write

ROOTS = [str(Path(package.__file__).parents[1]) for package in (calhard, calhard_kernels)]


@pytest.fixture
def run(capsys):
    """Call a command in this process; return (exit code, stdout, stderr)."""

    def call(*args):
        capsys.readouterr()
        code = cli.main(args=[str(a) for a in args], prog_name="calhard")
        return code or 0, *capsys.readouterr()

    return call


@pytest.fixture
def history(tmp_path):
    table = rows(np.random.default_rng(0), sound=True)
    for number in range(3):
        write(tmp_path / "h" / f"{number}.parquet", table.slice(number * 80, 80))
    return tmp_path / "h"


def prepare(run, history, out, *more):
    return run("prepare", history, out, "--workers", "1", *more)


def test_a_run_says_what_was_prepared_where_it_is_and_what_comes_next(run, history, tmp_path):
    out = tmp_path / "out"
    code, told, err = prepare(run, history, out)
    assert code == 0
    assert told.splitlines() == [
        "prepared   240 rows of 3 files: 3 new, 0 changed",
        f"history    {out}: 1 file, 240 rows, 1 of them written",
        f"next       calhard audit {out} --out nights",
    ]
    stages = [word for word in ("sampling", "reading", "writing") if f"event={word}" in err]
    assert stages == ["reading", "writing"]  # so few rows are not cut


def test_a_rerun_says_that_there_is_nothing_to_do(run, history, tmp_path):
    prepare(run, history, tmp_path / "out")
    code, told, err = prepare(run, history, tmp_path / "out")
    assert (code, err) == (0, "")
    assert told.startswith("prepared   nothing to do: no file is new or changed\n")
    assert "240 rows, none of them new" in told


def test_what_is_new_changed_and_gone_is_told(run, history, tmp_path):
    prepare(run, history, tmp_path / "out")
    rng = np.random.default_rng(1)
    write(history / "3.parquet", rows(rng, sound=True, size=10))
    write(history / "0.parquet", rows(rng, sound=True, size=10))
    (history / "1.parquet").unlink()
    code, told, _ = prepare(run, history, tmp_path / "out")
    assert code == 0
    lines = told.splitlines()
    assert lines[0] == "prepared   24 rows of 2 files: 1 new, 1 changed, 1 unchanged"
    assert lines[1].startswith("gone       1 file since the last run, such as 1.parquet; the rows")
    assert "prepare everything anew with --force" in lines[1]


def test_what_was_left_out_is_told_with_its_remedy(run, history, tmp_path):
    table = rows(np.random.default_rng(2), sound=True)
    write(history / "odd.parquet", table.set_column(0, "model_id", pa.array([None] * 240)))
    (history / "torn.parquet").write_bytes(b"PAR1 no Parquet PAR1")
    code, told, err = prepare(run, history, tmp_path / "out", "--quiet")
    assert (code, err) == (3, "")
    first, second = told.splitlines()
    assert first.startswith("left out   240 rows: model_id is null or empty; odd.parquet, row 1: ")
    assert first.endswith("— give every row a model_id")
    assert second.startswith("left out   torn.parquet; cannot be read: ")


def test_quiet_is_silent_when_all_is_well(run, history, tmp_path):
    assert prepare(run, history, tmp_path / "out", "--quiet") == (0, "", "")


def test_json_tells_everything(run, history, tmp_path):
    out = tmp_path / "out"
    code, told, _ = prepare(run, history, out, "--json")
    found = json.loads(told)
    assert found["exit_code"] == code == 0
    assert found["rows"] == {"placed": 240, "refused": 0, "written": 240, "all": 240}
    assert found["files"]["new"] == 3
    assert found["written"] == [p.name for p in out.glob("*.parquet")]
    assert found["coverage"] == {"share": 1.0, "bound": 0.99}
    assert found["refused"] == []


def test_force_writes_all_anew(run, history, tmp_path):
    prepare(run, history, tmp_path / "out")
    before = content(tmp_path / "out")
    code, told, _ = prepare(run, history, tmp_path / "out", "--force")
    assert code == 0
    assert "3 new" in told
    assert set(before).isdisjoint(set(content(tmp_path / "out")) - {"_manifest.json"})
    assert seen(tmp_path / "out") == seen(history)


def test_someone_else_at_work_ends_with_75(run, history, tmp_path):
    prepare(run, history, tmp_path / "out")
    with locked(tmp_path / "out" / LOCK, "the history", HistoryInProgress):
        code, told, err = prepare(run, history, tmp_path / "out")
    assert (code, told) == (75, "")
    assert "is being written by process" in err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere", "out"], 4, "nowhere: no such file or folder"),
        (["h", "h/out"], 2, "lies among the history"),
        (["h"], 2, "Missing argument 'OUT'"),
        (["h", "out", "--workers", "0"], 2, "0 is not in the range"),
        (["h", "h/0.parquet"], 2, "is a file"),
    ],
)
def test_what_cannot_be_done_is_told_with_its_exit_code(
    run, history, tmp_path, monkeypatch, arguments, code, message
):
    monkeypatch.chdir(tmp_path)
    found, told, err = run("prepare", *arguments)
    assert (found, told) == (code, "")
    assert message in err


def test_names_that_a_terminal_would_obey_are_shown_as_such(run, tmp_path):
    table = rows(np.random.default_rng(3), sound=True)
    write(tmp_path / "h" / "good.parquet", table)
    (tmp_path / "h" / "a\x1b[31mb.parquet").write_bytes(b"no")
    _, told, _ = prepare(run, tmp_path / "h", tmp_path / "out")
    assert "\x1b" not in told
    assert "b.parquet" in told


def test_in_a_process_of_its_own_with_two_workers(history, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "calhard.cli.main", "prepare", "h", "out", "--workers", "2"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(ROOTS)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("prepared   240 rows of 3 files")
    assert seen(tmp_path / "out") == seen(history)
