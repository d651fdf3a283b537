"""Error rates on simulated fleets with fixed seeds; `benchmarks.statistics` draws fresh ones."""

import numpy as np
import pytest

from calhard.schema import MICROSECONDS_PER_DAY
from calhard.simulate import healthy_series, plant
from tests.blocks import audit_values, kinds

N, ANALYSIS = 200, 67
SERIES = 2_000


def fleet(seed, phi, broken, fault, size, at=N - ANALYSIS, **more):
    rng = np.random.default_rng(seed)
    x = healthy_series(rng, SERIES, N, phi=phi)
    count = round(SERIES * broken)
    x[:count] = plant(x[:count], fault, size, at, **more)
    return x, count


@pytest.mark.parametrize(
    ("noise", "phi"), [("normal", 0.0), ("normal", 0.5), ("normal", 0.7), ("t5", 0.3)]
)
def test_healthy_hourly_series_stay_silent(noise, phi):
    x = healthy_series(np.random.default_rng(1), SERIES, N, phi=phi, noise=noise)
    assert audit_values(x, ANALYSIS).alarmed.sum() <= 2


def test_a_weekly_season_is_no_change():
    x = healthy_series(np.random.default_rng(2), 600, 840, phi=0.3, noise="weekly")
    assert audit_values(x, 168).alarmed.sum() <= 1


def test_a_daily_season_is_no_change():
    x = healthy_series(np.random.default_rng(3), 600, 840, phi=0.3, noise="daily")
    assert audit_values(x, 168).alarmed.sum() <= 1


def test_healthy_daily_series_stay_silent():
    x = healthy_series(np.random.default_rng(4), SERIES, 35, phi=0.3)
    assert audit_values(x, 7, spacing=MICROSECONDS_PER_DAY).alarmed.sum() <= 2


@pytest.mark.parametrize("broken", [0.01, 0.12, 0.5, 1.0])
def test_a_step_is_found_however_much_of_the_fleet_is_broken(broken):
    """An uncapped inflation factor would go silent exactly when everything breaks."""
    x, count = fleet(5, 0.5, broken, "step", 2.5)
    found = audit_values(x, ANALYSIS).alarmed
    assert found[:count].mean() >= 0.98
    assert found[count:].sum() <= 3


@pytest.mark.parametrize("size", [5.0, 12.0, 40.0])
def test_a_large_step_in_the_last_day_is_always_found(size):
    """The largest faults must not hide behind their own variance or correlation."""
    rng = np.random.default_rng(6)
    x = healthy_series(rng, 300, 840, phi=0.5)
    x[:10] = plant(x[:10], "step", size, 840 - 24)
    found = audit_values(x, 168)
    assert found.alarmed[:10].all()
    assert {kinds(found)[f"m{i:06d}"] for i in range(10)} == {"SuddenJump"}


@pytest.mark.parametrize(
    ("fault", "size", "kind", "least"),
    [
        ("step", 3.0, "SuddenJump", 0.99),
        ("drift", 8.0, "GradualDrift", 0.6),
        ("variance", 4.0, "VarianceIncrease", 0.9),
        ("oscillation", 2.5, "Oscillation", 0.9),
    ],
)
def test_faults_are_named_as_what_they_are(fault, size, kind, least):
    at = 0 if fault == "drift" else N - ANALYSIS
    x, count = fleet(7, 0.2, 0.02, fault, size, at)
    found = audit_values(x, ANALYSIS)
    assert found.alarmed[:count].mean() >= least
    named = [kinds(found).get(f"m{i:06d}") for i in range(count) if found.alarmed[i]]
    assert named.count(kind) >= least * len(named)


def test_alternation_is_seen_at_nyquists_frequency():
    x, count = fleet(8, 0.0, 0.02, "oscillation", 1.5, period=2.0)
    assert audit_values(x, ANALYSIS).alarmed[:count].mean() >= 0.95


def test_a_transient_that_went_away_is_no_regression():
    x, count = fleet(9, 0.3, 0.2, "transient", 4.0, at=N - ANALYSIS + 10)
    assert audit_values(x, ANALYSIS).alarmed[:count].mean() <= 0.01


@pytest.mark.parametrize("series", [1, 15, 100])
def test_small_healthy_fleets_do_not_cry_wolf(series):
    rng = np.random.default_rng(10)
    alarms = [
        audit_values(healthy_series(rng, series, N, phi=0.3), ANALYSIS).alarmed.any()
        for _ in range(40)
    ]
    assert np.mean(alarms) <= 0.025


def test_false_discoveries_stay_a_small_share():
    shares = []
    for seed in range(4):
        x, count = fleet(100 + seed, 0.3, 0.02, "step", 2.0)
        found = audit_values(x, ANALYSIS).alarmed
        shares.append(found[count:].sum() / max(found.sum(), 1))
    assert np.mean(shares) <= 0.08
