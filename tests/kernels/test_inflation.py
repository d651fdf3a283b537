from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from calhard_kernels.inflation import (
    EDGES,
    deflate,
    inflation_factor,
    inflation_from_histogram,
    score_histogram,
)


def p_of(z):
    return 2.0 * scipy.stats.norm.sf(np.abs(z))


@pytest.fixture(scope="module")
def z():
    return np.random.default_rng(5).standard_normal(40_000)


@pytest.mark.parametrize("inflation", [1.3, 2.0, 9.0])
def test_scaled_statistics_give_their_scale(z, inflation):
    p = p_of(z * np.sqrt(inflation))
    assert inflation_factor(p) == pytest.approx(inflation, rel=0.04)


def test_a_heavy_tail_shows_in_the_upper_quantile_alone(z):
    broken = z.copy()
    broken[:6000] *= 6.0  # 15 % of the family
    score = scipy.stats.chi2.isf(p_of(broken), 1)
    expected = np.quantile(score, 0.9) / scipy.stats.chi2.isf(0.1, 1)
    assert expected > 1.5 > np.median(score) / scipy.stats.chi2.isf(0.5, 1)
    assert inflation_factor(p_of(broken)) == pytest.approx(expected, rel=1e-6)


def test_conservative_p_values_are_not_sharpened(z):
    assert inflation_factor(p_of(0.5 * z)) == 1.0


def test_small_families_and_nan():
    wild = np.full(99, 1e-9)
    assert inflation_factor(wild) == 1.0
    assert inflation_factor(np.concatenate([wild, np.full(50, np.nan)])) == 1.0
    assert inflation_from_histogram(score_histogram(wild)) == 1.0
    assert inflation_factor(np.append(wild, 1e-9)) > 10.0
    assert inflation_factor(np.array([]), smallest_family=0) == 1.0


@pytest.mark.parametrize("inflation", [1.05, 1.3, 2.0, 9.0, 60.0])
def test_histogram_gives_the_same_factor(z, inflation):
    p = p_of(z * np.sqrt(inflation))
    found = inflation_from_histogram(score_histogram(p))
    assert found == pytest.approx(inflation_factor(p), rel=0.012)


@given(hnp.arrays(np.float64, st.integers(0, 60), elements=st.floats(0.0, 1.0)), st.integers(0, 60))
def test_histograms_of_parts_add_up(p, cut):
    whole = score_histogram(p)
    assert whole.dtype == np.int64
    assert whole.shape == (EDGES.size - 1,)
    assert whole.sum() == p.size
    np.testing.assert_array_equal(score_histogram(p[:cut]) + score_histogram(p[cut:]), whole)


def test_histogram_ignores_nan_and_holds_the_extremes():
    counts = score_histogram(np.array([1.0, 0.0, 1e-310, np.nan]))
    assert counts[0] == 1
    assert counts[-3:].sum() == 2


@given(hnp.arrays(np.float64, 8, elements=st.floats(0.0, 1.0)), st.floats(-1.0, 1.0))
def test_a_factor_of_one_or_less_keeps_every_bit(p, factor):
    np.testing.assert_array_equal(deflate(p, factor), p)


def test_deflation_divides_the_score_up_to_the_cap():
    p = np.array([1.0, 0.3, 1e-4, 1e-60, np.nan])
    score = scipy.stats.chi2.isf(p, 1)
    np.testing.assert_allclose(deflate(p, 1.5), scipy.stats.chi2.sf(score / 1.5, 1), rtol=1e-9)
    np.testing.assert_allclose(deflate(p, 62.0), scipy.stats.chi2.sf(score / 2.0, 1), rtol=1e-9)
    np.testing.assert_array_equal(deflate(p, 62.0, cap=2.0), deflate(p, 2.0))


@given(hnp.arrays(np.float64, 8, elements=st.floats(0.0, 1.0)), st.floats(1.0, 5.0))
def test_deflation_keeps_the_order_and_never_sharpens(p, factor):
    deflated = deflate(np.sort(p), factor)
    assert np.all(np.diff(deflated) >= 0.0)
    assert np.all(deflated >= np.sort(p) * (1.0 - 1e-11))
