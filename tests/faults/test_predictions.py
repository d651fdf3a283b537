"""Faults in predictions, measured to the end: what is bad is told of and changes no other byte."""

import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from calhard.measure import pieces
from tests.history.test_names import raw_names
from tests.measure.logs import MANIFEST, content, measure, predictions, rows_of, write
from tests.measure.test_names import HOSTILE, SOUND

UTC_US = pa.timestamp("us", "UTC")


@pytest.fixture(autouse=True)
def no_sync(monkeypatch):
    """Every step is taken; the machine's own disk need not be waited for."""
    monkeypatch.setattr("os.fsync", lambda handle: None)


@pytest.fixture(scope="module")
def log():
    return predictions()


@pytest.fixture(scope="module")
def sound(log, tmp_path_factory):
    """The files of the history of a sound log."""
    folder = tmp_path_factory.mktemp("sound")
    assert measure(write(folder / "log", good=log), folder / "history").exit_code == 0
    return content(folder / "history")


def with_column(table, name, values):
    return table.set_column(table.schema.get_field_index(name), name, pa.array(values))


def broken_at_its_end(path, table):
    """Write a file of many row groups of which the last cannot be read."""
    pq.write_table(table, path, row_group_size=100, compression="none", write_page_checksum=True)
    raw = bytearray(path.read_bytes())
    meta = pq.read_metadata(path)
    chunk = meta.row_group(meta.num_row_groups - 1).column(3)
    end = chunk.data_page_offset + chunk.total_compressed_size
    raw[end - 64 : end] = bytes(64)
    path.write_bytes(raw)


@pytest.mark.parametrize("task_rows", [250, 10**6])
def test_files_that_are_bad_in_any_way_leave_the_history_of_the_others(
    task_rows, log, sound, tmp_path, monkeypatch
):
    monkeypatch.setattr(pieces, "TASK_ROWS", task_rows)
    other = predictions(seed=7, models=("c", "d"))
    home = write(tmp_path / "log", good=log, whole=other)
    whole = (home / "whole.parquet").read_bytes()
    (home / "whole.parquet").unlink()
    (home / "empty.parquet").touch()
    (home / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    (home / "tail.parquet").write_bytes(whole[-len(whole) // 2 :])
    (home / "words.txt").write_text("no predictions")
    (home / "cells.csv").write_text(
        "model_id,class_id,timestamp,score,label\nc,x,1777400000,0.5,1\nc,x,1777400000,0.5,yes\n"
    )
    broken_at_its_end(home / "late.parquet", other)
    write(home, named=other.rename_columns(["model", *other.schema.names[1:]]))
    write(home, typed=with_column(other, "score", ["0.5"] * other.num_rows))
    seconds = pa.array(other["timestamp"].cast(pa.int64()).to_numpy())
    write(home, units=with_column(other, "timestamp", seconds))
    report = measure(home, tmp_path / "history")
    assert sorted(report.account.files) == [
        *("cells.csv", "cut.parquet", "empty.parquet", "late.parquet", "named.parquet"),
        *("tail.parquet", "typed.parquet", "units.parquet", "words.txt"),
    ]
    assert all(reason and remedy for reason, remedy in report.account.files.values())
    assert content(tmp_path / "history") == sound


def odd_rows(log):
    """Rows that are refused, one kind after the other, and each reason."""
    one = log[:1].drop(["region"])
    raw = one.schema.get_field_index("model_id")

    def instant(text):
        return pa.array(np.array([text], "M8[us]"), UTC_US)

    far = "x" * 65_536
    yield "model_id is null or empty", with_column(one, "model_id", pa.nulls(1, pa.string()))
    yield "class_id is null or empty", with_column(one, "class_id", [""])
    yield "id longer than 1,024 bytes", with_column(one, "class_id", [far])
    yield "id is not UTF-8", one.set_column(raw, "model_id", raw_names([b"\xff\xfe"]))
    yield "class_id __all__ is made by measure", with_column(one, "class_id", ["__all__"])
    yield "timestamp is null", with_column(one, "timestamp", pa.nulls(1, UTC_US))
    yield "timestamp before 1990", with_column(one, "timestamp", instant("1970-01-01"))
    yield "timestamp in the future", with_column(one, "timestamp", instant("9999-12-31"))
    for weight in (-1.0, -5e-324):
        yield "weight is negative", one.append_column("weight", pa.array([weight]))
    for weight in (np.nan, np.inf, -np.inf):
        column = pa.array([weight], from_pandas=False)
        yield "weight is not finite", one.append_column("weight", column)
    for weight in (1e300, 1e-300):
        told = "weight outside of 1e-100 to 1e100"
        yield told, one.append_column("weight", pa.array([weight]))
    yield "mask is neither true nor false", one.append_column("mask", pa.array([2]))


def test_refused_rows_are_counted_with_place_and_remedy_and_change_no_byte(log, sound, tmp_path):
    home = write(tmp_path / "log", good=log)
    expected = {}
    for number, (reason, table) in enumerate(odd_rows(log)):
        write(home, **{f"odd-{number}": table})
        expected[reason] = expected.get(reason, 0) + 1
    report = measure(home, tmp_path / "history")
    told = {r["reason"]: r for r in report.account.coverage() if r["outcome"] == "rejected"}
    assert {reason: row["count"] for reason, row in told.items()} == expected
    for row in told.values():
        assert re.match(r"odd-\d+\.parquet, row 1: \w+ = ", row["example"])
        assert len(row["example"]) < 150
        assert row["remedy"]
    assert report.account.rejected == sum(expected.values())
    assert content(tmp_path / "history") == sound


@pytest.mark.parametrize(
    ("column", "values", "counted"),
    [
        ("score", [np.nan, np.inf, -np.inf, -5e-324, 1 + 2**-52], "score_range_violations"),
        ("label", [np.nan, np.inf, -1.0, 1.5, -5e-324], "label_range_violations"),
        ("label", [None] * 5, "unlabelled_rows"),
        ("score", [None] * 5, None),
    ],
)
def test_values_that_are_none_never_make_a_metric_better_and_are_counted(
    column, values, counted, log, tmp_path
):
    measure(write(tmp_path / "clean", good=log), tmp_path / "before")
    bad = with_column(log[:5], column, pa.array(values, pa.float64(), from_pandas=False))
    measure(write(tmp_path / "log", good=log, bad=bad), tmp_path / "after")
    before, after = rows_of(tmp_path / "before"), rows_of(tmp_path / "after")
    changed = {"unusable_rows", counted} - {None}
    assert before.keys() == after.keys()
    for key, row in after.items():
        # A whole model's rows pool or follow the classes'; its counts are theirs.
        same = {name: v for name, v in row.items() if name not in changed | {"top_label"}}
        if key[1] != "__all__":
            assert same == {name: before[key][name] for name in same}
    own = [key for key in after if key[1] != "__all__"]
    for name in changed:
        assert sum(after[k][name] or 0 for k in own) == sum(before[k][name] or 0 for k in own) + 5


def test_minus_zero_denormals_and_whole_numbers_are_the_values_that_they_are(tmp_path):
    size, rng = 200, np.random.default_rng(0)
    score, label = rng.integers(0, 2, size) * 1.0, rng.integers(0, 2, size) * 1.0
    standard = {
        "model_id": ["m"] * size,
        "class_id": ["c"] * size,
        "timestamp": pa.array(np.full(size, "2026-05-04", "M8[us]"), UTC_US),
    }
    plain = pa.table(standard | {"score": score, "label": label})
    signed = pa.table(
        standard
        | {
            "score": np.where(score == 0.0, -0.0, score),
            "label": np.where(label == 0.0, -0.0, label),
        }
    )
    whole = pa.table(standard | {"score": score.astype(np.int8), "label": label == 1.0})
    found = []
    for number, table in enumerate((plain, signed, whole)):
        home = tmp_path / str(number)
        measure(write(home / "log", all=table), home / "history")
        found.append(content(home / "history"))
    assert found[0] == found[1] == found[2]
    tiny = with_column(plain, "score", np.where(score == 0.0, 5e-324, score))
    measure(write(tmp_path / "tiny", all=tiny), tmp_path / "history")
    (row,) = rows_of(tmp_path / "history").values()
    assert row["total_samples"] == size
    assert row["score_range_violations"] == 0


def test_hostile_names_stay_in_the_columns_and_reach_no_path(tmp_path):
    names = sorted({*SOUND, *HOSTILE})
    table = predictions(days=1, rows=5, models=names, classes=("x",))
    tagged = table.append_column("tag", table["model_id"])
    home = write(tmp_path / "log", all=tagged)
    before = set(tmp_path.rglob("*"))
    measure(home, tmp_path / "history")
    found = pq.read_table(next((tmp_path / "history").glob("2026-*.parquet")))
    assert found["model_id"].to_pylist() == names
    assert found["tag"].to_pylist() == names
    allowed = re.compile(
        r"history(/(_bins|_bins/)?(2026-04\.parquet)?|/_lock)?|history/" + MANIFEST
    )
    written = {p.relative_to(tmp_path).as_posix() for p in set(tmp_path.rglob("*")) - before}
    assert [name for name in written if not allowed.fullmatch(name)] == []


def test_a_class_of_every_model_is_one_series_whatever_type_its_name_has(tmp_path):
    table = predictions(days=1, models=("1", "2"), classes=("7",))
    numbers = table
    for name in ("model_id", "class_id"):
        numbers = with_column(numbers, name, table[name].cast(pa.int64()).to_numpy())
    half = table.num_rows // 2
    measure(write(tmp_path / "one", all=table), tmp_path / "text")
    measure(write(tmp_path / "two", a=table[:half], b=numbers[half:]), tmp_path / "mixed")
    assert content(tmp_path / "text") == content(tmp_path / "mixed")
