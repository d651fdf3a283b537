from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.signal import lfilter

from calhard_kernels.oscillation import cycle_amplitude, fisher_g_p, periodogram_peak
from tests import naive
from tests.strategies import panels

NOISY = ("normal", "ar1", "lattice", "spiky", "step")


@given(panels(min_width=8, max_width=40, kinds=NOISY), st.floats(-0.6, 0.97))
def test_the_peak_agrees_with_projections_one_by_one(panel, phi):
    found = periodogram_peak(panel.x, np.full(len(panel.x), phi))
    assert found.ordinates == (panel.x.shape[1] - 1) / 2
    for s, x in enumerate(panel.x.tolist()):
        squares = naive.explained_squares(naive.whitened(x, phi))
        total = math.fsum(squares)
        assume(total > 1e-9)
        assert found.g[s] == pytest.approx(max(squares) / total, rel=1e-8)
        best = int(found.index[s]) - 1
        assert squares[best] == pytest.approx(max(squares), rel=1e-8)
        frequency = found.index[s] / len(x)
        assert found.amplitude[s] == pytest.approx(
            naive.wave_amplitude(x, frequency), rel=1e-7, abs=1e-9
        )


@given(
    panels(min_width=8, kinds=("normal", "ar1")), st.floats(-100.0, 100.0), st.floats(0.01, 100.0)
)
def test_g_is_free_of_shift_and_scale(panel, shift, scale):
    phi = np.full(len(panel.x), 0.3)
    a, b = periodogram_peak(panel.x, phi), periodogram_peak(scale * panel.x + shift, phi)
    np.testing.assert_allclose(b.g, a.g, rtol=1e-7)
    np.testing.assert_allclose(b.amplitude, scale * a.amplitude, rtol=1e-7)


@pytest.mark.parametrize("n", [24, 25, 168, 167])
@pytest.mark.parametrize("period", [2.0, 6.0, 24.0])
def test_a_cycle_is_found_with_its_period_and_size(n, period):
    noise = np.random.default_rng(20).standard_normal((200, n)) * 0.2
    x = 3.0 + noise + 1.5 * np.cos(2.0 * np.pi * np.arange(n) / period)
    found = periodogram_peak(x, np.zeros(200))
    assert np.all(np.abs(found.index - n / period) <= 0.5 + 1e-9)
    assert np.all(fisher_g_p(found.g, found.ordinates) < 1e-4)
    if n % period == 0:
        np.testing.assert_allclose(found.amplitude, 1.5, atol=0.4)


def test_alternation_is_all_of_an_alternating_series():
    x = np.tile([0.1, 0.3], 20)[None, :]
    found = periodogram_peak(x, np.zeros(1))
    assert (found.index[0], found.g[0]) == (20.0, pytest.approx(1.0))
    assert found.amplitude[0] == pytest.approx(0.1)


def test_a_constant_series_oscillates_by_nothing():
    found = periodogram_peak(np.full((1, 24), 0.1), np.zeros(1))
    assert (found.g[0], found.amplitude[0]) == (0.0, 0.0)
    assert fisher_g_p(found.g, found.ordinates)[0] == 1.0


@given(st.sampled_from([2, 3, 5, 12, 25, 84, 500]), st.integers(0, 128))
def test_fishers_p_agrees_with_the_series_in_rational_numbers(m, share):
    g = max(share / 128.0, 1.0 / m)  # few binary digits keep the rational numbers short
    expected = naive.fisher_g_p(g, m)
    found = fisher_g_p(np.array([g]), m)[0]
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-6 if expected > 0.9999 else 1e-290)


def test_fishers_p_at_the_ends_and_in_order():
    g = np.array([0.0, 1.0 / 30.0, 1.0, np.nan])
    found = fisher_g_p(g, 30)
    np.testing.assert_array_equal(found[:3], [1.0, 1.0, 0.0])
    assert np.isnan(found[3])
    for m in (11.5, 30, 83.5, 500):
        p = fisher_g_p(np.linspace(1.0 / m, 1.0, 2000), m)
        assert np.all(np.diff(p) <= 1e-6)


def test_one_more_row_does_not_change_fishers_p():
    g = np.linspace(0.02, 0.9, 300)
    together = fisher_g_p(g, 83.5)
    alone = np.concatenate([fisher_g_p(g[k : k + 1], 83.5) for k in range(300)])
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("n", [24, 25, 48, 168])
@pytest.mark.parametrize("phi", [0.0, 0.6])
def test_healthy_series_oscillate_as_often_as_promised(n, phi):
    rng = np.random.default_rng(21)
    noise = rng.standard_normal((20_000, n + 60))
    x = lfilter([1.0], [1.0, -phi], noise, axis=1)[:, 60:]
    found = periodogram_peak(x, np.full(20_000, phi))
    p = fisher_g_p(found.g, found.ordinates)
    for level, tolerance in ((0.5, 0.04), (0.1, 0.1), (0.01, 0.3)):
        assert np.mean(p < level) == pytest.approx(level, rel=tolerance)
    assert np.mean(p < 0.001) < 0.0018


@given(panels(min_width=20, shortest=20, kinds=("normal", "step")), st.floats(0.08, 0.42))
def test_amplitude_at_any_frequency_agrees_with_least_squares(panel, frequency):
    found = cycle_amplitude(panel.x, np.full(len(panel.x), frequency), panel.valid)
    expected = [naive.wave_amplitude(x, frequency) for x in panel.rows()]
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9)


def test_amplitude_where_sine_and_cosine_cannot_be_told_apart():
    x = np.stack([np.tile([0.1, 0.3], 20), np.full(40, 0.7)])
    np.testing.assert_allclose(cycle_amplitude(x, np.full(2, 0.5)), [0.1, 0.0], atol=1e-12)
    noise = np.random.default_rng(22).standard_normal((500, 40))
    almost = cycle_amplitude(noise, np.full(500, 0.4995))
    assert np.max(almost) < 1.0  # a free fit of both waves would reach dozens


def test_amplitude_of_a_row_without_values_is_zero():
    valid = np.zeros((1, 30), bool)
    assert cycle_amplitude(np.ones((1, 30)), np.array([0.1]), valid)[0] == 0.0
