"""Early warnings: levels, when they are silent, and what they carry."""

import numpy as np
import pytest

from calhard.findings import early_warnings
from calhard.plan import AuditPlan
from calhard.simulate import healthy_series
from tests.blocks import AS_OF, DAY, audit_blocks, block
from tests.findings.tables import ago, candidates, violations

PLAN = AuditPlan()
RISING = {"risk": 0.9, "predicted_value": 0.04, "predicted_breach_at": ago(-20)}


def warned(*rows, broken=(), plan=PLAN):
    found = candidates(*(RISING | row for row in rows))
    return early_warnings(found, violations(*broken), plan).to_pylist()


@pytest.mark.parametrize(
    ("risk", "level"),
    [
        (0.3, None),
        (0.301, "yellow"),
        (0.6, "yellow"),
        (0.601, "orange"),
        (0.8, "orange"),
        (0.801, "red"),
        (1.0, "red"),
    ],
)
def test_the_risk_sets_the_level_and_an_edge_belongs_to_the_lower_one(risk, level):
    found = warned({"risk": risk})
    assert [w["warning_level"] for w in found] == ([] if level is None else [level])
    assert all(w["recommended_actions"] for w in found)


@pytest.mark.parametrize(("q", "count"), [(0.1, 1), (0.1001, 0), (None, 0)])
def test_only_a_trend_that_is_real_warns(q, count):
    assert len(warned({"slope_q": q})) == count


def test_a_falling_error_never_warns():
    assert warned({"slope": -1e-3, "predicted_value": 0.0}) == []


def test_a_recovery_from_an_improvement_does_not_warn():
    assert warned({"slope": 1e-3, "predicted_value": 0.005}) == []


def test_alpha_warns_on_either_side():
    found = warned(
        {"metric": "alpha", "slope": -1e-3, "baseline_value": 1.0, "predicted_value": 0.9},
        {"metric": "alpha", "slope": 1e-3, "baseline_value": 1.0, "predicted_value": 1.1},
    )
    assert len(found) == 2


@pytest.mark.parametrize(("verdict", "count"), [("violated", 0), ("unconfirmed", 1)])
def test_what_is_confirmed_beyond_its_bound_needs_no_warning(verdict, count):
    assert len(warned({}, broken=[{"verdict": verdict}])) == count


def test_another_series_violation_silences_nothing():
    assert len(warned({}, broken=[{"metric": "dece"}, {"class_id": "other"}])) == 1


def test_no_monitoring_no_warnings():
    assert warned({}, plan=AuditPlan(slo_monitoring=False)) == []


def test_a_warning_names_the_bound_of_its_own_class():
    plan = AuditPlan.from_text(
        """
        [[calibration.hardening.overrides]]
        class = "rare"
        aece_threshold = 0.02
        """
    )
    found = warned({}, {"class_id": "rare"}, {"metric": "clamp_rate"}, plan=plan)
    assert {(w["class_id"], w["metric"]): w["threshold"] for w in found} == {
        ("c", "aece"): 0.01,
        ("rare", "aece"): 0.02,
        ("c", "clamp_rate"): 0.1,
    }


def drifting(rise_per_day, days=35, sd=0.001, seed=0, size=6):
    """Series whose level rises (or falls) from their first day on."""
    x = 0.1 + sd * healthy_series(np.random.default_rng(seed), size, days * 24)
    return x + rise_per_day * (np.arange(days * 24) / 24.0 - days)


def test_a_slow_rise_warns_before_the_bound_is_broken_and_says_when():
    rate = 0.00047  # the reference's mean lies 21 days back, so that as_of sees 0.00987 of 0.01
    result = audit_blocks([block(drifting(rate))])
    table = early_warnings(result.candidates, violations(), result.plan)
    assert table.num_rows == 6
    expected = 0.01 / rate - 21.0
    hits = 0
    for row in table.to_pylist():
        assert row["interval_low"] < row["predicted_value"] < row["interval_high"]
        assert row["breach_earliest"] <= row["predicted_breach_at"] <= row["breach_latest"]
        first, ahead, last = (
            (row[name].timestamp() * 1e6 - AS_OF) / DAY
            for name in ("breach_earliest", "predicted_breach_at", "breach_latest")
        )
        assert ahead == pytest.approx(expected, abs=0.6)
        hits += first <= expected <= last
    assert hits >= 5


def test_the_same_fall_warns_nobody():
    result = audit_blocks([block(drifting(-0.0005))])
    assert early_warnings(result.candidates, violations(), result.plan).num_rows == 0


def test_ten_rising_daily_values_are_not_enough_for_an_audit_but_five_weeks_of_them_are():
    rise = np.linspace(0.0, 0.0165, 35)
    noise = 0.0002 * np.random.default_rng(1).standard_normal((3, 35))
    long = audit_blocks([block(0.02 + rise + noise, spacing=DAY)])
    short = audit_blocks([block((0.02 + rise + noise)[:, -10:], spacing=DAY)])
    assert early_warnings(long.candidates, violations(), long.plan).num_rows == 3
    assert early_warnings(short.candidates, violations(), short.plan).num_rows == 0


def test_healthy_series_do_not_warn():
    x = 0.1 + 0.002 * healthy_series(np.random.default_rng(2), 300, 840, phi=0.5)
    result = audit_blocks([block(x)])
    assert early_warnings(result.candidates, violations(), result.plan).num_rows == 0
