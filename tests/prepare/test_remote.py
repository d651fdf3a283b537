"""Histories on an object store are prepared into a folder like any other."""

import numpy as np
import pytest

from calhard.errors import InputError
from tests.measure.logs import days_of, measure, predictions
from tests.measure.logs import write as logged
from tests.prepare.made import content, lay_out, prepare, rows, seen, small, streams, write
from tests.store.remote import FAILS, bucket

__all__ = ["bucket"]


def test_a_bucket_is_prepared_and_brought_up_to_date_as_a_folder_is(bucket, tmp_path, monkeypatch):
    small(monkeypatch)
    rng = np.random.default_rng(0)
    lay_out(rng, rows(rng), tmp_path / "h")
    bucket.send(tmp_path / "h", "h")
    report = prepare(bucket.uri("h"), tmp_path / "out")
    assert report.source == f"s3://{bucket.name}/h"
    assert prepare(bucket.uri("h"), tmp_path / "out").idle
    new = write(tmp_path / "h" / "new.parquet", rows(rng, size=30))
    bucket.put("h/new.parquet", new.read_bytes())
    report = prepare(bucket.uri("h"), tmp_path / "out")
    assert (report.files.read, report.files.unchanged) == (1, 3)
    assert seen(tmp_path / "out") == seen(tmp_path / "h")
    assert streams(tmp_path / "out")


def test_the_bins_of_a_measured_history_come_from_a_bucket_too(bucket, tmp_path):
    days = days_of(predictions(days=4, rows=20))
    logged(tmp_path / "log", **{f"d{i}": day for i, day in enumerate(days)})
    measure(tmp_path / "log", tmp_path / "h")
    bucket.send(tmp_path / "h", "h")
    prepare(bucket.uri("h"), tmp_path / "out")
    assert seen(tmp_path / "out") == seen(tmp_path / "h")
    there, found = (
        {p.name: p.read_bytes() for p in (tmp_path / name / "_bins").iterdir()}
        for name in ("h", "out")
    )
    assert found == there != {}


def test_a_file_that_the_store_does_not_give_is_left_out_and_read_the_next_time(bucket, tmp_path):
    rng = np.random.default_rng(1)
    for number in range(3):
        write(tmp_path / "h" / f"{number}.parquet", rows(rng))
    bucket.send(tmp_path / "h", "h")
    with bucket.refusing(FAILS, lambda _, asked: asked == f"GET /{bucket.name}/h/1.parquet"):
        report = prepare(bucket.uri("h"), tmp_path / "out")
    assert list(report.account.files) == ["1.parquet"]
    assert report.exit_code == 3
    again = prepare(bucket.uri("h"), tmp_path / "out")
    assert (again.files.read, again.exit_code) == (1, 0 if again.coverage >= 0.99 else 3)
    assert seen(tmp_path / "out") == seen(tmp_path / "h")


def test_a_file_of_which_the_store_tells_nothing_is_left_out(bucket, tmp_path):
    for name in ("a", "b"):
        write(tmp_path / "h" / f"{name}.parquet", rows(np.random.default_rng(2)))
    bucket.send(tmp_path / "h", "h")
    with bucket.refusing(FAILS, lambda _, asked: asked.endswith("/a.parquet")):
        report = prepare(bucket.uri("h"), tmp_path / "out")
    assert list(report.account.files) == ["a.parquet"]
    assert report.coverage == 0.5


def test_a_store_that_fails_after_the_files_were_found_leaves_the_folder_as_it_was(
    bucket, tmp_path
):
    path = write(tmp_path / "h" / "a.parquet", rows(np.random.default_rng(2)))
    bucket.send(tmp_path / "h", "h")
    prepare(bucket.uri("h"), tmp_path / "out")
    before = content(tmp_path / "out")
    bucket.put("h/b.parquet", path.read_bytes())
    found = []

    def listed(_, asked):
        found.append(asked)
        return asked == f"HEAD /{bucket.name}/h/a.parquet" and found.count(asked) > 1

    with (
        bucket.refusing(FAILS, listed),
        pytest.raises(InputError, match=r"cannot be looked at: .*run again"),
    ):
        prepare(bucket.uri("h"), tmp_path / "out")
    assert content(tmp_path / "out") == before
