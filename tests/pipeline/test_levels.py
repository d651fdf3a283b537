"""Quantiles of a fleet's values from counts: close to the exact ones, whatever the order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calhard.pipeline.levels import Levels

VALUES = st.lists(st.floats(-1e30, 1e30, allow_subnormal=False), min_size=1, max_size=60)


def counted(*parts):
    levels = Levels()
    for part in parts:
        levels.add(np.asarray(part, np.float64))
    return levels


@given(VALUES, st.sampled_from([0.1, 0.5, 0.9]))
def test_a_quantile_is_right_to_a_hundredth(values, share):
    exact = float(np.quantile(values, share, method="inverted_cdf"))
    assert counted(values).quantile(share) == pytest.approx(exact, rel=0.011, abs=1e-30)


def test_the_order_of_batches_changes_no_digit():
    values = np.random.default_rng(3).lognormal(-4.0, 1.0, 5_000)
    shuffled = np.random.default_rng(4).permutation(values)
    one, many = counted(values), counted(*np.array_split(shuffled, 37))
    assert [one.quantile(q) for q in (0.1, 0.5, 0.9)] == [many.quantile(q) for q in (0.1, 0.5, 0.9)]
    assert one.total == many.total == 5_000


def test_what_is_no_number_is_left_out_and_of_nothing_there_is_no_quantile():
    nothing = counted([np.nan, np.inf, -np.inf])
    assert nothing.total == 0
    assert nothing.quantile(0.5) is None


def test_zeros_stay_zero_and_what_is_huge_stays_finite():
    assert counted([0.0, -0.0, 0.0]).quantile(0.5) == 0.0
    assert np.isfinite(counted([1e100]).quantile(0.5))
