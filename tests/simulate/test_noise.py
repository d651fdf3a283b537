"""Healthy series have the moments they promise; a planted fault is what it says and no more."""

import numpy as np
import pytest

from calhard.simulate import healthy_series, plant
from calhard.simulate.noise import FAULTS, TRANSIENT_SLOTS

SERIES, N = 400, 500


def lag1(x):
    """Pooled lag-1 correlation around the known mean 0."""
    return float(np.sum(x[:, 1:] * x[:, :-1]) / np.sum(x * x) * N / (N - 1))


@pytest.mark.parametrize("noise", ["normal", "t5"])
@pytest.mark.parametrize("phi", [-0.5, 0.0, 0.3, 0.8])
def test_mean_0_sd_1_and_the_lag_1_correlation_that_was_asked_for(noise, phi):
    x = healthy_series(np.random.default_rng(3), SERIES, N, phi=phi, noise=noise)
    # 200,000 values, of which correlation leaves (1 − φ)/(1 + φ): six standard errors.
    effective = SERIES * N * (1 - phi) / (1 + phi)
    assert x.shape == (SERIES, N)
    assert abs(x.mean()) < 6 / np.sqrt(effective)
    assert x.std() == pytest.approx(1.0, abs=0.02)
    assert lag1(x) == pytest.approx(phi, abs=0.015)


def test_the_first_value_is_as_spread_as_the_last():
    x = healthy_series(np.random.default_rng(4), 20_000, 3, phi=0.8)
    assert x[:, 0].std() == pytest.approx(1.0, abs=0.03)
    assert x[:, -1].std() == pytest.approx(1.0, abs=0.03)


def test_t5_has_the_tails_of_students_t():
    x = healthy_series(np.random.default_rng(5), SERIES, N, noise="t5")
    normal = healthy_series(np.random.default_rng(5), SERIES, N)
    assert np.mean(np.abs(x) > 4.0) > 10 * np.mean(np.abs(normal) > 4.0)


def test_a_week_repeats_by_the_day_whatever_the_cadence():
    hourly = healthy_series(np.random.default_rng(6), 200, 24 * 70, noise="weekly")
    daily = healthy_series(np.random.default_rng(6), 200, 700, noise="weekly", slots_per_day=1)
    by_day = hourly.reshape(200, 70, 24).mean(axis=2)
    for x in (by_day, daily):
        weeks = x.reshape(200, -1, 7).mean(axis=1)
        assert weeks.std(axis=1).mean() == pytest.approx(0.9, abs=0.15)
    assert np.allclose(np.diff(daily.reshape(200, -1, 7).mean(axis=1)).std(), np.sqrt(2), atol=0.3)


def test_a_day_repeats_by_the_hour():
    x = healthy_series(np.random.default_rng(7), 100, 24 * 100, noise="daily")
    by_hour = x.reshape(100, 100, 24).mean(axis=1)
    swing = (by_hour.max(axis=1) - by_hour.min(axis=1)) / 2
    assert swing.min() > 0.4
    assert swing.max() < 2.4


def test_the_same_generator_gives_the_same_series():
    one, two = (healthy_series(np.random.default_rng(8), 3, 50, phi=0.4) for _ in range(2))
    assert np.array_equal(one, two)


@pytest.mark.parametrize("fault", FAULTS)
def test_what_lies_before_a_fault_is_untouched_and_so_is_the_original(fault):
    x = healthy_series(np.random.default_rng(9), 5, 200, phi=0.3)
    kept = x.copy()
    y = plant(x, fault, 4.0, 120)
    assert np.array_equal(x, kept)
    assert np.array_equal(y[:, :120], x[:, :120])
    assert not np.array_equal(y[:, 120:], x[:, 120:])


def difference(fault, size, **more):
    x = healthy_series(np.random.default_rng(10), 4, 100)
    return plant(x, fault, size, 60, **more)[:, 60:] - x[:, 60:]


def test_a_step_lifts_every_later_value_by_its_size():
    assert np.allclose(difference("step", 3.0), 3.0)


def test_a_drift_rises_evenly_to_its_size_at_the_end():
    assert np.allclose(difference("drift", 3.0), np.linspace(0.0, 3.0, 40))


def test_a_transient_is_over_after_fifteen_slots_or_where_it_is_told_to_end():
    found = difference("transient", 5.0)
    assert np.allclose(found[:, :TRANSIENT_SLOTS], 5.0)
    assert np.allclose(found[:, TRANSIENT_SLOTS:], 0.0)
    assert np.count_nonzero(difference("transient", 5.0, until=63)[0]) == 3


def test_an_oscillation_has_its_amplitude_and_period():
    found = difference("oscillation", 2.0, period=10.0)
    assert np.allclose(found, 2.0 * np.cos(2 * np.pi * np.arange(40) / 10))


def test_a_variance_fault_multiplies_by_its_size():
    x = healthy_series(np.random.default_rng(11), 4, 100)
    assert np.array_equal(plant(x, "variance", 3.0, 60)[:, 60:], 3.0 * x[:, 60:])
