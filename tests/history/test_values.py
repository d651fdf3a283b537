"""Values of every kind are kept apart, and duplicates count once (faults 7, 8 and 9)."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calhard.history.groups import AGREE, DISAGREE
from calhard.series import MISSING, NOT_FINITE
from tests.blocks import AS_OF, HOUR
from tests.history.reading import UTC_US, hours, read, rows, write
from tests.history.test_sources import csv, ipc

NAN, INF = float("nan"), float("inf")
KEPT = [0.0, 1.0, 5e-324, -5e-324, 2.2e-308, 1.7976931348623157e308, -3.0, 7.5, 1 / 3]


@pytest.mark.parametrize("writer", [write, ipc], ids=["parquet", "ipc"])
@pytest.mark.parametrize("value", KEPT)
def test_finite_values_keep_their_bits_in_range_or_not(value, writer, tmp_path):
    found = read(writer(tmp_path / "h", rows(("a",), ("x",), 2, aece=[value, 0.5])))
    assert found.groups["a", "x"].values["aece"] == np.array([value, 0.5]).tobytes()


def test_minus_zero_keeps_its_sign(tmp_path):
    found = read(write(tmp_path / "h.parquet", rows(("a",), ("x",), 1, aece=[-0.0])))
    assert found.groups["a", "x"].values["aece"] == np.array([-0.0]).tobytes()


@pytest.mark.parametrize("writer", [write, ipc, csv], ids=["parquet", "ipc", "csv"])
def test_nan_and_infinities_are_reported_failures_and_null_is_missing(writer, tmp_path):
    values = pa.array([NAN, INF, -INF, None, 0.5], from_pandas=False)
    path = writer(tmp_path / "h", rows(("a",), ("x",), 5, aece=values))
    found = read(path).groups["a", "x"].of("aece")
    assert found[:3] == [NOT_FINITE] * 3
    assert np.isnan(found[3])
    assert np.isnan(MISSING)
    assert found[4] == 0.5


def test_sums_that_overflow_hide_no_value(tmp_path):
    largest = 1.7976931348623157e308
    for values in ([largest] * 4, [largest, -largest, largest, NAN], [INF, -INF, 0.1, 0.2]):
        column = pa.array(values, from_pandas=False)
        found = read(write(tmp_path / "h.parquet", rows(("a",), ("x",), 4, aece=column)))
        expected = [v if np.isfinite(v) else INF for v in values]
        assert found.groups["a", "x"].of("aece") == expected


@given(st.lists(st.none() | st.floats(), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_any_floats_are_kept_apart_as_documented(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("v") / "h.parquet"
    column = pa.array(values, pa.float64(), from_pandas=False)
    found = read(write(path, rows(("a",), ("x",), len(values), aece=column)))
    expected = [NAN if v is None else v if np.isfinite(v) else INF for v in values]
    assert found.groups["a", "x"].values["aece"] == np.array(expected, np.float64).tobytes()


def test_numbers_beyond_float32_and_int32_are_not_narrowed(tmp_path):
    big = [2**53, 2**40 + 1, 2**31, 3]
    found = read(write(tmp_path / "h.parquet", rows(("a",), ("x",), 4, total_samples=big)))
    assert np.frombuffer(found.groups["a", "x"].samples).tolist() == big


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        *((value, "negative") for value in (-1.0, -0.5)),
        *((value, "not finite") for value in (NAN, INF, -INF)),
    ],
)
def test_a_weight_that_is_no_count_refuses_its_row(samples, reason, tmp_path):
    column = pa.array([1.0, samples, None, 0.0], from_pandas=False)
    found = read(write(tmp_path / "h.parquet", rows(("a",), ("x",), 4, total_samples=column)))
    assert found.counts() == {f"total_samples is {reason}": 1}
    weights = np.frombuffer(found.groups["a", "x"].samples)
    assert weights[0] == 1.0
    assert np.isnan(weights[1])
    assert weights[2] == 0.0


def test_without_weights_there_are_none(tmp_path):
    assert read(write(tmp_path / "h.parquet", rows())).groups["a", "x"].samples is None


def twice(tmp_path, first, second, name="aece", **columns):
    """One series whose newest row stands twice, with these values of a column."""
    stamps = pa.array([AS_OF - HOUR, AS_OF, AS_OF], UTC_US)
    standard = {"aece": [0.1] * 3} | columns
    fields = standard | {name: pa.array([0.1, first, second], from_pandas=False)}
    table = rows(("a",), ("x",), 3, timestamp=stamps, **fields)
    return read(write(tmp_path / "h.parquet", table)), read(
        write(tmp_path / "r.parquet", table.take([2, 0, 1]))
    )


@pytest.mark.parametrize("value", [0.5, None, NAN, INF, 0.0])
def test_duplicates_that_agree_count_once(value, tmp_path):
    for found in twice(tmp_path, value, value):
        group = found.groups["a", "x"]
        assert group.timestamp == [AS_OF - HOUR, AS_OF]
        assert not group.conflicting
        assert found.account.counts == {("duplicate", AGREE): 1}
        assert found.account.rows == 2


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [(0.5, 0.6, 0.6), (0.5, None, 0.5), (0.5, NAN, INF), (None, NAN, INF), (-0.5, -0.6, -0.5)],
)
def test_duplicates_that_disagree_make_the_group_conflicting_in_any_order(
    first, second, kept, tmp_path
):
    forwards, backwards = twice(tmp_path, first, second)
    swapped, _ = twice(tmp_path, second, first)
    assert forwards.groups == backwards.groups == swapped.groups
    group = forwards.groups["a", "x"]
    assert group.conflicting
    assert group.of("aece") == [0.1, kept]
    assert forwards.account.counts == {("duplicate", DISAGREE): 1}


def test_zero_and_minus_zero_agree_and_leave_zero_in_any_order(tmp_path):
    one, other = twice(tmp_path, 0.0, -0.0), twice(tmp_path, -0.0, 0.0)
    for found in (*one, *other):
        group = found.groups["a", "x"]
        assert not group.conflicting
        assert group.values["aece"] == np.array([0.1, 0.0]).tobytes()


def test_weights_that_disagree_conflict_too(tmp_path):
    found, _ = twice(tmp_path, 7.0, 8.0, "total_samples")
    assert found.groups["a", "x"].conflicting


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [0, 2, 1, 3], [3, 2, 1, 0]])
def test_of_the_tags_of_duplicates_the_last_by_the_alphabet_stays(order, tmp_path):
    stamps = pa.array([AS_OF] * 4, UTC_US)
    table = rows(("a",), ("x",), 4, timestamp=stamps, aece=[0.1] * 4, tag=["b", "c", None, "a"])
    found = read(write(tmp_path / "h.parquet", table.take(order)))
    assert found.groups["a", "x"].tags == {"tag": "c"}
    assert found.counts() == {AGREE: 3}


def test_the_example_of_a_duplicate_is_the_first_by_model_class_and_time(tmp_path):
    table = rows(("b", "a b", "a"), n=2)
    doubled = pa.concat_tables([table, table.slice(0, 8), table])
    found = read(write(tmp_path / "h.parquet", doubled))
    (row,) = [r for r in found.account.coverage() if r["outcome"] == "duplicate"]
    assert row["count"] == 20
    assert row["example"] == (
        "model_id = 'a', class_id = 'x', timestamp = '2026-05-31 23:00:00+00:00'"
    )
    assert row["remedy"]


def test_conflicts_stay_within_their_group(tmp_path):
    table = rows(n=3)
    other = table.set_column(3, "aece", pa.array([0.9] * 12))
    found = read(write(tmp_path / "h.parquet", pa.concat_tables([table, other.slice(4, 1)])))
    assert [k for k, g in found.groups.items() if g.conflicting] == [("a", "y")]
    assert found.counts() == {DISAGREE: 1}


@pytest.mark.parametrize("copies", [2, 5])
def test_the_same_file_many_times_changes_nothing(copies, tmp_path):
    table = rows(total_samples=list(range(16)), region=["n", "s"] * 8)
    expected = read(write(tmp_path / "one.parquet", table))
    for number in range(copies):
        write(tmp_path / "h" / f"{number}.parquet", table)
    found = read(tmp_path / "h")
    assert found.groups == expected.groups
    assert found.account.counts == {("duplicate", AGREE): 16 * (copies - 1)}
    assert found.account.rows == 16


def test_timestamps_that_differ_by_less_than_a_microsecond_are_the_same(tmp_path):
    stamps = pa.array([AS_OF * 1_000 - 999, AS_OF * 1_000 - 1], pa.timestamp("ns", "UTC"))
    table = rows(("a",), ("x",), 2, timestamp=stamps, aece=[0.1, 0.1])
    assert read(write(tmp_path / "h.parquet", table)).counts() == {AGREE: 1}


def test_the_whole_models_rows_are_a_class_of_their_own(tmp_path):
    found = read(write(tmp_path / "h.parquet", rows(classes=("__all__", "x"))))
    assert ("a", "__all__") in found.groups
    assert found.groups["a", "__all__"].timestamp == hours(4)
