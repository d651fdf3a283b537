"""The same file twice: its rows count once, and it is told."""

import os

import pytest

from calhard.measure import copies
from calhard.measure.told import alarming_lines
from calhard.plan import AuditPlan
from tests.measure.logs import content, days_of, measure, predictions, write
from tests.measure.test_incremental import sources


@pytest.fixture(autouse=True)
def no_sync(monkeypatch):
    """Every step is taken; the machine's own disk need not be waited for."""
    monkeypatch.setattr("os.fsync", lambda handle: None)


@pytest.fixture(scope="module")
def days():
    return days_of(predictions(days=2, rows=20))


def copy(log, name, as_):
    (log / f"{as_}.parquet").write_bytes((log / f"{name}.parquet").read_bytes())


def test_a_file_that_is_there_twice_counts_once_and_is_told(days, tmp_path):
    write(tmp_path / "log", a=days[0], b=days[1])
    measure(tmp_path / "log", tmp_path / "once")
    copy(tmp_path / "log", "a", "again")
    report = measure(tmp_path / "log", tmp_path / "history")
    assert content(tmp_path / "history") == content(tmp_path / "once")
    assert (report.coverage, report.exit_code, report.files.read) == (1.0, 0, 2)
    assert report.to_dict()["files"]["copies"] == {"again.parquet": "a.parquet"}
    (told,) = alarming_lines(report)
    assert told.startswith("left out   again.parquet: the same bytes as a.parquet — remove one")


def test_a_copy_that_comes_later_leaves_the_history_and_is_looked_at_once(
    days, tmp_path, monkeypatch
):
    log, history = tmp_path / "log", tmp_path / "history"
    write(log, b=days[0])
    measure(log, history)
    before = content(history)
    copy(log, "b", "a")
    read = []
    real = copies._digest
    monkeypatch.setattr(copies, "_digest", lambda p, index: read.append(index) or real(p, index))
    report = measure(log, history)
    assert (report.files.read, report.periods, len(read)) == (0, (), 2)
    assert report.files.copies == {"a.parquet": "b.parquet"}, "what was measured stays"
    assert content(history) == before
    again = measure(log, history)
    assert (again.files.copies, len(read)) == (report.files.copies, 2)
    assert sources(history)["a.parquet"]["same_as"] == "b.parquet"


def test_the_copy_of_a_file_that_goes_takes_its_place(days, tmp_path):
    log, history = tmp_path / "log", tmp_path / "history"
    write(log, a=days[0], b=days[1])
    copy(log, "a", "again")
    measure(log, history)
    before = content(history)
    (log / "a.parquet").unlink()
    report = measure(log, history)
    assert (report.kept, report.files.new, report.files.copies) == ((), 1, {})
    assert content(history) == before
    assert set(sources(history)) == {"again.parquet", "b.parquet"}
    assert "same_as" not in sources(history)["again.parquet"]


def test_a_copy_that_changes_is_measured(days, tmp_path):
    log, history = tmp_path / "log", tmp_path / "history"
    write(log, a=days[0])
    copy(log, "a", "b")
    measure(log, history)
    write(log, b=days[1])
    assert measure(log, history).used == days[1].num_rows
    measure(log, tmp_path / "whole")
    assert content(history) == content(tmp_path / "whole")


def test_a_measured_file_that_becomes_a_copy_leaves_its_periods(days, tmp_path):
    log, history = tmp_path / "log", tmp_path / "history"
    write(log, a=days[0], b=days[1])
    measure(log, history)
    before = content(history)
    copy(log, "a", "b")
    for _ in range(2):
        report = measure(log, history)
        assert report.files.copies == {"b.parquet": "a.parquet"}
        assert content(history) == before
        assert sources(history)["b.parquet"]["gone"]
    write(log, b=days[1])
    assert measure(log, history).kept == ()
    assert content(history) == before
    assert "gone" not in sources(history)["b.parquet"]


def test_files_of_one_size_and_other_bytes_or_other_folders_all_count(tmp_path):
    text = "timestamp,class_id,score,label\n2026-05-01,x,0.{},1\n"
    for name, digit in (("model_id=a/1", 1), ("model_id=a/2", 2), ("model_id=b/1", 1)):
        path = tmp_path / "log" / f"{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.format(digit))
    plan = AuditPlan.model_validate({"windows": {"timezone": "UTC"}})
    report = measure(tmp_path / "log", tmp_path / "history", plan=plan)
    assert (report.used, report.files.copies) == (3, {})
    (tmp_path / "log" / "model_id=b" / "2.csv").write_text(text.format(1))
    again = measure(tmp_path / "log", tmp_path / "history", plan=plan)
    assert again.files.copies == {"model_id=b/2.csv": "model_id=b/1.csv"}


def test_the_size_alone_makes_no_copy_even_where_the_time_is_the_same(days, tmp_path):
    log = write(tmp_path / "log", a=days[0])
    content_of = bytearray((log / "a.parquet").read_bytes())
    (log / "a.csv").write_bytes(bytes(len(content_of)))
    for path in log.iterdir():
        os.utime(path, ns=(1, 1))
    assert measure(log, tmp_path / "history").files.copies == {}
