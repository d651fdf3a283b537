from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from calhard_kernels.special import (
    chi_square_score,
    f_p,
    p_from_chi_square,
    student_t_p,
    student_t_sf,
)

TINY = np.array([1.0, 0.5, 1e-3, 1e-17, 1e-100, 1e-200, 1e-300])


@pytest.fixture(scope="module")
def statistics():
    rng = np.random.default_rng(1)
    t = rng.standard_normal(4000) * np.exp(rng.uniform(-20.0, 8.0, 4000))
    return t, np.exp(rng.uniform(0.0, 12.0, 4000))


def test_two_sided_p_agrees_with_scipy_down_to_the_smallest(statistics):
    t, df = statistics
    expected = 2.0 * scipy.stats.t.sf(np.abs(t), df)
    seen = expected > 1e-300
    assert np.sum(expected[seen] < 1e-100) > 20
    np.testing.assert_allclose(student_t_p(t, df)[seen], expected[seen], rtol=1e-9)


def test_upper_tail_agrees_with_scipy(statistics):
    t, df = statistics
    np.testing.assert_allclose(student_t_sf(t, df), scipy.stats.t.sf(t, df), rtol=1e-9, atol=1e-300)
    np.testing.assert_allclose(student_t_sf(t, df) + student_t_sf(-t, df), 1.0, rtol=1e-14)


def test_cauchy_law_in_closed_form():
    t = np.array([0.0, 0.3, 1.0, 40.0, 1e8, 1e140])
    expected = 2.0 * np.arctan2(1.0, t) / np.pi
    np.testing.assert_allclose(student_t_p(t, np.ones(6)), expected, rtol=1e-12)


def test_extremes_stay_numbers_and_nan_stays_nan():
    p = student_t_p(
        np.array([0.0, 1e300, -1e300, np.inf, np.nan, 1.0]), np.array([5.0] * 5 + [np.nan])
    )
    assert p[0] == 1.0
    assert np.all(p[1:4] == 0.0)
    assert np.all(np.isnan(p[4:]))


def test_one_series_of_statistics_broadcasts():
    t = np.linspace(-3.0, 3.0, 7)
    np.testing.assert_array_equal(student_t_p(t, np.float64(4.0)), student_t_p(t, np.full(7, 4.0)))


def test_chi_square_score_agrees_with_scipy_down_to_the_smallest():
    np.testing.assert_allclose(chi_square_score(TINY), scipy.stats.chi2.isf(TINY, 1), rtol=1e-12)
    assert chi_square_score(np.array([1.0]))[0] == 0.0
    assert np.isfinite(chi_square_score(np.array([0.0, 1e-320]))).all()


@given(st.floats(1e-299, 1.0))
def test_chi_square_score_and_its_inverse(p):
    there_and_back = p_from_chi_square(chi_square_score(np.array([p])))[0]
    assert there_and_back == pytest.approx(p, rel=1e-11)


def test_f_tail_agrees_with_scipy():
    rng = np.random.default_rng(2)
    between, within = rng.exponential(size=(2, 200)) * np.array([[8.0], [1.0]])
    d1, d2 = rng.integers(1, 30, 200) * 1.0, rng.integers(1, 500, 200) * 1.0
    expected = scipy.stats.f.sf(between / d1 / (within / d2), d1, d2)
    seen = expected > 1e-290
    np.testing.assert_allclose(f_p(between, within, d1, d2)[seen], expected[seen], rtol=1e-9)


def test_f_tail_without_any_squares_is_one_and_without_noise_zero():
    found = f_p(np.array([0.0, 2.0]), np.zeros(2), np.array([3.0, 3.0]), np.array([9.0, 9.0]))
    np.testing.assert_array_equal(found, [1.0, 0.0])
