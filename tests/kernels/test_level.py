from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from calhard_kernels.effective import (
    LINEAR_TREND,
    ONE_SIDE,
    TWO_SIDES,
    UNKNOWN_SPLIT,
    Correlation,
    Prior,
    effective_df,
    effective_welch,
    lag1_correlation,
    pooled_welch,
    reference_welch,
    shrink,
    variance_inflation,
)
from calhard_kernels.moments import moments
from calhard_kernels.welch import cohens_d, welch
from tests import naive
from tests.strategies import panels

NOISY = ("normal", "ar1", "far", "lattice", "spiky", "step")
seeds = st.integers(0, 2**32 - 1)


def no_correlation(size):
    return Correlation(np.zeros(size), np.zeros(size))


def two_sides(rng, rows=4, a=31, b=17):
    scale = np.exp(rng.uniform(-3.0, 3.0, (2, rows, 1)))
    return scale[0] * rng.standard_normal((rows, a)), scale[1] * rng.standard_normal(
        (rows, b)
    ) + 1.0


def ar1(rng, rows, n, phi):
    noise = rng.standard_normal((rows, n + 200))
    return lfilter([1.0], [1.0, -phi], noise, axis=1)[:, 200:] * np.sqrt(1.0 - phi * phi)


@given(seeds)
def test_welch_agrees_with_scipy_and_statsmodels(seed):
    a, b = two_sides(np.random.default_rng(seed))
    found = welch(moments(a), moments(b))
    peer = scipy.stats.ttest_ind(b, a, axis=1, equal_var=False)
    np.testing.assert_allclose(found.t, peer.statistic, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(found.df, peer.df, rtol=1e-11)
    np.testing.assert_allclose(found.p, peer.pvalue, rtol=1e-9)
    other = CompareMeans(DescrStatsW(b[0]), DescrStatsW(a[0])).ttest_ind(usevar="unequal")
    assert (found.t[0], found.p[0]) == pytest.approx(other[:2], rel=1e-9)


@given(seeds)
def test_without_correlation_the_effective_test_is_welchs(seed):
    a, b = (moments(side) for side in two_sides(np.random.default_rng(seed)))
    plain, effective = welch(a, b), effective_welch(a, b, no_correlation(4))
    np.testing.assert_allclose(effective.t, plain.t, rtol=1e-12)
    np.testing.assert_allclose(effective.df, plain.df, rtol=1e-12)
    np.testing.assert_allclose(effective.p, plain.p, rtol=1e-10)


@given(seeds)
def test_without_correlation_the_pooled_test_is_students(seed):
    a, b = two_sides(np.random.default_rng(seed))
    found = pooled_welch(moments(a), moments(b), no_correlation(4))
    peer = scipy.stats.ttest_ind(b, a, axis=1)
    np.testing.assert_allclose(found.t, peer.statistic, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(found.p, peer.pvalue, rtol=1e-9)


@given(panels(kinds=NOISY), panels(kinds=NOISY), st.floats(-0.3, 0.95), st.floats(0.0, 0.1))
def test_tests_of_level_agree_with_their_formulas(first, second, phi, v):
    rows = min(len(first.x), len(second.x))
    a = moments(first.x, first.valid)
    b = moments(second.x, second.valid)
    a, b = (type(m)(*(getattr(m, f)[:rows] for f in m.__slots__)) for m in (a, b))
    correlation = Correlation(np.full(rows, np.arctanh(phi)), np.full(rows, v))
    welchs, pooled = effective_welch(a, b, correlation), pooled_welch(a, b, correlation)
    for s, (x, y) in enumerate(zip(first.rows(), second.rows(), strict=False)):
        if naive.exact_squares(x) * naive.exact_squares(y) == 0.0:
            continue
        for found, expected in (
            (welchs, naive.effective_welch(x, y, phi, v)),
            (pooled, naive.pooled_welch(x, y, phi, v)),
        ):
            assert found.t[s] == pytest.approx(expected[0], rel=1e-8, abs=1e-8)
            assert found.df[s] == pytest.approx(expected[1], rel=1e-8)
            assert found.p[s] == pytest.approx(expected[2], rel=1e-6, abs=1e-12)


def test_the_reference_alone_gives_the_variance():
    rng = np.random.default_rng(8)
    a = rng.standard_normal((3, 40))
    n_b, difference = np.full(3, 5.0), np.array([0.0, 1.0, -2.0])
    found = reference_welch(moments(a), n_b, difference, no_correlation(3))
    se = np.std(a, axis=1, ddof=1) * np.sqrt(1.0 / 40.0 + 1.0 / 5.0)
    np.testing.assert_allclose(found.t, difference / se, rtol=1e-12)
    np.testing.assert_allclose(
        found.p, 2.0 * scipy.stats.t.sf(np.abs(difference / se), 39), rtol=1e-10
    )


@given(panels(kinds=NOISY), st.floats(-10.0, 10.0), st.floats(0.01, 100.0))
def test_welch_is_free_of_shift_and_scale_and_swaps_its_sign(panel, shift, scale):
    half = panel.x.shape[1] // 2
    a, b = panel.x[:, :half], panel.x[:, half:]
    plain = welch(moments(a), moments(b))
    if np.any(plain.t == 0.0) or np.any(np.ptp(panel.x, axis=1) < 1.0):
        return
    moved = welch(moments(scale * a + shift), moments(scale * b + shift))
    np.testing.assert_allclose(moved.t, plain.t, rtol=1e-7, atol=1e-7)
    swapped = welch(moments(b), moments(a))
    np.testing.assert_allclose(swapped.t, -plain.t, rtol=1e-12)
    np.testing.assert_allclose(swapped.p, plain.p, rtol=1e-12)


@given(seeds)
def test_cohens_d(seed):
    a, b = two_sides(np.random.default_rng(seed))
    pooled = np.sqrt((30 * np.var(a, axis=1, ddof=1) + 16 * np.var(b, axis=1, ddof=1)) / 46)
    expected = (np.mean(b, axis=1) - np.mean(a, axis=1)) / pooled
    np.testing.assert_allclose(cohens_d(moments(a), moments(b)), expected, rtol=1e-10)


@pytest.mark.parametrize("level", [0.1, 0.3, 1e8 + 0.1])
def test_two_constants_test_nothing_whatever_their_difference(level):
    a = moments(np.full((1, 30), level))
    for other in (level, level * 1.7):
        b = moments(np.full((1, 20), other))
        for found in (welch(a, b), effective_welch(a, b, no_correlation(1))):
            assert (found.t[0], found.p[0]) == (0.0, 1.0)
        assert cohens_d(a, b)[0] == 0.0


@given(panels(), st.sampled_from([TWO_SIDES, UNKNOWN_SPLIT, ONE_SIDE, LINEAR_TREND]))
def test_lag1_correlation_agrees_with_its_formula(panel, bias):
    half = panel.x.shape[1] // 2
    parts = [panel.x[:, :half], panel.x[:, half:]]
    masks = [None, None] if panel.valid is None else [panel.valid[:, :half], panel.valid[:, half:]]
    found = lag1_correlation([moments(x, m) for x, m in zip(parts, masks, strict=True)], bias)
    sides = [naive.rows(x, m) for x, m in zip(parts, masks, strict=True)]
    for s, (x, y) in enumerate(zip(*sides, strict=True)):
        kept = [side for side in (x, y) if side]
        squares = [naive.exact_squares(side) for side in kept]
        weighed = sum(len(k) for k, q in zip(kept, squares, strict=True) if q > 1e-9 * sum(squares))
        far = max(map(abs, x + y)) > 1e5
        if weighed < 2 * bias[1] or far:
            continue
        phi, v = naive.lag1(kept, *bias)
        assert found.phi[s] == pytest.approx(phi, abs=1e-9)
        assert found.v[s] == pytest.approx(v, rel=1e-8)


def test_a_side_without_noise_has_no_say_in_the_correlation():
    rng = np.random.default_rng(9)
    noisy = ar1(rng, 1, 200, 0.5)
    almost_constant = 3.0 + 1e-13 * rng.standard_normal((1, 100)).cumsum(axis=1)
    alone = lag1_correlation([moments(noisy)], TWO_SIDES)
    both = lag1_correlation([moments(noisy), moments(almost_constant)], TWO_SIDES)
    np.testing.assert_array_equal(both.phi, alone.phi)
    np.testing.assert_array_equal(both.v, alone.v)


def test_constant_series_have_no_correlation():
    flat = moments(np.full((1, 50), 0.7))
    assert lag1_correlation([flat, flat]).phi[0] == 0.0


@pytest.mark.parametrize("phi", [0.0, 0.4, 0.7])
@pytest.mark.parametrize(("n_a", "n_b"), [(504, 168), (100, 40)])
def test_lag1_correlation_is_almost_free_of_bias(phi, n_a, n_b):
    x = ar1(np.random.default_rng(10), 3000, n_a + n_b, phi)
    found = lag1_correlation([moments(x[:, :n_a]), moments(x[:, n_a:])])
    assert np.mean(found.phi) == pytest.approx(phi, abs=0.015)
    too_small = 1.0 if n_a > 200 else 1.2  # the variance is an asymptotic one
    assert np.var(found.z) == pytest.approx(too_small * np.median(found.v), rel=0.2)


@given(st.floats(-0.5, 0.96), st.floats(0.001, 0.2), st.floats(-0.3, 1.2), st.floats(0.0, 0.3))
def test_shrinkage_agrees_with_its_formula(phi, v, mu, tau2):
    z = np.array([np.arctanh(phi)])
    found = shrink(Correlation(z, np.array([v])), Prior(mu, tau2))
    expected = naive.shrunk(float(z[0]), v, mu, tau2)
    assert (found.phi[0], found.v[0]) == pytest.approx(expected, rel=1e-12, abs=1e-14)


def test_without_a_prior_only_the_range_is_enforced():
    found = shrink(Correlation(np.arctanh(np.array([-0.5, 0.4])), np.array([0.1, 0.2])), None)
    np.testing.assert_allclose(found.phi, [-0.3, 0.4], rtol=1e-14)
    np.testing.assert_array_equal(found.v, [0.1, 0.2])


@given(st.floats(-0.6, 0.97), st.integers(1, 60))
def test_variance_inflation_is_the_sum_of_the_correlation_matrix(phi, n):
    found = variance_inflation(np.array([phi]), np.array([float(n)]))[0]
    assert found == pytest.approx(naive.vif(phi, n), rel=1e-9)


def test_degrees_of_freedom_never_fall_below_one():
    phi, n = np.array([0.0, 0.97, 0.5]), np.array([10.0, 30.0, 2.0])
    np.testing.assert_allclose(effective_df(phi, n), [9.0, 1.0, 1.0])


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.7])
def test_healthy_series_are_called_significant_as_often_as_promised(phi):
    x = ar1(np.random.default_rng(11), 6000, 400, phi)
    a, b = moments(x[:, :280]), moments(x[:, 280:])
    raw = lag1_correlation([a, b])
    spread = (np.subtract(*np.quantile(raw.z, [0.75, 0.25])) / 1.349) ** 2
    prior = Prior(float(np.median(raw.z)), max(float(spread - np.median(raw.v)), 0.0))
    p = effective_welch(a, b, shrink(raw, prior)).p
    assert np.mean(p < 0.05) == pytest.approx(0.05, abs=0.012)
    assert np.mean(p < 0.001) < 0.0035
    assert np.mean(welch(a, b).p < 0.05) > 0.2 or phi == 0.0


def test_the_correlation_is_held_within_its_range():
    alternating, walking = np.tile([0.0, 1.0], 100)[None, :], np.arange(200.0)[None, :]
    for x, phi in ((alternating, -0.6), (walking, 0.97)):
        assert lag1_correlation([moments(x)], ONE_SIDE).phi[0] == pytest.approx(phi, rel=1e-12)
