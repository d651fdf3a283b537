"""Storage that fails for a while, under the workers of an audit: tried again, told, or left out."""

import errno
import logging
import os
from dataclasses import replace

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from calhard.engines import LocalEngine
from calhard.errors import PublishError
from calhard.pipeline import run_audit
from calhard.pipeline.stages import TOLERANT
from calhard.plan import AuditPlan
from calhard.store import list_nights
from tests.faults.fleets import audit, contents, coverage, fleet
from tests.store.remote import DENIED, DOWN, FAILS, bucket

__all__ = ["bucket"]
NAMES = [(f"m{i}", "c") for i in range(6)]


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    """As patient as ever, but with pauses that a test can wait for."""
    pauses = tuple(seconds / 1_000 for seconds in TOLERANT.patience)
    assert len(pauses) == 3
    monkeypatch.setattr("calhard.pipeline.run.TOLERANT", replace(TOLERANT, patience=pauses))


def write(folder):
    """Write a history of two files of three models each."""
    folder.mkdir()
    table = fleet(NAMES)
    first = pc.less(table["model_id"], "m3")
    pq.write_table(table.filter(first), folder / "a.parquet", row_group_size=64)
    pq.write_table(table.filter(pc.invert(first)), folder / "b.parquet", row_group_size=64)
    return folder


@pytest.fixture
def there(bucket, tmp_path):
    """A history in a bucket, and the night of it where nothing fails."""
    history = write(tmp_path / "history")
    bucket.send(history, "history")
    audit(history, tmp_path / "sound")
    return bucket.uri("history"), contents(tmp_path / "sound")


def refusing(gate, stage, how, times, name="b.parquet"):
    """Refuse so many requests for a file from a stage's beginning on; a progress to be given."""
    left = [0]

    def which(number, request):
        if request.startswith("GET") and request.endswith(name) and left[0]:
            left[0] -= 1
            return how
        return None

    def progress(told, done, total, rows):
        if (told, done) == (stage, 0):
            left[0] = times

    gate.refuse = which
    return progress


@pytest.mark.parametrize("how", [FAILS, DOWN], ids=["503", "cut"])
@pytest.mark.parametrize("stage", ["assess", "series"])
def test_a_server_that_fails_three_times_costs_nothing_but_time(
    bucket, there, tmp_path, caplog, stage, how
):
    history, sound = there
    progress = refusing(bucket.gate, stage, how, 3)
    with caplog.at_level(logging.WARNING, "calhard"):
        report = run_audit(
            history, AuditPlan(), out=tmp_path / "out", engine=LocalEngine(1), progress=progress
        )
    assert report.exit_code == 0
    assert contents(tmp_path / "out")["evidence.parquet"] == sound["evidence.parquet"]
    assert coverage(tmp_path / "out", "file") == []
    told = [record.getMessage() for record in caplog.records]
    assert [line.rpartition("; ")[2].partition(" in ")[0] for line in told] == [
        "try 2 of 4",
        "try 3 of 4",
        "try 4 of 4",
    ]
    assert all("history/b.parquet: cannot be read: the server" in line for line in told)


def test_a_file_that_a_server_does_not_give_is_left_out_in_the_end(bucket, there, tmp_path):
    progress = refusing(bucket.gate, "assess", FAILS, 10_000)
    report = run_audit(
        there[0], AuditPlan(), out=tmp_path / "out", engine=LocalEngine(1), progress=progress
    )
    assert report.exit_code == 3
    ((outcome, reason, _, name),) = coverage(tmp_path / "out", "file")
    assert (outcome, name) == ("rejected", "b.parquet")
    assert "the server failed or is overloaded; run again later" in reason
    assert coverage(tmp_path / "out", "model") == [("audited", "", 3, "")]


def test_what_a_server_refuses_is_not_asked_for_again(bucket, there, tmp_path, caplog):
    progress = refusing(bucket.gate, "assess", DENIED, 10_000)
    run_audit(there[0], AuditPlan(), out=tmp_path / "out", engine=LocalEngine(1), progress=progress)
    assert coverage(tmp_path / "out", "file")[0][3] == "b.parquet"
    assert not [record for record in caplog.records if "storage failed" in record.getMessage()]


def failing(monkeypatch, number, times):
    """Let so many marks of shards fail to be put in their place; return how many were tried."""
    rename, tried = os.rename, []

    def broken(source, target):
        if str(target).endswith(".assessed"):
            tried.append(target)
            if len(tried) <= times:
                raise OSError(number, os.strerror(number), str(target))
        return rename(source, target)

    monkeypatch.setattr("os.rename", broken)
    return tried


def test_a_shared_disk_that_is_away_for_a_moment_costs_nothing_but_time(tmp_path, monkeypatch):
    history = write(tmp_path / "history")
    audit(history, tmp_path / "sound")
    tried = failing(monkeypatch, errno.ESTALE, 3)
    audit(history, tmp_path / "out")
    assert len(tried) == 4
    assert contents(tmp_path / "out") == contents(tmp_path / "sound")


@pytest.mark.parametrize(("name", "tries"), [("EIO", 4), ("ENOSPC", 1), ("EACCES", 1)])
def test_a_disk_that_stays_broken_fails_the_night_with_what_it_says(
    tmp_path, monkeypatch, name, tries
):
    history = write(tmp_path / "history")
    number = getattr(errno, name)
    tried = failing(monkeypatch, number, 10_000)
    with pytest.raises(PublishError, match=f"{os.strerror(number)}; nothing was published"):
        audit(history, tmp_path / "out")
    assert len(tried) == tries
    assert list_nights(tmp_path / "out") == []
