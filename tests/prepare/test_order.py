"""Rows in order, ranges of keys, and where models are cut, against slow and plain answers."""

from bisect import bisect_right

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calhard.history.ids import Keys
from calhard.prepare.keys import EARLIEST, Bounds, Ranger, after, even_bounds, start_of
from calhard.prepare.order import first_of_models, in_order, key_at, merged, rows_before

NAMES = ("m", "c", "t")
WORDS = st.sampled_from(["a", "a\0", "ab", "b", "é", "\U0001f600", "\uffff", "z" * 40])
STAMPS = st.one_of(st.integers(0, 5), st.sampled_from([-(2**63), 2**63 - 1, 10**15]))
ROWS = st.lists(st.tuples(WORDS, WORDS, STAMPS), max_size=60)


def table(rows):
    m, c, t = zip(*rows, strict=True) if rows else ((), (), ())
    columns = [pa.array(m, pa.large_string()), pa.array(c, pa.large_string())]
    stamps = pa.array(t, pa.int64()).cast(pa.timestamp("us", "UTC"))
    number = pa.array(range(len(rows)), pa.int64())
    return pa.table([*columns, stamps, number], names=[*NAMES, "n"])


def slices(rows, size):
    found = in_order(table(rows), NAMES)
    yield from (found.slice(at, size) for at in range(0, found.num_rows, size))


def keys(found):
    return [key_at(found, row, NAMES) for row in range(found.num_rows)]


@settings(max_examples=100, deadline=None)
@given(ROWS)
def test_rows_come_in_the_order_of_python_and_equal_ones_as_they_came(rows):
    found = in_order(table(rows), NAMES)
    expected = sorted(enumerate(rows), key=lambda at: at[1])
    assert found["n"].to_pylist() == [n for n, _ in expected]


@settings(max_examples=80, deadline=None)
@given(ROWS, st.tuples(WORDS, WORDS, STAMPS))
def test_rows_before_a_key_are_counted(rows, key):
    found = in_order(table(rows), NAMES)
    assert rows_before(found, key, NAMES) == sum(k < key for k in keys(found))


@settings(max_examples=100, deadline=None)
@given(ROWS)
def test_the_first_rows_of_models_are_found(rows):
    found = in_order(table(rows), NAMES)
    models = found["m"].to_pylist()
    expected = [i > 0 and models[i] != models[i - 1] for i in range(len(models))]
    assert first_of_models(found, NAMES).tolist() == expected


@settings(max_examples=80, deadline=None)
@given(ROWS, ROWS, st.integers(1, 9), st.integers(1, 9))
def test_two_sorted_runs_become_one_of_which_nothing_is_lost(old, new, size, step):
    found = [
        key for part in merged(slices(old, size), slices(new, step), NAMES) for key in keys(part)
    ]
    assert found == sorted([*old, *new])


@settings(max_examples=80, deadline=None)
@given(ROWS, st.lists(st.tuples(WORDS, WORDS, STAMPS), unique=True, max_size=9))
def test_a_row_lies_in_the_range_of_its_key(rows, bounds):
    bounds = Bounds(tuple(sorted({*bounds, *(start_of(m) for m, _, _ in bounds)})))
    pairs = Keys()
    ranger = Ranger(bounds, pairs)
    for part in (rows[:20], rows[20:]):  # pairs come to be known batch by batch
        code = np.array([pairs.pair(m, c) for m, c, _ in part], np.int32)
        stamp = np.array([t for _, _, t in part], np.int64)
        found = ranger.ranges_of(code, stamp) if part else np.zeros(0)
        assert found.tolist() == [bisect_right(bounds.keys, row) for row in part]


def test_a_model_has_its_ranges_for_itself_only_where_it_is_larger_than_two():
    small = [(f"m{i:03d}", "c", i) for i in range(100)]
    giant = [("m050-giant", "c", i) for i in range(300)]
    bounds = even_bounds([*small, *giant], 8)
    inside = [k for k in bounds.keys if k[0] == "m050-giant" and k[2] != EARLIEST]
    assert bounds.giants == {start_of("m050-giant"), after("m050-giant")}
    assert len(inside) == 6
    assert all(k == start_of(k[0]) for k in bounds.keys if k[0] < "m050-giant")
    assert even_bounds(small, 4).giants == frozenset()
    assert [k[0] for k in even_bounds(small, 4).keys] == ["m025", "m050", "m075"]


@pytest.mark.parametrize("sample", [[], [("a", "b", 1)]])
def test_of_nothing_there_is_nothing_to_cut(sample):
    assert even_bounds(sample, 1).ranges == 1
    assert even_bounds(sample, 5).ranges <= 4
