"""What people get wrong: one clear message with a remedy, the right code, no traceback."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from calhard.store import list_nights


def lines(ended):
    assert "Traceback" not in ended.err
    assert ended.out == ""
    return [line for line in ended.err.splitlines() if not line.startswith("timestamp=")]


def audit(run, history, out, *more):
    return run("audit", history, "--out", out, *more)


def test_a_history_that_is_not_there(run, tmp_path):
    ended = audit(run, tmp_path / "nope", tmp_path / "out")
    assert ended.code == 4
    assert lines(ended) == [f"calhard: {tmp_path / 'nope'}: no such file or folder"]


def test_an_empty_folder(run, tmp_path):
    (tmp_path / "empty").mkdir()
    ended = audit(run, tmp_path / "empty", tmp_path / "out")
    assert ended.code == 4
    said = f"calhard: {tmp_path / 'empty'}: no Parquet, Arrow IPC or CSV file there"
    assert lines(ended) == [said]


def test_a_csv_with_another_header(run, tmp_path):
    (tmp_path / "h.csv").write_text("model,class_id,timestamp,aece\na,b,2026-05-31,0.1\n")
    ended = audit(run, tmp_path / "h.csv", tmp_path / "out")
    assert ended.code == 4
    *_, told = lines(ended)
    assert 'h.csv: column "model_id" is missing; found "model"' in told
    assert '[calibration.hardening.columns] model_id = "model"' in told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["garbage", "31.05.2026", "2026-13-01", "", "2026-05-31T25:00"])
def test_an_as_of_that_is_no_instant(run, healthy, tmp_path, text):
    ended = audit(run, healthy, tmp_path / "out", "--as-of", text)
    assert ended.code == 2
    said = f"calhard: --as-of {text!r} is no ISO instant; write one such as 2026-05-31T00:00Z"
    assert lines(ended) == [said]
    assert not (tmp_path / "out").exists()


def test_an_as_of_before_all_data(run, healthy, tmp_path):
    ended = audit(run, healthy, tmp_path / "out", "--as-of", "2001-01-01")
    assert ended.code == 4
    told = lines(ended)
    assert told[0] == f"calhard: {healthy}: no row can be audited"
    assert told[1].startswith("  2,520 row(s): after as_of; history.parquet, row 1: timestamp = ")
    assert told[2] == "choose another --as-of; by default it is the newest timestamp"
    assert list_nights(tmp_path / "out") == []


def test_an_as_of_long_after_all_data(run, healthy, tmp_path):
    ended = audit(run, healthy, tmp_path / "out", "--as-of", "2099-01-01")
    assert ended.code == 4
    assert "2,520 row(s): older than any window" in lines(ended)[1]


def test_an_as_of_before_every_history(run, healthy, tmp_path):
    ended = audit(run, healthy, tmp_path / "out", "--as-of", "0001-01-01")
    assert ended.code == 2
    assert lines(ended) == [
        "calhard: --as-of 0001-01-01 lies before 1990, and so before every history"
    ]


@pytest.mark.parametrize("command", ["audit", "demo", "simulate", "report", "prune"])
def test_an_output_folder_that_is_a_file(run, healthy, tmp_path, command):
    file = tmp_path / "file"
    file.write_text("precious")
    args = {
        "audit": [healthy, "--out", file],
        "demo": ["--out", file],
        "simulate": [file],
        "report": [file],
        "prune": [file, "--keep", "3d"],
    }[command]
    ended = run(command, *args)
    assert ended.code == 2
    assert lines(ended)[-1].endswith(f"Directory '{file}' is a file.")
    assert file.read_text() == "precious"


def test_an_output_folder_within_a_file(run, healthy, tmp_path):
    (tmp_path / "file").write_text("")
    ended = audit(run, healthy, tmp_path / "file" / "out")
    assert ended.code == 4
    *_, told = lines(ended)
    assert "a file stands where a folder is needed" in told
    assert told.endswith("choose another --out")


def test_a_configuration_that_is_not_there(run, healthy, tmp_path):
    ended = audit(run, healthy, tmp_path / "out", "--config", tmp_path / "gone.toml")
    assert ended.code == 2
    assert lines(ended)[1] == "  cannot read the configuration: No such file or directory"


def test_an_empty_name_of_a_fleet(run, healthy, tmp_path):
    ended = audit(run, healthy, tmp_path / "out", "--fleet", "")
    assert ended.code == 2
    assert lines(ended) == ["calhard: --fleet is empty; name the fleet, or leave the option out"]


@pytest.mark.parametrize("command", ["audit", "check", "report", "config"])
def test_debug_adds_the_traceback_and_keeps_message_and_code(run, tmp_path, command):
    gone = tmp_path / "gone"
    args = [command, gone, *(["--out", tmp_path / "out"] if command == "audit" else [])]
    plain, debug = run(*args), run("--debug", *args)
    assert plain.code == debug.code == (2 if command == "config" else 4)
    assert "Traceback" not in plain.err
    assert debug.err.startswith("Traceback (most recent call last):\n")
    assert debug.err.endswith(plain.err)


def test_an_error_of_calhard_itself_never_looks_like_a_finding(run, healthy, tmp_path, monkeypatch):
    def fails(*_, **__):
        raise KeyError("oops")

    monkeypatch.setattr("calhard.pipeline.run_audit", fails)
    ended = audit(run, healthy, tmp_path / "out")
    assert ended.code == 4
    said = "calhard: an error of calhard itself, KeyError: 'oops'; please report it with the "
    assert lines(ended) == [said + "traceback that calhard --debug shows"]
    assert (
        "KeyError: 'oops'\ncalhard: an error" in run("--debug", "audit", healthy, "--out", "o").err
    )


def test_running_out_of_memory_names_the_remedy(run, healthy, tmp_path, monkeypatch):
    def fails(*_, **__):
        raise MemoryError

    monkeypatch.setattr("calhard.pipeline.run_audit", fails)
    ended = audit(run, healthy, tmp_path / "out")
    assert (ended.code, lines(ended)) == (4, ["calhard: out of memory; try --workers 1"])


ODD = "\x1b[31mred\x9b\u202e"


def odd_inputs(home, healthy):
    """Commands that fail and name what has an odd name."""
    column = pa.table({f"model_id{ODD}": ["m"], "class_id": ["c"], "aece": [0.1]})
    pq.write_table(column, home / f"{ODD}.parquet")
    pq.write_table(column, home / "column.parquet")
    late = pa.table(
        {"model_id": [ODD], "class_id": ["c"], "timestamp": pa.array([2**60], pa.timestamp("us"))}
    )
    late = late.append_column("aece", pa.array([0.1]))
    pq.write_table(late, home / f"late{ODD}.parquet")
    (home / f"{ODD}.csv").write_text("model_id,class_id,aece\nm,c,high\n")
    return {
        "history": ("check", home / f"{ODD}.parquet"),
        "column": ("check", home / "column.parquet"),
        "rows": ("audit", home / f"late{ODD}.parquet", "--out", home / "o"),
        "nowhere": ("check", home / f"none{ODD}"),
        "config": ("check", healthy, "--config", home / f"none{ODD}.toml"),
        "baseline": ("audit", healthy, "--out", home / "o", "--baseline", home / f"{ODD}.csv"),
        "option": ("check", healthy, f"--{ODD}"),
        "as of": ("check", healthy, "--as-of", ODD),
    }


@pytest.mark.parametrize(
    "what", ["history", "column", "rows", "nowhere", "config", "baseline", "option", "as of"]
)
def test_errors_show_odd_names_inert(what, run, healthy, tmp_path):
    ended = run(*odd_inputs(tmp_path, healthy)[what])
    assert ended.code not in (0, 1, 3)
    assert not set(ended.err) & set(ODD[0] + ODD[-2:])
    assert "\\x1b[31mred" in ended.err


def test_a_check_as_json_shows_odd_names_inert(run, tmp_path):
    pq.write_table(pa.table({"a": [1]}), tmp_path / f"{ODD}.parquet")
    csv = "model_id,class_id,timestamp,aece\nm,c,2026-05-01,0.1\n"
    (tmp_path / "good.csv").write_text(csv)
    ended = run("check", tmp_path, "--json")
    assert ended.code == 3
    assert not set(ended.out) & set(ODD[0] + ODD[-2:])
    assert "red" in ended.out
