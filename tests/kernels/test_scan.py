from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from calhard_kernels.effective import Correlation, pooled_welch
from calhard_kernels.scan import best_split, last_mean
from calhard_kernels.scan_null import ScanNull, scan_p
from tests import naive
from tests.strategies import panels

NOISY = ("normal", "ar1", "spiky", "step")
SIDES = ("before", "after")


@given(panels(min_width=22, shortest=20, kinds=NOISY))
def test_the_split_is_the_best_of_all_tried_one_by_one(panel):
    found = best_split(panel.x, panel.valid)
    assert found.found.all()
    begin = np.zeros(len(panel.x)) if panel.valid is None else np.argmax(panel.valid, axis=1)
    for s, x in enumerate(panel.rows()):
        k = naive.best_split(x, 10)
        assert found.column[s] - begin[s] == k
        for side, part in (("before", x[:k]), ("after", x[k:])):
            sums = getattr(found, side)
            assert sums.n[s] == len(part)
            assert sums.mean[s] == pytest.approx(naive.mean(part), rel=1e-10, abs=1e-12)
            assert sums.squares[s] == pytest.approx(naive.exact_squares(part), rel=1e-9)
            cross = naive.exact_cross(part)
            assert sums.cross[s] == pytest.approx(cross, abs=1e-9 * sums.squares[s])


@pytest.mark.parametrize("at", [10, 25, 57, 90])
def test_a_clear_step_is_found_where_it_is(at):
    x = 1e-4 * np.random.default_rng(12).standard_normal((20, 100))
    x[:, at:] += 0.01
    found = best_split(x)
    np.testing.assert_array_equal(found.column, np.full(20, at))
    p = pooled_welch(found.before, found.after, Correlation(np.zeros(20), np.zeros(20))).p
    assert np.all(p < 1e-20)


def test_the_sums_of_a_constant_side_are_exactly_zero():
    x = np.concatenate([np.full((1, 40), 0.1), np.full((1, 20), 0.3)], axis=1)
    found = best_split(x)
    assert found.column[0] == 40
    for side in SIDES:
        assert getattr(found, side).squares[0] == pytest.approx(0.0, abs=1e-31)


def test_a_row_too_short_to_be_split_says_so():
    valid = np.arange(40)[None, :] < np.array([[19], [20], [3]])
    found = best_split(np.random.default_rng(13).standard_normal((3, 40)), valid)
    np.testing.assert_array_equal(found.found, [False, True, False])
    np.testing.assert_array_equal(found.column, [9, 10, 1])
    np.testing.assert_array_equal(found.before.n + found.after.n, [19.0, 20.0, 3.0])


def test_last_mean():
    x = np.arange(60.0).reshape(2, 30)
    np.testing.assert_allclose(last_mean(x, np.array([30, 12])), [24.5, 36.5])
    np.testing.assert_array_equal(last_mean(x, np.array([30, 12]), slots=1), [29.0, 41.0])


@pytest.fixture(scope="module")
def table():
    """A null in closed form: the best of k independent splits, P = 1 − (1 − p0)^k."""
    n, phi = np.array([20.0, 200.0, 1000.0]), np.array([0.0, 0.9])
    tail = np.array([0.9, 0.5, 0.1, 0.01, 0.001])
    tries = np.array([4.0, 16.0, 25.0])
    p0 = 1.0 - (1.0 - tail[None, :]) ** (1.0 / tries[:, None])
    score = np.repeat(-np.log10(p0)[:, None, :], 2, axis=1)
    score[:, 1] *= 1.1
    return ScanNull(n, phi, tail, score)


def test_the_table_is_hit_exactly_at_its_quantiles(table):
    for i, n in enumerate(table.n):
        for j, phi in enumerate(table.phi):
            p0 = 10.0 ** -table.score[i, j]
            size = np.ones(5)
            np.testing.assert_allclose(
                scan_p(p0, n * size, phi * size, table), table.tail, rtol=1e-9
            )


def test_the_honest_p_grows_with_p0_and_is_one_at_one(table):
    p0 = np.concatenate([10.0 ** -np.linspace(0.0, 12.0, 200), [1e-250, 0.0]])
    for n, phi in ((5.0, -0.3), (60.0, 0.3), (1000.0, 0.9), (5000.0, 0.97)):
        found = scan_p(p0, np.full(p0.size, n), np.full(p0.size, phi), table)
        assert found[0] == 1.0
        assert np.all(np.diff(found) < 0.0)


def test_beyond_the_table_the_factor_stays(table):
    last = 10.0 ** -table.score[1, 0, -1]
    found = scan_p(np.array([last, last / 1e6]), np.full(2, 200.0), np.zeros(2), table)
    assert found[1] == pytest.approx(found[0] / 1e6, rel=1e-9)


def test_between_lengths_the_p_lies_between(table):
    p = [
        scan_p(np.array([1e-3]), np.array([n]), np.zeros(1), table)[0] for n in (20.0, 63.0, 200.0)
    ]
    assert p[0] < p[1] < p[2]
