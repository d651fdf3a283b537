"""The history's folder: whose it is, one run at a time, and what a run finds damaged there."""

import fcntl
import shutil

import pyarrow.parquet as pq
import pytest

from calhard.errors import ConfigError, HistoryInProgress, InputError
from calhard.measure.folder import BINS, STAGING
from tests.measure.logs import MANIFEST, content, days_of, measure, predictions, times, write


@pytest.fixture(autouse=True)
def no_sync(monkeypatch):
    """Every step is taken; the machine's own disk need not be waited for."""
    monkeypatch.setattr("os.fsync", lambda handle: None)


@pytest.fixture
def measured(tmp_path):
    """A log of two days, one in each of two months, and its history."""
    _, _, third, fourth, _ = days_of(predictions(rows=20))
    write(tmp_path / "log", a=third, b=fourth)
    measure(tmp_path / "log", tmp_path / "history")
    return tmp_path / "log", tmp_path / "history"


def test_a_folder_of_somebody_elses_files_is_refused_and_left_alone(tmp_path):
    log = predictions(days=1)
    write(tmp_path / "log", all=log)
    write(tmp_path / "theirs", mine=log)
    before = times(tmp_path / "theirs")
    for options in ({}, {"force": True}):
        with pytest.raises(InputError, match=r"holds 'mine.parquet' and no _manifest.json"):
            measure(tmp_path / "log", tmp_path / "theirs", **options)
    assert times(tmp_path / "theirs") == before


@pytest.mark.parametrize("name", ["2026-07.parquet", "notes.txt", "more"])
def test_a_file_that_no_run_wrote_is_refused_by_name_and_stays(measured, name):
    log, history = measured
    if name == "more":
        (history / name).mkdir()
    else:
        (history / name).write_bytes(b"theirs")
    for options in ({}, {"force": True}):
        with pytest.raises(InputError, match=rf"{name}: was not measured by calhard") as told:
            measure(log, history, **options)
        assert "move it out of the history" in str(told.value)
    assert (history / name).exists()


def test_files_that_begin_with_an_underscore_or_a_dot_are_let_be(measured):
    log, history = measured
    (history / "_notes.txt").write_text("theirs")
    (history / ".hidden").write_text("theirs")
    assert measure(log, history).idle
    assert (history / "_notes.txt").exists()


@pytest.mark.parametrize("where", [".", "history", "deep/history"])
def test_a_history_among_the_predictions_is_refused(tmp_path, where):
    write(tmp_path / "log", all=predictions(days=1))
    for source in (tmp_path / "log", (tmp_path / "log").as_uri()):
        with pytest.raises(ConfigError, match="lies among the predictions"):
            measure(source, tmp_path / "log" / where)
    assert sorted(p.name for p in (tmp_path / "log").iterdir()) == ["all.parquet"]


def test_a_history_among_the_predictions_whose_name_hides_it_is_fine(tmp_path):
    log = write(tmp_path / "log", all=predictions(days=1))
    measure(log, log / "_history")
    assert measure(log, log / "_history").idle


@pytest.mark.parametrize("place", ["2026-05.parquet", f"{BINS}/2026-05.parquet"])
def test_a_part_that_is_gone_or_cut_is_told_and_force_mends_it(measured, place):
    log, history = measured
    before = content(history)
    whole = (history / place).read_bytes()
    (history / place).write_bytes(whole[:-7])
    with pytest.raises(InputError, match=rf"{place}: has .* bytes; _manifest.json tells of"):
        measure(log, history)
    (history / place).unlink()
    with pytest.raises(InputError, match=rf"{place}: is missing.*put the file back"):
        measure(log, history)
    measure(log, history, force=True)
    assert content(history) == before


def test_a_part_with_a_flipped_bit_is_told_before_anything_is_merged_into_it(measured):
    log, history = measured
    part = history / "2026-05.parquet"
    damaged = bytearray(part.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    part.write_bytes(bytes(damaged))
    before = content(history, manifest=True)
    write(log, c=days_of(predictions(rows=20))[4])
    with pytest.raises(InputError, match=r"2026-05.parquet: is not what was measured"):
        measure(log, history)
    assert content(history, manifest=True) == before
    assert measure(log, history, force=True).written == ("2026-04", "2026-05")


def test_two_runs_at_once_one_measures_and_the_other_ends_with_75(measured):
    log, history = measured
    write(log, c=days_of(predictions(rows=20))[4])
    refused = []

    def second(stage, done, total, rows):
        with pytest.raises(HistoryInProgress, match=r"is being written by process \d+") as told:
            measure(log, history)
        refused.append((stage, told.value.exit_code))

    measure(log, history, progress=second)
    assert {stage for stage, _ in refused} == {"scatter", "measure", "merge"}
    assert {code for _, code in refused} == {75}
    assert measure(log, history).idle


def test_a_run_that_waits_for_nobody_finds_what_another_did_meanwhile(measured, monkeypatch):
    log, history = measured
    write(log, c=days_of(predictions(rows=20))[4])
    real, faster = fcntl.flock, []

    def flock(handle, operation):
        if not faster:
            faster.append(True)
            assert len(measure(log, history).periods) == 1
        return real(handle, operation)

    monkeypatch.setattr("fcntl.flock", flock)
    assert measure(log, history).idle


def test_what_a_dead_run_left_in_staging_is_swept(measured):
    log, history = measured
    before = content(history, manifest=True)
    (history / STAGING / "0123" / "rows").mkdir(parents=True)
    (history / STAGING / "0123" / "rows" / "0001-000000.rows").write_bytes(b"half")
    assert measure(log, history).idle
    assert not (history / STAGING).exists()
    assert content(history, manifest=True) == before


def test_a_decided_commit_is_finished_though_its_sources_are_gone_by_then(
    measured, tmp_path, monkeypatch
):
    log, history = measured
    day = days_of(predictions(rows=20))[4]
    shutil.copytree(history, tmp_path / "undisturbed")
    write(log, c=day)
    measure(log, tmp_path / "undisturbed")
    stop = RuntimeError("the power went out")

    def fail(source, target):
        raise stop

    with monkeypatch.context() as broken:
        broken.setattr("calhard.store.disk.replace", fail)
        with pytest.raises(RuntimeError, match="power"):
            measure(log, history)
    (log / "c.parquet").unlink()
    report = measure(log, history)
    assert report.files.vanished == ("c.parquet",)
    assert content(history) == content(tmp_path / "undisturbed")


@pytest.mark.parametrize("stage", ["scatter", "measure", "merge"])
def test_an_interrupt_leaves_the_history_as_it_was_and_nothing_staged(measured, stage):
    log, history = measured
    before = content(history, manifest=True)
    write(log, c=days_of(predictions(rows=20))[4])

    def interrupt(now, done, total, rows):
        if now == stage:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(log, history, progress=interrupt)
    assert content(history, manifest=True) == before
    assert not (history / STAGING).exists()
    assert len(measure(log, history).periods) == 1


def test_a_foreign_file_is_never_removed_by_a_forced_run(measured):
    log, history = measured
    (log / "a.parquet").unlink()
    (history / "_mine.parquet").write_bytes(b"theirs")
    (history / BINS / "mine.parquet").write_bytes(b"theirs")
    measure(log, history, force=True)
    assert not (history / "2026-04.parquet").exists()
    assert not (history / BINS / "2026-04.parquet").exists()
    assert (history / "_mine.parquet").exists()
    assert (history / BINS / "mine.parquet").exists()


def test_names_of_sources_never_become_paths(tmp_path):
    log = predictions(days=1)
    names = ("..%2f..%2fetc", "<script>", "a b\n", "é" * 60)
    for i, name in enumerate(names):
        write(tmp_path / "log", **{name: log.slice(i * 60, 60)})
    measure(tmp_path / "log", tmp_path / "history")
    assert set(content(tmp_path / "history")) == {*("2026-04.parquet", f"{BINS}/2026-04.parquet")}
    assert (tmp_path / "history" / MANIFEST).read_text().isascii()
    assert pq.read_table(tmp_path / "history" / "2026-04.parquet").num_rows == 6
