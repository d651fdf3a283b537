"""Spiegelhalter's z against its formula, by hand, and over calibrated groups."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings

from calhard_kernels.special import normal_p
from calhard_kernels.spiegelhalter import spiegelhalter
from tests.kernels import measured
from tests.kernels.measured import NAN, fleet, fleets, groups_of


def literal(rows):
    """z of one group."""
    variance = math.fsum(w * w * (1 - 2 * s) ** 2 * s * (1 - s) for s, _, w in rows)
    if not variance:
        return NAN
    return math.fsum(w * (y - s) * (1 - 2 * s) for s, y, w in rows) / math.sqrt(variance)


@given(fleets())
def test_z_is_its_formula_and_p_the_normal_tail(o):
    found = spiegelhalter(o)
    z = [literal(rows) for rows in groups_of(o)]
    np.testing.assert_allclose(found.z, z, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(found.p, 2.0 * scipy.stats.norm.sf(np.abs(found.z)), rtol=1e-9)


def test_by_hand():
    # surprises −0.2·0.6 and 0.4·(−0.2); variances 0.36·0.16 and 0.04·0.24
    found = spiegelhalter(fleet([[(0.2, 0, 1), (0.6, 1, 1)], [(0.2, 0, 1), (0.6, 1, 3)]]))
    expected = [-0.2 / math.sqrt(0.0672), (-0.12 - 3 * 0.08) / math.sqrt(0.0576 + 9 * 0.0096)]
    np.testing.assert_allclose(found.z, expected, rtol=1e-12)


@pytest.mark.parametrize(
    "rows",
    [[], [(0.0, 1)], [(1.0, 1)], [(0.5, 0), (0.5, 1)], [(0.0, 0), (0.5, 1), (1.0, 0)]],
    ids=["no rows", "a 0", "a 1", "halves", "0, a half and 1"],
)
def test_without_variance_there_is_no_z(rows):
    found = spiegelhalter(fleet([rows, [(0.2, 0)]], weighted=False))
    assert np.isnan(found.z).tolist() == np.isnan(found.p).tolist() == [True, False]


def test_a_certain_score_that_is_wrong_moves_z_and_one_that_is_right_does_not():
    rest = [(0.2, 0), (0.7, 1)]
    plain, right, wrong = spiegelhalter(
        fleet([rest, [*rest, (0.0, 0), (1.0, 1)], [*rest, (0.0, 1)]])
    ).z
    assert right == pytest.approx(plain, rel=1e-12)
    assert wrong == pytest.approx(plain + 1 / math.sqrt(0.36 * 0.16 + 0.16 * 0.21), rel=1e-12)


def test_the_smallest_variance_does_not_overflow():
    found = spiegelhalter(fleet([[(5e-324, 1)]]))
    assert found.z[0] > 1e160
    assert found.p[0] == 0.0


def test_the_normal_tail_keeps_its_digits():
    z = np.array([0.0, 1.0, -1.959963984540054, 10.0, 37.0, math.inf, NAN])
    expected = 2.0 * scipy.stats.norm.sf(np.abs(z))
    np.testing.assert_allclose(normal_p(z), expected, rtol=1e-11)


def test_p_of_calibrated_groups_is_uniform():
    rng = np.random.default_rng(33)
    score = np.sort(rng.beta(1.0, 2.0, (3000, 300)), axis=1)
    label = (rng.random(score.shape) < score).astype(float)
    o = measured.Outcomes(score.ravel(), label.ravel(), None, np.arange(3001) * 300)
    found = spiegelhalter(o)
    assert np.mean(found.z) == pytest.approx(0.0, abs=3.0 / math.sqrt(3000))
    for level in (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9):
        noise = 3.0 * math.sqrt(level * (1.0 - level) / 3000)
        assert np.mean(found.p < level) == pytest.approx(level, abs=noise)


@given(fleets(max_rows=40))
def test_a_group_does_not_see_its_neighbours(o):
    measured.assert_groups_stand_alone(spiegelhalter, o, lambda found: found)


@settings(max_examples=40)
@given(fleets(max_rows=40))
def test_the_array_standard_is_enough(o):
    measured.assert_the_standard_is_enough(lambda o: spiegelhalter(o).p, o, atol=1e-11)


@pytest.mark.gpu
def test_a_card_agrees():
    rng = np.random.default_rng(32)
    rows = [list(zip(rng.random(n), rng.integers(0, 2, n), strict=True)) for n in (0, 1, 9, 4000)]
    measured.assert_a_card_agrees(spiegelhalter, fleet(rows))
