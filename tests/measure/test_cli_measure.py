"""``calhard measure``: what it prints, where, and how it ends."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import calhard
import calhard_kernels
from calhard.cli.main import cli
from calhard.errors import HistoryInProgress
from calhard.measure.folder import LOCK
from calhard.store.lock import locked
from tests.measure.logs import content, days_of, predictions, without_labels, write

ROOTS = [str(Path(package.__file__).parents[1]) for package in (calhard, calhard_kernels)]


@pytest.fixture(autouse=True)
def no_sync(monkeypatch):
    """Every step is taken; the machine's own disk need not be waited for."""
    monkeypatch.setattr("os.fsync", lambda handle: None)


@pytest.fixture
def run(capsys):
    """Call a command in this process; return (exit code, stdout, stderr)."""

    def call(*args):
        capsys.readouterr()
        code = cli.main(args=[str(a) for a in args], prog_name="calhard")
        return code or 0, *capsys.readouterr()

    return call


@pytest.fixture
def log(tmp_path):
    """A log of a file a day."""
    days = days_of(predictions(rows=20))
    return write(tmp_path / "log", **{f"d{i}": day for i, day in enumerate(days)})


def measure(run, log, history, *more):
    return run("measure", log, "--history", history, "--workers", "1", *more)


def test_a_run_says_what_was_measured_where_it_is_and_what_comes_next(run, log, tmp_path):
    history = tmp_path / "history"
    code, out, err = measure(run, log, history)
    assert code == 0
    assert out.splitlines() == [
        "measured   2 models, 4 classes, 5 periods of 1d (2026-04-28 to 2026-05-02): 400 rows",
        "read       5 files: 5 new, 0 changed",
        f"history    {history}: 2 files, 2 of them written",
        f"next       calhard audit {history} --out nights",
    ]
    stages = [word for word in ("reading", "measuring", "writing") if f"event={word}" in err]
    assert stages == ["reading", "measuring", "writing"]


def test_a_rerun_says_that_there_is_nothing_to_do(run, log, tmp_path):
    measure(run, log, tmp_path / "history")
    code, out, err = measure(run, log, tmp_path / "history")
    assert code == 0
    assert out.startswith("measured   nothing to do: no file is new or changed\n")
    assert "none of them new" in out
    assert err == ""


def test_quiet_is_silent_when_all_is_well_and_tells_what_was_left_out(run, log, tmp_path):
    assert measure(run, log, tmp_path / "history", "--quiet") == (0, "", "")
    (log / "d9.parquet").write_bytes(b"PAR1 no Parquet PAR1")
    code, out, err = measure(run, log, tmp_path / "history", "--quiet")
    assert (code, err) == (3, "")
    assert out.startswith("refused    d9.parquet; cannot be read: ")
    assert out.count("\n") == 1


def test_rows_that_are_not_used_are_told_with_place_and_remedy(run, tmp_path):
    days = days_of(predictions(rows=20))
    log = write(tmp_path / "log", a=days[0], b=without_labels(days[1]))
    code, out, _ = measure(run, log, tmp_path / "history")
    assert code == 0
    assert "unused     80 rows: label is null; b.parquet, row 1: label = null — nothing" in out


def test_a_period_that_is_kept_is_told_even_when_quiet(run, tmp_path):
    first, second = days_of(predictions(days=2, rows=20))
    log = write(tmp_path / "log", a=first.slice(0, 40), b=first.slice(40), c=second)
    measure(run, log, tmp_path / "history")
    (log / "a.parquet").unlink()
    write(log, b=first.slice(30))
    code, out, _ = measure(run, log, tmp_path / "history", "--quiet")
    assert code == 0
    assert out.startswith(
        "kept       2026-04-28: as it was measured from 80 rows, of which some of a.parquet are "
        "gone; 50 are there now — --since 2026-04-28 --force measures it and all later ones from "
        "what is there\n"
    )
    assert "gone       1 file since the last run, such as a.parquet; what was measured" in out


def test_older_changes_that_since_leaves_out_are_told(run, log, tmp_path):
    measure(run, log, tmp_path / "history")
    os.utime(log / "d0.parquet", ns=(1, 1))
    code, out, _ = measure(run, log, tmp_path / "history", "--since", "2026-05-01")
    assert code == 0
    assert "5 periods" not in out
    assert "2 periods of 1d (2026-05-01 to 2026-05-02)" in out
    assert "left out   older rows of 1 new or changed file, such as d0.parquet" in out


def test_json_is_the_report_on_stdout_alone(run, log, tmp_path):
    code, out, _ = measure(run, log, tmp_path / "history", "--json")
    told = json.loads(out)
    assert code == told["exit_code"] == 0
    assert told["rows"]["used"] == 400
    assert told["span"] == ["2026-04-28", "2026-05-02"]
    assert told["files"]["new"] == 5
    assert told["written"] == ["2026-04", "2026-05"]
    assert out.isascii()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--period", "fortnight"), "fortnight"),
        (("--period", "5rows"), "rows"),
        (("--since", "yesterday"), "since 'yesterday' is no ISO instant"),
        (("--since", "2026-05-01", "--period", "100rows"), "since goes with periods of time"),
        (("--config", "none.toml"), "none.toml"),
        (("--workers", "0"), "--workers"),
    ],
)
def test_wrong_options_end_with_2_before_any_work(run, log, tmp_path, options, said):
    code, out, err = measure(run, log, tmp_path / "history", *options)
    assert (code, out) == (2, "")
    assert said in err
    assert not (tmp_path / "history").exists()


def test_without_a_history_it_ends_with_2(run, log):
    code, _, err = run("measure", log)
    assert code == 2
    assert "--history" in err


def test_other_settings_end_with_2_and_a_remedy(run, log, tmp_path):
    measure(run, log, tmp_path / "history")
    before = content(tmp_path / "history")
    code, out, err = measure(run, log, tmp_path / "history", "--period", "7d")
    assert (code, out) == (2, "")
    assert "was measured with period = '1d', not '7d'" in err
    assert "choose another folder, or measure everything anew with --force" in err
    assert content(tmp_path / "history") == before
    assert measure(run, log, tmp_path / "history", "--period", "7d", "--force")[0] == 0


def test_4_where_nothing_can_be_read_and_where_the_folder_is_somebody_elses(run, log, tmp_path):
    code, out, err = measure(run, tmp_path / "none", tmp_path / "history")
    assert (code, out) == (4, "")
    assert "no such file or folder" in err
    code, out, err = measure(run, log / "d0.parquet", log)
    assert (code, out) == (4, "")
    assert "is no history that calhard measured" in err
    assert sorted(p.suffix for p in log.iterdir()) == [".parquet"] * 5


def test_75_where_another_measures_into_the_same_folder(run, log, tmp_path):
    place = tmp_path / "history"
    with locked(place / LOCK, "the history", HistoryInProgress):
        code, out, err = measure(run, log, place)
    assert (code, out) == (75, "")
    assert f"the history {place} is being written by process" in err
    assert measure(run, log, place)[0] == 0


def test_names_that_would_act_on_a_terminal_are_shown_inert(run, tmp_path):
    log = write(tmp_path / "log", a=predictions(days=1))
    (log / "\x1b[31mred\u202e.parquet").write_bytes(b"no Parquet")
    code, out, _ = measure(run, log, tmp_path / "history")
    assert code == 3
    assert "\\x1b[31mred\\u202e.parquet" in out
    assert "\x1b" not in out


def test_the_configuration_names_columns_and_how_it_is_measured(run, tmp_path):
    log = predictions(days=1).rename_columns(["m", "c", "t", "p", "y", "region"])
    write(tmp_path / "log", a=log)
    names = {"model_id": "m", "class_id": "c", "timestamp": "t", "score": "p", "label": "y"}
    lines = [f'{name} = "{column}"' for name, column in names.items()]
    config = tmp_path / "calhard.toml"
    config.write_text("\n".join(["[calibration.hardening.columns]", *lines]))
    code, out, _ = measure(run, tmp_path / "log", tmp_path / "history", "--config", config)
    assert code == 0
    assert "2 models, 4 classes, 1 period of 1d (2026-04-28): 240 rows" in out
    lines[-2:] = ['score = "y"', 'label = "p"']
    config.write_text("\n".join(["[calibration.hardening.columns]", *lines]))
    code, _, err = measure(run, tmp_path / "log", tmp_path / "history", "--config", config)
    assert code == 2
    assert "was measured with columns = " in err


def test_an_audit_reads_the_history_that_was_measured(run, tmp_path):
    log = predictions(days=40, rows=30, models=("a",), classes=("x",))
    write(tmp_path / "log", all=log)
    assert measure(run, tmp_path / "log", tmp_path / "history")[0] == 0
    code, out, _ = run("audit", tmp_path / "history", "--out", tmp_path / "nights", "--workers", 1)
    assert code == 0, out
    assert "HEALTHY" in out
    assert run("check", tmp_path / "history")[0] == 0


def test_a_process_of_its_own_with_workers_ends_with_0_and_leaves_no_staging(log, tmp_path):
    command = [sys.executable, "-m", "calhard.cli.main", "measure", str(log)]
    done = subprocess.run(
        [*command, "--history", str(tmp_path / "history"), "--workers", "2", "--quiet"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(ROOTS)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert len(content(tmp_path / "history")) == 4
