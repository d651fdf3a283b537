from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter
from scipy.stats import f_oneway

from calhard_kernels.season import find_season, phases_differ, remove_season
from tests import naive


def left_packed(rng, rows, width, period, step, gaps):
    """Values, phases and lengths; phases run up or down, by one or with gaps."""
    n = rng.integers(width // 2, width + 1, rows)
    advance = 1 + (rng.uniform(size=(rows, width)) < gaps) * rng.integers(1, 5, (rows, width))
    phase = (rng.integers(0, period, (rows, 1)) + step * np.cumsum(advance, axis=1)) % period
    return rng.standard_normal((rows, width)), phase, n


@settings(max_examples=60)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([(24, 200), (7, 60), (5, 40)]),
    st.sampled_from([1, -1]),
    st.sampled_from([0.0, 0.05, 0.5]),
)
def test_effects_and_p_agree_with_groups_by_phase(seed, shape, step, gaps):
    period, width = shape
    rng = np.random.default_rng(seed)
    x, phase, n = left_packed(rng, 4, width, period, step, gaps)
    x += rng.normal(size=(4, 1)) * np.sin(2.0 * np.pi * phase / period)
    found = find_season(x, phase, n, period)
    for s, length in enumerate(n):
        values, phases = x[s, :length].tolist(), phase[s, :length].tolist()
        effects = naive.phase_effects(values, phases, period)
        np.testing.assert_allclose(found.effect[s], effects, rtol=1e-9, atol=1e-12)
        if length < 4 * period:
            assert found.p[s] == 1.0
        else:
            expected = naive.phase_p(values, phases, effects)
            assert found.p[s] == pytest.approx(expected, rel=1e-6, abs=1e-290)
    np.testing.assert_array_equal(found.found, found.p <= 0.001)


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([(24, 200), (7, 60), (1, 30)]),
    st.sampled_from([1, -1]),
    st.sampled_from([0.0, 0.2]),
    st.booleans(),
)
def test_one_row_of_phases_says_the_same_as_a_row_for_each(seed, shape, step, gaps, full):
    period, width = shape
    rng = np.random.default_rng(seed)
    x, phase, n = left_packed(rng, 5, width, period, step, gaps)
    n = np.full(5, width) if full else n
    one = phase[:1]
    x += 3.0 * rng.normal(size=(5, 1)) * np.sin(2.0 * np.pi * one / period)
    every = np.broadcast_to(one, x.shape)
    a, b = find_season(x, one, n, period), find_season(x, every, n, period)
    for name in ("effect", "p", "found"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    for mine, theirs in zip(
        remove_season(x, one, n, x, one, n, period),
        remove_season(x, every, n, x, every, n, period),
        strict=True,
    ):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("shift", [0.0, 1e6])
def test_a_daily_season_is_taken_out_of_both_windows(shift):
    rng = np.random.default_rng(23)
    hours = np.arange(840) + 17
    phase = np.broadcast_to(hours % 24, (50, 840))
    season = np.where(phase < 8, 0.004, -0.002)
    noise = 1e-3 * rng.standard_normal((50, 840))
    x = shift + noise + season
    a, b, found = remove_season(
        x[:, :672],
        phase[:, :672],
        np.full(50, 672),
        x[:, 672:],
        phase[:, 672:],
        np.full(50, 168),
        24,
    )
    assert found.all()
    np.testing.assert_allclose(np.std(a, axis=1), 1e-3, rtol=0.1)
    np.testing.assert_allclose(np.std(b, axis=1), 1e-3, rtol=0.3)
    np.testing.assert_allclose(np.mean(a, axis=1) - shift, np.mean(season[0, :672]), atol=2e-4)


def test_a_fault_in_the_analysis_window_is_not_taken_for_season():
    rng = np.random.default_rng(24)
    phase = np.broadcast_to(np.arange(840) % 24, (1, 840))
    x = np.sin(2.0 * np.pi * phase / 24.0) + 0.1 * rng.standard_normal((1, 840))
    x[:, 672:] += 2.0
    a, b, _ = remove_season(
        x[:, :672], phase[:, :672], np.array([672]), x[:, 672:], phase[:, 672:], np.array([168]), 24
    )
    assert np.mean(b) - np.mean(a) == pytest.approx(2.0, abs=0.05)


def test_series_without_season_and_padding_keep_every_bit():
    rng = np.random.default_rng(25)
    x, phase, n = left_packed(rng, 6, 300, 24, 1, 0.0)
    x[::2] += 3.0 * np.sin(2.0 * np.pi * phase[::2] / 24.0)
    n[:] = 250
    a, b, found = remove_season(x, phase, n, x[:, :100], phase[:, :100], np.full(6, 90), 24)
    np.testing.assert_array_equal(found, [True, False] * 3)
    np.testing.assert_array_equal(a[1::2], x[1::2])
    np.testing.assert_array_equal(b[1::2], x[1::2, :100])
    np.testing.assert_array_equal(a[:, 250:], x[:, 250:])
    np.testing.assert_array_equal(b[:, 90:], x[:, 90:100])
    assert np.all(a[::2, :250] != x[::2, :250])


def test_reversing_the_time_axis_finds_the_same_season():
    rng = np.random.default_rng(26)
    x, phase, _ = left_packed(rng, 3, 240, 24, 1, 0.1)
    n = np.full(3, 240)
    a = find_season(x, phase, n, 24)
    b = find_season(x[:, ::-1], phase[:, ::-1], n, 24)
    np.testing.assert_allclose(a.effect, b.effect, rtol=1e-12, atol=1e-14)


def test_a_pattern_without_any_noise_is_a_season_and_a_constant_is_none():
    phase = np.tile(np.arange(7), (2, 8))
    x = np.stack([np.tile([0.0, 0, 0, 0, 0, 1.0, 1.0], 8), np.full(56, 0.3)])
    found = find_season(x, phase, np.full(2, 56), 7)
    np.testing.assert_array_equal(found.found, [True, False])
    np.testing.assert_allclose(found.effect[0, 5:] - found.effect[0, :2], 1.0, rtol=1e-12)
    np.testing.assert_array_equal(found.effect[1], np.zeros(7))


def test_too_few_cycles_are_no_season():
    phase = np.tile(np.arange(24), 4)[None, :95]
    x = np.sin(phase / 3.0)
    assert not find_season(x, phase, np.array([95]), 24).found[0]


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9])
def test_autocorrelation_alone_is_no_season(phi):
    rng = np.random.default_rng(27)
    noise = rng.standard_normal((3000, 704))
    x = lfilter([1.0], [1.0, -phi], noise, axis=1)[:, 200:]
    phase = np.broadcast_to(np.arange(504) % 24, x.shape)
    p = find_season(x, phase, np.full(3000, 504), 24).p
    assert np.mean(p < 0.05) == pytest.approx(0.05, abs=0.015)
    assert np.mean(p <= 0.001) < 0.004


@given(
    st.integers(0, 2**32 - 1), st.sampled_from([(24, 200), (7, 60)]), st.sampled_from([0.0, 0.2])
)
def test_the_plain_analysis_of_variance_agrees_with_scipy(seed, shape, gaps):
    period, width = shape
    rng = np.random.default_rng(seed)
    x, phase, n = left_packed(rng, 6, width, period, 1, gaps)
    x = x + 1e3 + rng.normal(size=(6, 1)) * 0.4 * np.sin(2.0 * np.pi * phase / period)
    found = phases_differ(x, phase, n, period)
    for s, length in enumerate(n):
        values, phases = x[s, :length], phase[s, :length]
        groups = [values[phases == k] for k in range(period) if (phases == k).any()]
        expected = f_oneway(*groups).pvalue
        if abs(expected - 0.1) > 1e-6:
            assert found[s] == (expected <= 0.1 and length >= 4 * period)


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.8])
def test_what_has_a_season_is_asked_for_it(phi):
    rng = np.random.default_rng(27)
    noise = lfilter([1.0], [1.0, -phi], rng.standard_normal((2_000, 732)), axis=1)[:, 60:]
    phase = np.broadcast_to(np.arange(672) % 24, noise.shape)
    size = rng.uniform(0.0, 1.0, (2_000, 1)) / (1.0 - phi)
    x = noise + size * np.sin(2.0 * np.pi * phase / 24 + rng.uniform(0, 6, (2_000, 1)))
    n = np.full(2_000, 672)
    has, asked = find_season(x, phase, n, 24).found, phases_differ(x, phase, n, 24)
    assert has.sum() > 800
    assert (has & ~asked).sum() <= 2
