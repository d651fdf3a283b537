"""Rows of predictions: what every row's state is, what is refused, how rows are joined."""

import itertools
import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calhard.measure.rows import NO_EXAMPLE, PredictionRows, concatenate
from tests.history.reading import write
from tests.history.test_sources import csv, ipc
from tests.measure.reading import log, read

NAN, INF = float("nan"), float("inf")
WRITERS = [pytest.param(w, id=n) for w, n in ((write, "parquet"), (ipc, "ipc"), (csv, "csv"))]


def state_of(score, label, mask, weight):
    """The state of a row, by the words of the documentation; None is null."""

    def sound(value):
        return math.isfinite(value) and 0.0 <= value <= 1.0

    lacking = score is None or label is None
    if mask is False:
        return "masked" if lacking else "mismatch"
    if score is not None and not sound(score):
        return "out of range"
    if lacking and mask is True:
        return "mismatch"
    if lacking:
        return "missing" if score is None else "unlabelled"
    if not sound(label):
        return "bad label"
    return "weightless" if weight == 0.0 else "used"


def floats(values):
    return pa.array(values, pa.float64(), from_pandas=False)


SCORES = [0.0, -0.0, 1.0, 0.5, 5e-324, 1.0 + 2**-52, -5e-324, 2.0, -1.0, NAN, INF, -INF, None]
MASKS, WEIGHTS = [True, False, None], [1.0, 0.0, -0.0, 1e-100, 1e100, None]
EVERY = list(itertools.product(SCORES, SCORES, MASKS, WEIGHTS))


@pytest.mark.parametrize("writer", WRITERS)
def test_every_combination_of_values_has_the_state_that_the_words_give_it(writer, tmp_path):
    score, label, mask, weight = map(list, zip(*EVERY, strict=True))
    table = log(
        len(EVERY), score=floats(score), label=floats(label), mask=mask, weight=floats(weight)
    )
    found = read(writer(tmp_path / "p", table))
    assert found.states == [state_of(*row) for row in EVERY]
    assert set(found.states) == {state_of(*row) for row in EVERY}
    assert found.counts() == {}


def test_without_mask_and_weight_nothing_is_masked_or_weighs_anything_but_1(tmp_path):
    pairs = list(itertools.product(SCORES, SCORES))
    score, label = map(list, zip(*pairs, strict=True))
    table = log(len(pairs), score=floats(score), label=floats(label))
    found = read(write(tmp_path / "p.parquet", table))
    assert found.states == [state_of(*pair, None, None) for pair in pairs]
    assert found.rows.weight is None
    assert found.rows.example is None


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.none() | st.floats(),
            st.none() | st.floats(),
            st.none() | st.booleans(),
            st.none() | st.just(0.0) | st.floats(1e-100, 1e100),
        ),
        min_size=1,
        max_size=30,
    )
)
def test_any_values_have_the_state_that_the_words_give_them(tmp_path_factory, rows):
    score, label, mask, weight = map(list, zip(*rows, strict=True))
    columns = {"score": floats(score), "label": floats(label), "weight": floats(weight)}
    table = log(len(rows), mask=pa.array(mask, pa.bool_()), **columns)
    found = read(write(tmp_path_factory.mktemp("p") / "p.parquet", table))
    assert found.states == [state_of(*row) for row in rows]
    for kept, given_ in ((found.rows.score, score), (found.rows.label, label)):
        expected = np.array([NAN if v is None else v + 0.0 for v in given_])
        assert np.array_equal(kept, expected, equal_nan=True)
        assert np.array_equal(np.signbit(kept[kept == 0.0]), np.zeros((kept == 0.0).sum()))
    assert found.rows.weight.tolist() == [1.0 if w is None else w for w in weight]


def test_minus_zero_counts_as_zero_in_every_column(tmp_path):
    table = log(3, score=[-0.0] * 3, label=[-0.0] * 3, weight=[-0.0, 1.0, 1.0])
    rows = read(write(tmp_path / "p.parquet", table)).rows
    for column in (rows.score, rows.label, rows.weight):
        assert not np.signbit(column).any()
    assert rows.state.tolist() == [7, 0, 0]


def test_soft_labels_are_used_as_they_are(tmp_path):
    labels = [0.0, 1 / 3, 1.0, 5e-324]
    found = read(write(tmp_path / "p.parquet", log(label=labels)))
    assert found.states == ["used"] * 4
    assert found.rows.label.tolist() == labels


def test_nan_is_reported_and_null_is_missing_for_labels_too(tmp_path):
    found = read(write(tmp_path / "p.parquet", log(2, label=floats([NAN, None]))))
    assert found.states == ["bad label", "unlabelled"]


def test_a_signalling_nan_is_a_nan(tmp_path):
    nan = np.array([0x7FF0000000000001, 0xFFF0000000000001], np.uint64).view(np.float64)
    table = log(2, score=nan, label=nan, weight=nan, mask=[True, True])
    found = read(ipc(tmp_path / "p.arrow", table))
    assert found.counts() == {"weight is not finite": 2}
    found = read(ipc(tmp_path / "p.arrow", table.drop(["weight", "mask"])))
    assert found.states == ["out of range"] * 2
    odd = table.drop(["weight"]).set_column(5, "mask", pa.array(nan))
    assert read(ipc(tmp_path / "p.arrow", odd)).counts() == {"mask is neither true nor false": 2}


def test_a_null_mask_is_none(tmp_path):
    score, label = floats([None, 0.5, 0.5]), floats([0.0, None, 1.0])
    masked = log(3, score=score, label=label, mask=pa.nulls(3, pa.bool_()))
    found = read(write(tmp_path / "p.parquet", masked))
    assert found.states == ["missing", "unlabelled", "used"]


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize(
    ("weight", "reason"),
    [
        (-1.0, "weight is negative"),
        (-5e-324, "weight is negative"),
        (NAN, "weight is not finite"),
        (INF, "weight is not finite"),
        (-INF, "weight is not finite"),
        (np.nextafter(1e100, INF), "weight outside of 1e-100 to 1e100"),
        (np.nextafter(1e-100, 0.0), "weight outside of 1e-100 to 1e100"),
        (5e-324, "weight outside of 1e-100 to 1e100"),
        (1.7976931348623157e308, "weight outside of 1e-100 to 1e100"),
    ],
)
def test_a_weight_that_cannot_weigh_refuses_its_row(weight, reason, writer, tmp_path):
    table = log(weight=floats([1.0, None, weight, 0.5]))
    found = read(writer(tmp_path / "p", table))
    assert found.counts() == {reason: 1}
    assert found.rows.weight.tolist() == [1.0, 1.0, 0.5]
    assert ", row 3: weight = '" in found.example(reason)


@pytest.mark.parametrize("value", [0.5, 2.0, -1.0, NAN, INF])
def test_a_mask_that_is_neither_true_nor_false_refuses_its_row(value, tmp_path):
    found = read(write(tmp_path / "p.parquet", log(mask=floats([1.0, value, 1.0, None]))))
    assert found.counts() == {"mask is neither true nor false": 1}
    assert found.example("mask is neither true nor false").startswith("p.parquet, row 2: mask = ")
    assert len(found) == 3


def test_rows_of_the_whole_model_are_refused_for_measure_makes_them(tmp_path):
    found = read(write(tmp_path / "p.parquet", log(class_id=["c", "__all__", "__all__", "d"])))
    reason = "class_id __all__ is made by measure"
    assert found.counts() == {reason: 2}
    assert found.example(reason) == "p.parquet, row 2: class_id = '__all__'"
    assert found.pairs == [("m", "c"), ("m", "d")]
    alone = read(write(tmp_path / "alone.parquet", log(class_id=["__all__"] * 4)))
    assert alone.counts() == {reason: 4}
    assert len(alone) == 0


def test_a_row_that_breaks_several_rules_is_counted_once_by_the_first(tmp_path):
    table = log(
        4,
        model_id=[None, "m", "m", "m"],
        class_id=["__all__", "__all__", "__all__", "c"],
        timestamp=pa.array([0, 0, 1_700_000_000, None], pa.int64()),
        weight=[-1.0] * 4,
    )
    found = read(write(tmp_path / "p.parquet", table))
    assert found.counts() == {
        "model_id is null or empty": 1,
        "timestamp before 1990": 1,
        "class_id __all__ is made by measure": 1,
        "timestamp is null": 1,
    }
    assert len(found) == 0


def test_every_reason_has_a_first_place_and_a_remedy(tmp_path):
    score = floats([None, 0.5, 2.0, 0.5, 0.5, 0.5, 0.5, 0.5])
    label = floats([1.0, None, 1.0, 7.0, 1.0, None, 1.0, 1.0])
    mask = [None, None, None, None, False, False, None, None]
    table = log(8, score=score, label=label, mask=mask, weight=floats([1.0] * 6 + [0.0, 1.0]))
    found = read(write(tmp_path / "p.parquet", table))
    places = {
        "score is null": "row 1: score = null",
        "label is null": "row 2: label = null",
        "score is not in [0, 1]": "row 3: score = '2.0'",
        "label is not in [0, 1]": "row 4: label = '7.0'",
        "mask contradicts score and label": "row 5: mask = 'False'",
        "masked": "row 6: mask = 'False'",
        "weight is 0": "row 7: weight = '0.0'",
    }
    rows = {r["reason"]: r for r in found.account.coverage("measured")}
    assert rows[""]["outcome"] == "measured"
    assert rows[""]["count"] == 8
    for reason, place in places.items():
        assert rows[reason]["example"] == f"p.parquet, {place}"
        assert rows[reason]["count"] == 1
        assert rows[reason]["outcome"] == "unused"
        assert rows[reason]["remedy"]
    assert found.counts("unused") == dict.fromkeys(places, 1)


def test_equal_rows_are_different_examples_and_all_count(tmp_path):
    table = pa.concat_tables([log(1)] * 3)
    write(tmp_path / "p" / "a.parquet", table)
    write(tmp_path / "p" / "again.parquet", table)
    assert len(read(tmp_path / "p")) == 6


def some(n, *, weight=None, example=None):
    """``n`` rows that can be told apart."""
    at = np.arange(n)
    return PredictionRows(
        at.astype(np.int32), at + 10, at / 2, at / 4, weight, at.astype(np.int8), example, {"t": at}
    )


def test_rows_that_are_taken_are_those_asked_for():
    rows = some(4, weight=np.arange(4.0), example=np.arange(4))
    for which in (np.array([2, 0]), np.array([True, False, True, False]), slice(1, 3)):
        taken = rows.take(which)
        expected = np.arange(4)[which]
        assert taken.pair.tolist() == taken.weight.tolist() == taken.example.tolist()
        assert taken.pair.tolist() == taken.tags["t"].tolist() == expected.tolist()
        assert taken.timestamp.tolist() == (expected + 10).tolist()
        assert taken.score.tolist() == (expected / 2).tolist()
    assert some(2).take(slice(0, 1)).weight is None


def test_rows_that_are_joined_weigh_1_and_name_no_example_where_a_part_says_nothing():
    one = some(2, weight=np.array([3.0, 4.0]))
    other = some(1, example=np.array([9]))
    joined = concatenate([one, other])
    assert joined.weight.tolist() == [3.0, 4.0, 1.0]
    assert joined.example.tolist() == [NO_EXAMPLE, NO_EXAMPLE, 9]
    assert joined.example.dtype == np.int64
    assert joined.pair.tolist() == joined.tags["t"].tolist() == [0, 1, 0]
    assert concatenate([one]) is one
    assert concatenate([some(1), some(1)]).weight is None
