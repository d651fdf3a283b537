"""SLO tests against pinned values, computed by hand."""

import numpy as np
import pytest
from scipy import stats

from calhard.assess.columns import NIGHTS
from calhard.judge.pinned import Pin
from calhard.judge.slo import baseline, nights, week
from calhard_kernels.effective import Correlation

BOUND = np.array([0.01])
NOTHING = np.zeros(1)
UNCORRELATED = Correlation(np.zeros(1), np.zeros(1))


def accumulators():
    """Reference: 28 slots, mean .020, sd .01; week: 25 slots, mean .025, sd .02; φ = 0."""
    found = {"n_reference": 28.0, "n_analysis": 25.0, "mean_a": 0.020, "mean_b": 0.025}
    found |= {"kish_a": 28.0, "kish_b": 25.0}
    found |= {"raw_a_squares": 27 * 0.01**2, "raw_b_squares": 24 * 0.02**2}
    for side, mean in (("a", 0.020), ("b", 0.025)):
        found |= {f"raw_{side}_shift": mean, f"raw_{side}_offset": 0.0, f"raw_{side}_cross": 0.0}
    for k in range(NIGHTS):
        found |= {f"night_mean_{k}": 0.025, f"night_kish_{k}": 4.0}
        found |= {"labels_a": np.nan, f"night_labels_{k}": np.nan}
    return {name: np.array([value]) for name, value in found.items()}


def pin(value, error=0.0):
    return Pin(np.array([value]), np.array([error]))


def bound_p(distance, error, df):
    return stats.t.cdf(-(distance - 0.01) / error, df) + stats.t.cdf(-(distance + 0.01) / error, df)


def of_week(base):
    return week(accumulators(), base, BOUND, "drift", NOTHING)


def test_a_pinned_value_without_an_error_adds_none():
    found = of_week(baseline(accumulators(), UNCORRELATED, pin(0.012)))
    assert found.standard_error[0] == pytest.approx(0.02 / 5, rel=1e-12)
    assert found.p[0] == pytest.approx(bound_p(0.013, 0.004, 24), rel=1e-9)
    assert found.beyond[0]


def test_a_pinned_error_is_added_and_its_degrees_of_freedom_are_not_the_windows():
    found = of_week(baseline(accumulators(), UNCORRELATED, pin(0.012, 0.003)))
    assert found.standard_error[0] == pytest.approx(0.005, rel=1e-12)  # √(.004² + .003²)
    df = 0.005**4 / (0.004**4 / 24 + 0.003**4 / 1e6)
    assert found.p[0] == pytest.approx(bound_p(0.013, 0.005, df), rel=1e-9)


def test_without_a_pin_the_reference_and_its_error_stand_there():
    base = baseline(accumulators(), UNCORRELATED)
    again = baseline(accumulators(), UNCORRELATED, pin(np.nan))
    for found in (of_week(base), of_week(again)):
        error_a = 0.01 / 28**0.5
        assert found.standard_error[0] == pytest.approx((0.004**2 + error_a**2) ** 0.5, rel=1e-12)
        assert not found.beyond[0]  # .025 − .020 is within .01
    assert not base.pinned[0]
    assert not again.pinned[0]


def test_a_night_borrows_the_references_noise_under_a_pin_too():
    base = baseline(accumulators(), UNCORRELATED, pin(0.012))
    found = nights(accumulators(), base, BOUND, "drift", by_labels=False)[0]
    assert found.standard_error[0] == pytest.approx(0.01 / 2, rel=1e-12)
    assert found.p[0] == pytest.approx(bound_p(0.013, 0.005, 27), rel=1e-9)


def test_a_level_is_judged_by_its_bound_and_not_by_the_pin():
    base = baseline(accumulators(), UNCORRELATED, pin(0.012, 0.003))
    free = baseline(accumulators(), UNCORRELATED)
    bound = np.array([0.02])
    pinned, plain = (week(accumulators(), b, bound, "level", NOTHING) for b in (base, free))
    assert pinned.p[0] == plain.p[0]
    assert pinned.standard_error[0] == plain.standard_error[0] == pytest.approx(0.004)


@pytest.mark.parametrize(("pinned", "beyond"), [(0.015, False), (0.014, True), (0.035, False)])
def test_at_the_bound_is_within_it_on_both_sides(pinned, beyond):
    found = of_week(baseline(accumulators(), UNCORRELATED, pin(pinned)))
    assert found.beyond[0] == beyond


def test_a_certain_window_against_a_certain_pin_needs_no_test():
    columns = accumulators() | {"raw_a_squares": np.zeros(1), "raw_b_squares": np.zeros(1)}
    for value, p in ((0.012, 0.0), (0.020, 1.0)):
        base = baseline(columns, UNCORRELATED, pin(value))
        found = week(columns, base, BOUND, "drift", NOTHING)
        assert found.p[0] == p
        assert found.standard_error[0] == 0.0


def test_a_certain_window_against_an_uncertain_pin_has_the_pins_error():
    columns = accumulators() | {"raw_a_squares": np.zeros(1), "raw_b_squares": np.zeros(1)}
    base = baseline(columns, UNCORRELATED, pin(0.012, 0.003))
    found = week(columns, base, BOUND, "drift", NOTHING)
    assert found.standard_error[0] == pytest.approx(0.003)
    assert found.p[0] == pytest.approx(stats.norm.cdf(-1.0), rel=1e-3)


def test_labels_explain_what_changed_since_the_reference_and_not_a_distance_from_the_pin():
    explained = np.array([0.02])
    for mean_a, p in ((0.005, 1.0), (0.025, None)):
        columns = accumulators() | {"mean_a": np.array([mean_a])}
        base = baseline(columns, UNCORRELATED, pin(0.005))
        found = week(columns, base, BOUND, "drift", explained)
        assert found.beyond[0]
        assert found.p[0] == pytest.approx(bound_p(0.02, 0.004, 24) if p is None else p)
