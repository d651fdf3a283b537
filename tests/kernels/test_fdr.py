from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from calhard_kernels.fdr import (
    bh_q_values,
    bh_threshold,
    by_q_values,
    by_threshold,
    harmonic_number,
)
from tests import naive

tiny_or_not = st.one_of(st.floats(0.0, 1.0), st.floats(0.0, 1e-3), st.just(0.01), st.just(np.nan))
p_values = st.lists(tiny_or_not, max_size=40).map(np.array)


@given(p_values)
def test_bh_agrees_with_the_definition(p):
    np.testing.assert_allclose(bh_q_values(p), naive.bh_q(list(p)), rtol=1e-13, atol=1e-300)


@given(p_values.filter(lambda p: np.sum(~np.isnan(p)) > 0))
def test_both_agree_with_scipy_and_statsmodels(p):
    known = ~np.isnan(p)
    for method, peer, q in (("bh", "fdr_bh", bh_q_values(p)), ("by", "fdr_by", by_q_values(p))):
        scipys = scipy.stats.false_discovery_control(p[known], method=method)
        np.testing.assert_allclose(q[known], scipys, rtol=1e-12, atol=1e-300)
        np.testing.assert_allclose(
            q[known], multipletests(p[known], 0.05, peer)[1], rtol=1e-12, atol=1e-300
        )
        assert np.isnan(q[~known]).all()


@given(p_values, st.sampled_from([0.001, 0.01, 0.05, 0.2, 0.99]), st.integers(0, 10_000))
def test_threshold_selects_what_the_q_values_select(p, level, more):
    tests = int(np.sum(~np.isnan(p))) + more
    for q, threshold in (
        (bh_q_values(p, tests), bh_threshold(p, level, tests)),
        (by_q_values(p, tests), by_threshold(p, level, tests)),
    ):
        np.testing.assert_array_equal(q <= level, p <= threshold)


@given(p_values, st.randoms(use_true_random=False))
def test_order_of_the_tests_does_not_matter(p, random):
    order = list(range(len(p)))
    random.shuffle(order)
    np.testing.assert_array_equal(bh_q_values(p[order]), bh_q_values(p)[order])


def test_small_p_values_with_their_number_give_the_q_values_of_all():
    rng = np.random.default_rng(3)
    p = np.concatenate([rng.uniform(size=5000), rng.uniform(size=200) ** 6])
    whole, small = bh_q_values(p), p <= 0.05
    part = bh_q_values(p[small], tests=p.size)
    chosen = whole[small] <= 0.05
    assert 50 < chosen.sum() < p.size
    np.testing.assert_array_equal(part[chosen], whole[small][chosen])
    assert np.all(part[~chosen] > 0.05)


def test_fewer_tests_than_p_values_is_refused():
    with pytest.raises(ValueError, match=r"tests = 2 is smaller than the 3 p-values"):
        bh_q_values(np.array([0.1, 0.2, 0.3, np.nan]), tests=2)


def test_nothing_tested():
    assert bh_q_values(np.array([])).shape == (0,)
    assert np.isnan(by_q_values(np.array([np.nan, np.nan]))).all()
    assert bh_threshold(np.array([np.nan]), 0.05) == 0.0


def test_nothing_rejected_gives_threshold_zero():
    assert bh_threshold(np.array([0.5, 0.04, 0.9]), 0.05) == 0.0


@pytest.mark.parametrize("m", [1, 2, 999, 1000, 1001, 20_000])
def test_harmonic_number(m):
    assert harmonic_number(m) == pytest.approx(float(np.sum(1.0 / np.arange(1, m + 1))), rel=1e-14)


def test_false_discoveries_stay_below_the_level():
    rng = np.random.default_rng(4)
    proportions = []
    for _ in range(60):
        z = rng.standard_normal(2000)
        z[:40] += 4.0
        p = 2.0 * scipy.stats.norm.sf(np.abs(z))
        rejected = p <= bh_threshold(p, 0.05)
        proportions.append(rejected[40:].sum() / max(rejected.sum(), 1))
        assert rejected[:40].mean() > 0.4
    assert np.mean(proportions) < 0.065


def test_a_p_exactly_at_the_level_is_rejected():
    p = np.array([0.05, 0.05, 0.01])
    assert bh_threshold(p, 0.05) == 0.05
    assert np.all(bh_q_values(p) <= 0.05)
