"""Sums, spreading and bisection over groups of unequal length."""

from __future__ import annotations

import math

import array_api_strict as strict
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calhard_kernels.ragged import (
    first_row,
    group_of,
    offsets_of,
    row_at,
    segment_max,
    segment_sum,
    spread,
)
from tests.kernels.measured import cupy_or_skip

LIBRARIES = pytest.mark.parametrize(
    "asarray", [np.asarray, strict.asarray], ids=["numpy", "strict"]
)


def ints(values):
    return np.array(values, np.int64)


@st.composite
def segments(draw):
    """Values and segments in order, some empty, some with gaps between them."""
    length = st.one_of(st.just(0), st.integers(0, 9), st.integers(0, 300))
    sizes = draw(st.lists(length, max_size=8))
    gaps = draw(
        st.lists(st.sampled_from([0, 0, 0, 1, 5]), min_size=len(sizes), max_size=len(sizes))
    )
    start = ints([sum(sizes[:k]) + sum(gaps[: k + 1]) for k in range(len(sizes))])
    stop = start + ints(sizes)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    extra = draw(st.integers(0, 3))
    return rng.normal(size=sum(sizes) + sum(gaps) + extra), start, stop


@LIBRARIES
@given(segments())
def test_a_segment_sums_to_its_own_values(asarray, drawn):
    values, start, stop = drawn
    found = np.asarray(segment_sum(*map(asarray, drawn)))
    assert found.shape == start.shape
    for value, a, b in zip(found, start, stop, strict=True):
        assert value == pytest.approx(math.fsum(values[a:b]), rel=1e-14, abs=1e-13)


@LIBRARIES
@settings(max_examples=50)
@given(segments())
def test_a_segments_largest_value_is_at_least_0(asarray, drawn):
    values, start, stop = drawn
    found = np.asarray(segment_max(*map(asarray, drawn)))
    expected = [max([0.0, *values[a:b]]) for a, b in zip(start, stop, strict=True)]
    np.testing.assert_array_equal(found, expected)


@LIBRARIES
@settings(max_examples=30)
@given(segments())
def test_a_sum_does_not_depend_on_the_rows_around_it_bit_for_bit(asarray, drawn):
    values, start, stop = drawn
    found = np.asarray(segment_sum(*map(asarray, drawn)))
    for value, a, b in zip(found, start, stop, strict=True):
        alone = segment_sum(asarray(values[a:b]), asarray(ints([0])), asarray(ints([b - a])))
        assert np.asarray(alone)[0].tobytes() == value.tobytes()


@LIBRARIES
def test_a_bad_value_stays_in_its_own_segment(asarray):
    values = np.array([1.0, np.nan, 2.0, 3.0, np.inf, 4.0])
    start, stop = ints([0, 1, 2, 4, 5]), ints([1, 2, 4, 5, 6])
    found = segment_sum(asarray(values), asarray(start), asarray(stop))
    np.testing.assert_array_equal(np.asarray(found), [1.0, np.nan, 5.0, np.inf, 4.0])


@LIBRARIES
def test_small_values_behind_large_ones_keep_their_digits(asarray):
    """As a difference of running sums the second segment would be 0."""
    values = np.concatenate([np.full(1000, 1e17), np.full(1000, 1e-3)])
    found = segment_sum(asarray(values), asarray(ints([0, 1000])), asarray(ints([1000, 2000])))
    np.testing.assert_allclose(np.asarray(found), [1e20, 1.0], rtol=1e-14)


@LIBRARIES
def test_a_million_values_lose_no_digits_that_matter(asarray):
    values = np.full(1_000_000, 0.1)
    found = segment_sum(asarray(values), asarray(ints([0])), asarray(ints([1_000_000])))
    assert float(found[0]) == pytest.approx(100_000.0, rel=1e-14)


@LIBRARIES
def test_no_rows_sum_to_nothing_and_no_segments_to_no_sums(asarray):
    nothing, none = asarray(np.zeros(0)), asarray(ints([]))
    two = asarray(ints([0, 0]))
    np.testing.assert_array_equal(np.asarray(segment_sum(nothing, two, two)), [0.0, 0.0])
    assert np.asarray(segment_sum(nothing, none, none)).shape == (0,)


@LIBRARIES
@pytest.mark.parametrize("sizes", [[], [0], [3], [0, 2, 0, 0, 3, 1, 0]])
def test_offsets_groups_and_spreading_know_empty_groups(asarray, sizes):
    offsets = offsets_of(asarray(ints(sizes)))
    np.testing.assert_array_equal(np.asarray(offsets), np.cumsum([0, *sizes]))
    assert np.asarray(offsets).dtype == np.int64
    expected = [g for g, size in enumerate(sizes) for _ in range(size)]
    np.testing.assert_array_equal(np.asarray(group_of(offsets)), expected)
    if sizes:
        values = np.arange(len(sizes)) / 8
        np.testing.assert_array_equal(
            np.asarray(spread(asarray(values), offsets)), values[np.array(expected, int)]
        )


@LIBRARIES
@given(st.data())
def test_the_first_row_is_that_of_searchsorted(asarray, data):
    sizes = data.draw(st.lists(st.integers(0, 20), min_size=1, max_size=6))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    parts = [np.sort(rng.integers(0, 5, size) / 4) for size in sizes]
    offsets = np.cumsum([0, *sizes])
    group, bound = rng.integers(0, len(sizes), 40), rng.integers(-1, 7, 40) / 4
    values, start, stop = np.concatenate(parts), offsets[group], offsets[group + 1]
    for strictly, side in ((False, "left"), (True, "right")):
        expected = [
            a + np.searchsorted(parts[g], b, side=side)
            for a, g, b in zip(start, group, bound, strict=True)
        ]
        found = first_row(*map(asarray, (values, start, stop, bound)), strict=strictly)
        np.testing.assert_array_equal(np.asarray(found), expected)


@LIBRARIES
def test_a_row_beyond_the_ends_is_the_nearest_one(asarray):
    found = row_at(asarray(np.array([0.25, 0.5])), asarray(ints([-1, 0, 1, 7])))
    np.testing.assert_array_equal(np.asarray(found), [0.25, 0.25, 0.5, 0.5])
    assert np.asarray(row_at(asarray(np.zeros(0)), asarray(ints([0, 3])))).tolist() == [0.0, 0.0]


@pytest.mark.gpu
def test_a_card_sums_and_searches_alike():
    cupy = cupy_or_skip()
    rng = np.random.default_rng(41)
    offsets = np.cumsum([0, 3, 0, 17, 100_000, 1, 0])
    values = np.concatenate([np.sort(rng.random(n)) for n in np.diff(offsets)])
    start, stop, bound = offsets[:-1], offsets[1:], np.full(6, 0.5)
    on_card = [cupy.asarray(a) for a in (values, start, stop, bound)]
    np.testing.assert_allclose(
        segment_sum(*on_card[:3]).get(), segment_sum(values, start, stop), rtol=1e-13
    )
    for strictly in (False, True):
        found = first_row(*on_card, strict=strictly).get()
        np.testing.assert_array_equal(found, first_row(values, start, stop, bound, strictly))
    np.testing.assert_array_equal(group_of(cupy.asarray(offsets)).get(), group_of(offsets))
