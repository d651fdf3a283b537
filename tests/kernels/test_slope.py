from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter

from calhard_kernels.effective import LINEAR_TREND, Correlation, lag1_correlation
from calhard_kernels.slope import forecast, slope_test, trend
from tests import naive
from tests.strategies import panels

NOISY = ("normal", "ar1", "step")


def times(rng, shape):
    return np.cumsum(rng.uniform(0.5, 1.5, shape), axis=1) / 24.0 - 35.0


def no_correlation(size):
    return Correlation(np.zeros(size), np.zeros(size))


@given(panels(kinds=NOISY), st.integers(0, 2**32 - 1))
def test_the_line_agrees_with_scipy_and_polyfit(panel, seed):
    t = times(np.random.default_rng(seed), panel.x.shape)
    fit = trend(t, panel.x, panel.valid)
    test = slope_test(fit, no_correlation(len(t)))
    for s, (when, x) in enumerate(zip(naive.rows(t, panel.valid), panel.rows(), strict=True)):
        peer = scipy.stats.linregress(when, x)
        assert fit.slope[s] == pytest.approx(peer.slope, rel=1e-8, abs=1e-10)
        level = peer.intercept + peer.slope * fit.centre[s]
        assert fit.level[s] == pytest.approx(level, rel=1e-8, abs=1e-9)
        assert fit.r_squared[s] == pytest.approx(peer.rvalue**2, abs=1e-9)
        assert test.t[s] == pytest.approx(peer.slope / peer.stderr, rel=1e-7, abs=1e-8)
        assert test.df[s] == pytest.approx(len(x) - 2.0)
        assert test.p[s] == pytest.approx(peer.pvalue, rel=1e-6)
        residual = [v - peer.intercept - peer.slope * w for v, w in zip(x, when, strict=True)]
        assert fit.last_residual[s] == pytest.approx(residual[-1], abs=1e-8)
        assert fit.residuals.squares[s] == pytest.approx(naive.exact_squares(residual), rel=1e-8)
        centred = np.array(when) - np.mean(when)
        assert fit.curvature[s] == pytest.approx(
            2.0 * np.polyfit(centred, x, 2)[0], rel=1e-5, abs=1e-6
        )


@given(panels(kinds=NOISY), st.floats(-100.0, 100.0), st.integers(-8, 8))
def test_later_clocks_and_other_units_change_nothing_but_the_unit(panel, later, power):
    t = times(np.random.default_rng(14), panel.x.shape)
    a = slope_test(trend(t, panel.x, panel.valid), no_correlation(len(t)))
    scaled = trend((t + later) * 2.0**power, panel.x * 2.0**-power, panel.valid)
    b = slope_test(scaled, no_correlation(len(t)))
    np.testing.assert_allclose(b.t, a.t, rtol=1e-8, atol=1e-8)


def test_a_constant_series_has_no_trend():
    t = times(np.random.default_rng(15), (1, 50))
    fit = trend(t, np.full((1, 50), 0.1))
    test = slope_test(fit, no_correlation(1))
    assert (fit.slope[0], fit.r_squared[0], fit.curvature[0]) == (0.0, 0.0, 0.0)
    assert (test.t[0], test.p[0]) == (0.0, 1.0)


def test_a_parabola_is_found():
    t = np.linspace(-3.0, 5.0, 81)[None, :]
    fit = trend(t, 0.25 + 2.0 * t + 1.5 * t * t)
    assert fit.curvature[0] == pytest.approx(3.0, rel=1e-12)


@given(st.floats(-0.5, 0.95), st.integers(1, 12), st.integers(1, 12))
def test_the_noise_of_a_forecast_is_the_conditional_ar1_law(phi, ahead, slots):
    n = 120
    x = np.random.default_rng(16).standard_normal((1, n))
    fit = trend(np.arange(float(n))[None, :], x)
    correlation = Correlation(np.array([np.arctanh(phi)]), np.zeros(1))
    centre = n - 1.0 + ahead + 0.5 * (slots - 1)
    found = forecast(fit, correlation, *(np.array([float(v)]) for v in (centre, ahead, slots)))
    weight, variance = naive.conditional_ar1(phi, ahead, slots)
    distance, inflation = centre - fit.centre[0], naive.vif(phi, n)
    mean = fit.level[0] + fit.slope[0] * distance + weight * fit.last_residual[0]
    assert found.mean[0] == pytest.approx(mean, rel=1e-9)
    line = inflation * (1.0 / n + distance**2 / fit.time_squares[0])
    s2 = fit.residuals.squares[0] / max(n - 2.0 * inflation, 1.0)
    assert found.sd[0] ** 2 == pytest.approx(s2 * (variance + line), rel=1e-8)


def test_one_slot_ahead_is_the_textbook_variance():
    rng = np.random.default_rng(17)
    t, x = np.arange(100.0)[None, :], rng.standard_normal((1, 100))
    fit, phi = trend(t, x), 0.6
    correlation = Correlation(np.array([np.arctanh(phi)]), np.zeros(1))
    h, one = np.array([4.0]), np.array([1.0])
    found = forecast(fit, correlation, np.array([103.0]), h, one)
    inflation = naive.vif(phi, 100)
    s2 = fit.residuals.squares[0] / (100.0 - 2.0 * inflation)
    distance = 103.0 - 49.5
    line = inflation * (1.0 / 100.0 + distance**2 / np.sum((t - 49.5) ** 2))
    assert found.sd[0] ** 2 == pytest.approx(s2 * (1.0 - phi ** (2 * 4)) + s2 * line, rel=1e-10)


def test_fractional_steps_under_a_negative_correlation_stay_numbers():
    fit = trend(np.arange(30.0)[None, :], np.random.default_rng(18).standard_normal((1, 30)))
    correlation = Correlation(np.arctanh(np.array([-0.3])), np.zeros(1))
    found = forecast(fit, correlation, np.array([31.0]), np.array([1.4]), np.array([2.6]))
    whole = forecast(fit, correlation, np.array([31.0]), np.array([1.0]), np.array([3.0]))
    assert found.sd[0] == whole.sd[0] > 0.0


@pytest.mark.parametrize("phi", [0.0, 0.6])
def test_intervals_cover_and_trends_are_not_imagined(phi):
    rng = np.random.default_rng(19)
    noise = lfilter([1.0], [1.0, -phi], rng.standard_normal((3000, 524)), axis=1)[:, 200:]
    past, future = noise[:, :300], noise[:, 300:]
    fit = trend(np.broadcast_to(np.arange(300.0), past.shape).copy(), past)
    correlation = lag1_correlation([fit.residuals], LINEAR_TREND)
    assert np.mean(slope_test(fit, correlation).p < 0.05) == pytest.approx(0.05, abs=0.025)
    size = np.ones(3000)
    law = forecast(fit, correlation, 311.5 * size, size, 24.0 * size)
    for share in (0.8, 0.95):
        half = scipy.stats.t.isf((1.0 - share) / 2.0, law.df) * law.sd
        covered = np.mean(np.abs(np.mean(future, axis=1) - law.mean) <= half)
        assert covered == pytest.approx(share, abs=0.025)


@given(panels(shortest=10))
def test_one_row_of_time_says_the_same_as_a_row_for_each(panel):
    time = np.cumsum(0.5 + np.random.default_rng(31).uniform(size=panel.x.shape[1]))[None, :]
    one = trend(time, panel.x)
    every = trend(np.ascontiguousarray(np.broadcast_to(time, panel.x.shape)), panel.x)
    for name in ("level", "slope", "centre", "time_squares", "curvature", "last_residual"):
        np.testing.assert_array_equal(getattr(one, name), getattr(every, name))
    np.testing.assert_array_equal(one.residuals.squares, every.residuals.squares)
