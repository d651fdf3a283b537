from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calhard_kernels.order import Sorted, interquartile_range, median, order_statistics, winsorise
from tests import naive
from tests.strategies import panels

LEVELS = {"minimum": 0.0, "q25": 0.25, "median": 0.5, "q75": 0.75, "maximum": 1.0}


@given(panels(shortest=1))
def test_order_statistics_agree_with_numpy_and_the_definition(panel):
    found = order_statistics(panel.x, panel.valid)
    for s, x in enumerate(panel.rows()):
        for name, q in LEVELS.items():
            value = getattr(found, name)[s]
            assert value == pytest.approx(naive.quantile(x, q), rel=1e-14, abs=1e-15)
            assert value == pytest.approx(float(np.quantile(x, q)), rel=1e-12, abs=1e-14)
        assert (found.minimum[s], found.maximum[s]) == (min(x), max(x))
    np.testing.assert_array_equal(median(panel.x, panel.valid), found.median)
    np.testing.assert_array_equal(interquartile_range(panel.x, panel.valid), found.iqr)


@given(panels(), st.randoms(use_true_random=False))
def test_the_order_of_the_values_does_not_matter(panel, random):
    dense = panel.x
    columns = list(range(dense.shape[1]))
    random.shuffle(columns)
    a, b = order_statistics(dense), order_statistics(dense[:, columns])
    np.testing.assert_array_equal(a.q25, b.q25)
    np.testing.assert_array_equal(a.median, b.median)


def test_rows_without_values_are_nan_and_do_not_warn():
    valid = np.array([[False] * 5, [True, True, False, False, False]])
    found = order_statistics(np.arange(10.0).reshape(2, 5), valid)
    assert np.isnan([found.minimum[0], found.q25[0], found.median[0], found.maximum[0]]).all()
    assert (found.minimum[1], found.median[1], found.maximum[1]) == (5.0, 5.5, 6.0)


@given(panels())
def test_winsorising_agrees_with_its_formula(panel):
    centre = median(panel.x, panel.valid)
    mad = median(np.abs(panel.x - centre[:, None]), panel.valid)
    clipped = winsorise(panel.x, centre, mad)
    found = naive.rows(clipped, panel.valid)
    for mine, x in zip(found, panel.rows(), strict=True):
        np.testing.assert_allclose(mine, naive.winsorised(x), rtol=1e-12, atol=1e-12)


@given(panels(shortest=1))
def test_the_deviation_without_a_sort_is_that_of_a_sort(panel):
    ordered = Sorted.of(panel.x, panel.valid)
    centre = ordered.median
    expected = median(np.abs(panel.x - centre[:, None]), panel.valid)
    np.testing.assert_allclose(ordered.deviation(centre), expected, rtol=1e-15)
    for mine, x in zip(ordered.deviation(centre), panel.rows(), strict=True):
        assert mine == pytest.approx(naive.median_absolute_deviation(x), rel=1e-12, abs=1e-12)


def test_the_deviation_of_a_row_without_values_is_nan():
    valid = np.array([[False] * 4, [True, True, False, False]])
    ordered = Sorted.of(np.ones((2, 4)), valid)
    np.testing.assert_array_equal(ordered.deviation(ordered.median), [np.nan, 0.0])


def test_without_spread_nothing_is_winsorised():
    x = np.array([[0.0, 0.0, 0.0, 0.0, 9.0]])
    np.testing.assert_array_equal(winsorise(x, np.zeros(1), np.zeros(1)), x)
