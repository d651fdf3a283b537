"""Cumulative calibration errors against their definition, by hand, and over calibrated groups."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from calhard_kernels.cumulative import cumulative_error, range_p
from tests.kernels import measured
from tests.kernels.measured import NAN, fleet, fleets, groups_of


def literal(rows):
    """Largest deviation, range and σ of one group."""
    if not rows:
        return NAN, NAN, NAN
    total = measured.weight(rows)
    path = [0.0]
    for _, tied in itertools.groupby(rows, key=lambda row: row[0]):
        path.append(math.fsum([path[-1], *(w * (y - s) / total for s, y, w in tied)]))
    sigma = math.sqrt(math.fsum(w * w * s * (1 - s) for s, _, w in rows)) / total
    return max(map(abs, path)), max(path) - min(path), sigma


def tail(x):
    """P(range of Brownian motion ≥ x) by the series with 100 terms."""
    m = (np.arange(100) + 0.5) * math.pi
    return 1.0 - math.fsum((8.0 / x**2 + 2.0 / m**2) * np.exp(-2.0 * (m / x) ** 2))


@given(fleets())
def test_they_are_what_they_are_defined_to_be(o):
    found = cumulative_error(o)
    expected = [literal(rows) for rows in groups_of(o)]
    np.testing.assert_allclose(found.mad, [e[0] for e in expected], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(found.kuiper, [e[1] for e in expected], rtol=1e-12, atol=1e-14)
    for p, (_, kuiper, sigma) in zip(found.p, expected, strict=True):
        if not sigma > 0.0:
            assert math.isnan(p)
        elif kuiper / sigma < 5.0:
            assert p == pytest.approx(tail(max(kuiper / sigma, 0.05)), rel=1e-6, abs=1e-10)
        else:
            assert 0.0 <= p < 3e-6


def test_by_hand():
    # steps of 1/4: −0.2, +0.5, −0.6, −0.7
    found = cumulative_error(fleet([[(0.2, 0), (0.5, 1), (0.6, 0), (0.7, 0)]]))
    assert found.mad[0] == pytest.approx(1.0 / 4)
    assert found.kuiper[0] == pytest.approx(1.3 / 4)
    # weights 1, 3, 1, 1 of 6: −0.2, +1.5, −0.6, −0.7
    rows = [(0.2, 0, 1), (0.5, 1, 3), (0.6, 0, 1), (0.7, 0, 1)]
    found = cumulative_error(fleet([rows]))
    assert found.mad[0] == pytest.approx(1.3 / 6)
    assert found.kuiper[0] == pytest.approx(1.5 / 6)
    sigma = math.sqrt(0.16 + 9 * 0.25 + 0.24 + 0.21) / 6
    assert found.p[0] == pytest.approx(tail(1.5 / 6 / sigma), rel=1e-12)


def test_within_a_tie_nothing_is_seen():
    # one after the other, the labels would take the path to −1/4 and back; together they cancel
    found = cumulative_error(fleet([[(0.5, 0), (0.5, 1)], [(0.5, 0), (0.6, 0.9)]]))
    np.testing.assert_allclose(found.mad, [0.0, 0.25], atol=1e-15)
    np.testing.assert_allclose(found.kuiper, [0.0, 0.25], atol=1e-15)
    assert found.p[0] == 1.0


@pytest.mark.parametrize(
    ("rows", "mad", "kuiper"),
    [
        ([], NAN, NAN),
        ([(0.0, 0)], 0.0, 0.0),
        ([(0.0, 1)], 1.0, 1.0),
        ([(1.0, 1)], 0.0, 0.0),
        ([(1.0, 0)], 1.0, 1.0),
        ([(0.0, 1), (1.0, 0)], 0.5, 0.5),
    ],
    ids=["no rows", "right at 0", "wrong at 0", "right at 1", "wrong at 1", "wrong at both"],
)
def test_without_variance_there_is_no_p(rows, mad, kuiper):
    found = cumulative_error(fleet([[(0.3, 1)], rows, [(0.3, 1)]], weighted=False))
    np.testing.assert_array_equal(found.mad, [0.7, mad, 0.7])
    np.testing.assert_array_equal(found.kuiper, [0.7, kuiper, 0.7])
    assert np.isnan(found.p).tolist() == [False, True, False]


def test_one_class_is_all_one_way():
    found = cumulative_error(fleet([[(0.1, 1), (0.4, 1)], [(0.1, 0), (0.4, 0)]]))
    np.testing.assert_allclose(found.mad, [0.75, 0.25], rtol=1e-15)
    np.testing.assert_allclose(found.kuiper, found.mad, rtol=0)


def test_a_small_group_after_a_large_one_keeps_its_digits():
    rng = np.random.default_rng(41)
    large = list(zip(rng.random(50_000), np.ones(50_000), np.full(50_000, 1e9), strict=True))
    small = [(0.25, 0.25 + 2.0**-50, 1.0), (0.5, 0.5, 1.0)]
    assert cumulative_error(fleet([large, small])).mad[1] == 2.0**-51


def test_a_running_sum_that_wraps_around_is_right_all_the_same():
    # every group's sum is −1, that is −2⁶¹ units: int64 has wrapped around after the fourth
    found = cumulative_error(fleet([[(1.0, 0)]] * 40 + [[(0.25, 1)]]))
    np.testing.assert_array_equal(found.kuiper, [1.0] * 40 + [0.75])


# --- the law of the range ------------------------------------------------------------------------


@given(st.floats(0.3, 6.0))
def test_both_series_are_one_law(x):
    assert range_p(np.array([x]))[0] == pytest.approx(tail(x), rel=1e-9, abs=1e-13)


def test_the_law_at_its_ends_and_in_order():
    p = range_p(np.array([0.0, 0.01, math.inf, NAN]))
    assert p[:3].tolist() == [1.0, 1.0, 0.0]
    assert math.isnan(p[3])
    p = range_p(np.linspace(0.5, 36.0, 4000))
    assert np.all(np.diff(p) < 0.0)
    leading = 4.0 * scipy.stats.norm.sf(30.0) * 2.0  # beyond, the first term is all
    assert range_p(np.array([30.0]))[0] == pytest.approx(leading, rel=1e-9)


def test_the_mean_range_is_fellers():
    x = np.linspace(0.0, 12.0, 24_001)
    p = range_p(x)
    assert np.trapezoid(p, x) == pytest.approx(2.0 * math.sqrt(2.0 / math.pi), rel=1e-6)
    second = np.trapezoid(2.0 * x * p, x)
    assert second == pytest.approx(4.0 * math.log(2.0), rel=1e-6)


@pytest.mark.parametrize(("n", "off"), [(500, 0.055), (4000, 0.03)])
def test_p_of_calibrated_groups_is_nearly_uniform_and_never_too_small(n, off):
    rng = np.random.default_rng(42)
    groups = 2000
    score = np.sort(rng.beta(1.0, 2.0, (groups, n)), axis=1)
    label = (rng.random(score.shape) < score).astype(float)
    o = measured.Outcomes(score.ravel(), label.ravel(), None, np.arange(groups + 1) * n)
    p = cumulative_error(o).p
    for level in (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9):
        noise = 3.0 * math.sqrt(level * (1.0 - level) / groups)
        assert level - off - noise < np.mean(p < level) < level + noise


# --- libraries -----------------------------------------------------------------------------------


@given(fleets(max_rows=40))
def test_a_group_does_not_see_its_neighbours(o):
    measured.assert_groups_stand_alone(cumulative_error, o, lambda found: found)


@settings(max_examples=40)
@given(fleets(max_rows=40))
def test_the_array_standard_is_enough(o):
    measured.assert_the_standard_is_enough(cumulative_error, o, atol=1e-13)


@pytest.mark.gpu
def test_a_card_agrees():
    rng = np.random.default_rng(43)
    rows = [list(zip(rng.random(n), rng.integers(0, 2, n), strict=True)) for n in (0, 1, 9, 4000)]
    measured.assert_a_card_agrees(cumulative_error, fleet(rows))
