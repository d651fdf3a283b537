"""The consistency band: exact, honest about how often chance leaves it."""

from fractions import Fraction
from math import comb

import numpy as np
import pytest
from scipy import stats

from calhard.reliability import consistency_band


def literal(n, p):
    """The band of one cell by summing the law with whole numbers."""
    p = Fraction(p)
    law = [comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]
    below = [sum(law[: k + 1]) for k in range(n + 1)]
    low = next(k for k in range(n + 1) if below[k] >= Fraction(25, 1_000))
    high = next(k for k in range(n + 1) if below[k] >= Fraction(975, 1_000))
    return low / n, high / n, float(1 - sum(law[low : high + 1]))


@pytest.mark.parametrize("n", [1, 2, 5, 17, 40])
@pytest.mark.parametrize("p", [0.0, 2**-10, 0.25, 0.5, 0.9375, 1.0])
def test_the_band_is_that_of_the_binomial_law_summed_with_whole_numbers(n, p):
    found = consistency_band(np.array([p]), np.array([float(n)]))
    assert [float(x[0]) for x in found] == pytest.approx(literal(n, p), abs=1e-12)


def test_the_band_agrees_with_scipys_quantiles_for_large_counts():
    rng = np.random.default_rng(1)
    p, n = rng.random(500), rng.integers(50, 10**7, 500)
    low, high, chance = consistency_band(p, n.astype(float))
    assert np.array_equal(np.rint(low * n), stats.binom.ppf(0.025, n, p))
    assert np.array_equal(np.rint(high * n), stats.binom.ppf(0.975, n, p))
    assert chance.max() <= 0.05
    assert chance.min() > 0.0


def test_scores_of_0_and_1_have_a_band_without_width():
    low, high, chance = consistency_band(np.array([0.0, 1.0]), np.array([100.0, 100.0]))
    assert low.tolist() == high.tolist() == [0.0, 1.0]
    assert chance.tolist() == [0.0, 0.0]


def test_an_effective_count_counts_whole_labels_and_at_least_one():
    p = np.full(3, 0.5)
    found = consistency_band(p, np.array([99.99999999999, 100.9, 0.3]))
    whole = consistency_band(p, np.array([100.0, 100.0, 1.0]))
    for one, other in zip(found, whole, strict=True):
        assert np.array_equal(one, other)


def test_calibrated_labels_leave_the_band_as_often_as_it_says():
    rng = np.random.default_rng(2)
    p, n = rng.uniform(0.02, 0.98, 20_000), rng.integers(5, 400, 20_000)
    low, high, chance = consistency_band(p, n.astype(float))
    share = rng.binomial(n, p) / n
    outside = (share < low - 1e-9) | (share > high + 1e-9)
    error = np.sqrt((chance * (1 - chance)).sum())
    assert abs(outside.sum() - chance.sum()) < 3 * error
    assert 0.02 < chance.mean() < 0.05
