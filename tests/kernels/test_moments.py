from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calhard_kernels.moments import anchor, mean_difference, moments
from tests import naive
from tests.strategies import panels

EXACT = 1e-12  # relative to scale


@given(panels(shortest=1))
def test_moments_agree_with_exact_sums(panel):
    found = moments(panel.x, panel.valid)
    for s, x in enumerate(panel.rows()):
        squares = naive.exact_squares(x)
        scale = max(abs(v) for v in x)
        noise = len(x) * (1e-16 * scale) ** 2
        assert found.n[s] == len(x)
        assert found.mean[s] == pytest.approx(
            float(naive.exact_mean(x)), rel=1e-15, abs=EXACT * scale
        )
        assert found.squares[s] == pytest.approx(squares, rel=EXACT, abs=noise)
        assert found.cross[s] == pytest.approx(naive.exact_cross(x), abs=EXACT * squares + noise)
        assert found.variance[s] * max(len(x) - 1, 1) == pytest.approx(
            squares, rel=EXACT, abs=noise
        )


@given(panels(shortest=1))
def test_anchor_is_the_median_of_first_middle_and_last(panel):
    expected = [naive.median_of_three(x) for x in panel.rows()]
    np.testing.assert_array_equal(anchor(panel.x, panel.valid), expected)


@given(panels(kinds=("normal", "lattice", "ar1")), st.integers(-(2**20), 2**20))
def test_a_shift_by_an_integer_changes_only_the_mean(panel, shift):
    quantised = np.round(panel.x * 2**20) / 2**20  # so that adding the shift is exact
    a, b = moments(quantised, panel.valid), moments(quantised + shift, panel.valid)
    np.testing.assert_array_equal(a.squares, b.squares)
    np.testing.assert_array_equal(a.cross, b.cross)
    np.testing.assert_array_equal(a.offset, b.offset)
    np.testing.assert_array_equal(mean_difference(a, b), np.full(len(quantised), float(shift)))


@given(panels(), st.integers(-20, 20))
def test_a_scale_by_a_power_of_two_scales_exactly(panel, power):
    a, b = moments(panel.x, panel.valid), moments(panel.x * 2.0**power, panel.valid)
    np.testing.assert_array_equal(b.mean, a.mean * 2.0**power)
    np.testing.assert_array_equal(b.squares, a.squares * 4.0**power)


@given(panels(shortest=1))
def test_padding_does_not_matter(panel):
    if panel.valid is None:
        return
    a = moments(panel.x, panel.valid)
    b = moments(np.where(panel.valid, panel.x, 1e9), panel.valid)
    np.testing.assert_array_equal(a.squares, b.squares)
    np.testing.assert_array_equal(a.offset, b.offset)


def test_constant_series_have_no_squares_at_all():
    x = np.repeat(np.array([[0.1], [1e9 + 0.1], [-3.3e-7]]), 97, axis=1)
    found = moments(x)
    np.testing.assert_array_equal(found.squares, np.zeros(3))
    np.testing.assert_array_equal(found.mean, x[:, 0])


def test_empty_and_single_rows_of_a_panel():
    x = np.arange(12.0).reshape(3, 4)
    valid = np.array([[0, 0, 0, 0], [0, 1, 0, 0], [1, 1, 1, 1]], bool)
    found = moments(x, valid)
    np.testing.assert_array_equal(found.n, [0.0, 1.0, 4.0])
    np.testing.assert_array_equal(found.squares, [0.0, 0.0, 5.0])
    np.testing.assert_array_equal(found.variance, [0.0, 0.0, 5.0 / 3.0])
    assert found.mean[1] == 5.0


def test_a_panel_of_one_slot_has_no_lag():
    found = moments(np.array([[3.0], [4.0]]))
    np.testing.assert_array_equal(found.cross, np.zeros(2))
