"""The original's own cases, through the API of a service."""

import numpy as np
import pytest

from calhard import AuditPlan, CalibrationMetrics, DriftMonitor, RegressionDetector
from calhard.plan.sections import Slos
from tests.service.streams import BASELINE, DAY, HOUR, SECOND, START, fed, found, normal, snapshots

BROKEN = {
    "aece": 0.025,
    "dece": 0.022,
    "alpha": 0.58,
    "clamp_rate": 0.12,
    "merged_bin_rate": 0.25,
    "score_range_violations": 3,
    "mask_mismatch_count": 1,
}
JUMPED = ("aece", "SuddenJump", "worse")
DRIFTED = ("aece", "GradualDrift", "worse")


def monitor(plan=None):
    made = DriftMonitor(plan)
    made.set_baseline(BASELINE)
    return made


def severities(made, **changed):
    return {v.metric: v.severity for v in made.check_slos(BASELINE | changed)}


def test_the_broken_snapshot_has_the_originals_severities_and_is_unhealthy():
    made = monitor()
    assert severities(made, **BROKEN) == {
        "aece": "low",
        "dece": "low",
        "alpha": "medium",
        "clamp_rate": "medium",
        "merged_bin_rate": "critical",
        "score_range_violations": "critical",
        "mask_mismatch_count": "high",
    }
    assert not made.is_healthy()
    assert len(made.recent_violations()) == 7


@pytest.mark.parametrize(
    ("metric", "value", "severity"),
    [
        ("aece", 0.012 + 0.010, None),
        ("aece", 0.012 + 0.011, "low"),
        ("dece", 0.010 + 0.010, None),
        ("dece", 0.010 + 0.011, "low"),
        ("alpha", 0.55, None),
        ("alpha", 0.56, "low"),
        ("clamp_rate", 0.10, None),
        ("clamp_rate", 0.11, "medium"),
        ("merged_bin_rate", 0.05, None),
        ("merged_bin_rate", 0.07, "medium"),
        ("merged_bin_rate", 0.25, "critical"),
    ],
)
def test_at_the_bound_is_within_it_and_beyond_is_not(metric, value, severity):
    expected = {} if severity is None else {metric: severity}
    assert severities(monitor(), **{metric: value}) == expected


@pytest.mark.parametrize(
    "plan", [AuditPlan(slos=Slos(aece_threshold=0.02)), Slos(aece_threshold=0.02)]
)
def test_thresholds_of_ones_own_move_the_bound(plan):
    assert severities(monitor(plan), aece=0.012 + 0.015) == {}
    assert severities(monitor(plan), aece=0.012 + 0.021) == {"aece": "low"}


def test_a_hundred_noisy_healthy_snapshots_stay_silent():
    made, detector = monitor(), RegressionDetector()
    for i, sample in enumerate(snapshots(1, 100)):
        assert made.check_slos(sample, START + i * HOUR) == []
        assert detector.add_metrics(sample, START + i * HOUR)
        if i % 10 == 9:
            assert detector.regressions() == detector.early_warnings() == []
    assert made.is_healthy()
    assert detector.health_status().state == "HEALTHY"
    assert detector.health_status().reasons == ()


@pytest.mark.parametrize("spacing", [SECOND, HOUR])
@pytest.mark.parametrize("noise", [0.0, 1e-4])
def test_ten_rising_aece_values_warn_and_are_degrading(spacing, noise):
    rising = 0.012 + 0.001 * np.arange(10) + noise * normal(3, 10)
    detector = fed(rising, spacing)
    (warning,) = detector.early_warnings()
    assert (warning.metric, warning.warning_level, warning.trend) == ("aece", "red", "degrading")
    assert warning.risk > 0.8
    assert warning.predicted_value > 0.022
    assert detector.trends()["aece"].direction == "degrading"
    assert detector.health_status().state == "SEVERE"


def test_fewer_than_eight_samples_never_warn():
    assert fed(0.012 + 0.01 * np.arange(7)).early_warnings() == []
    assert len(fed(0.012 + 0.01 * np.arange(8)).early_warnings()) == 1


def test_ten_falling_aece_values_are_improving_and_warn_of_nothing():
    detector = fed(0.05 - 0.001 * np.arange(10))
    assert detector.early_warnings() == []
    assert detector.trends()["aece"].direction == "improving"


@pytest.mark.parametrize("spacing", [SECOND, HOUR, DAY])
@pytest.mark.parametrize("after", [5, 12, 30])
def test_a_sudden_jump_is_named_so_however_late_one_asks(spacing, after):
    values = np.r_[0.012 + 8e-4 * normal(5, 30), 0.05 + 8e-4 * normal(6, after)]
    detector = fed(values, spacing)
    assert found(detector) == [JUMPED]
    (jump,) = detector.regressions()
    assert jump.severity == "critical"
    assert jump.trend == "degrading"
    assert detector.health_status().state == "CRITICAL"


def test_a_gradual_drift_is_named_so():
    values = 0.012 + 0.001 * np.arange(40) + 5e-4 * normal(7, 40)
    assert found(fed(values)) == [DRIFTED]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.5, 1.5])
def test_a_metric_that_fails_is_named_so_and_is_counted(value):
    detector = fed([*(0.012 + 8e-4 * normal(8, 30)), value])
    assert found(detector) == [("aece", "MetricFailure", "worse")]
    assert detector.rejected == 1
    assert not detector.health_status().healthy


@pytest.mark.parametrize(
    ("metric", "severity"),
    [("score_range_violations", "critical"), ("mask_mismatch_count", "severe")],
)
def test_events_that_must_not_happen_are_failures(metric, severity):
    samples = [{"aece": float(v), metric: 0} for v in 0.012 + 8e-4 * normal(9, 30)]
    samples[-2][metric] = 1
    (failure,) = fed(samples).regressions()
    assert (failure.metric, failure.regression_type) == (metric, "MetricFailure")
    assert failure.severity == severity


@pytest.mark.parametrize("after", [5, 20])
def test_a_constant_that_jumps_beyond_its_bound_is_a_sudden_jump_and_within_it_is_none(after):
    detector = fed([0.012] * 30 + [0.05] * after)
    assert found(detector) == [JUMPED]
    (jump,) = detector.regressions()
    assert jump.onset == START + 30 * HOUR
    assert jump.change == pytest.approx(0.038)
    assert found(fed([0.012] * 30 + [0.02] * after)) == []


def test_a_sudden_improvement_is_recorded_and_never_a_regression():
    detector = fed(np.r_[0.05 + 8e-4 * normal(5, 60), 0.012 + 8e-4 * normal(6, 12)])
    assert found(detector) == []
    (better,) = detector.improvements()
    assert (better.direction, better.trend) == ("better", "improving")
    assert detector.health_status().healthy


def test_no_data_is_never_healthy():
    detector = RegressionDetector()
    assert detector.health_status().state == "INSUFFICIENT"
    assert not detector.health_status().healthy
    assert detector.regressions() == detector.early_warnings() == []
    for n in (1, 5, 12):
        assert fed([0.012] * n).health_status().state == "INSUFFICIENT"
    assert not DriftMonitor().is_healthy()


def test_the_dataclass_says_what_a_mapping_says():
    sample = CalibrationMetrics(**BROKEN, total_samples=4_000)
    assert monitor().check_slos(sample) == monitor().check_slos(BROKEN)
    plan = AuditPlan(metrics={"latency": {"bound": "level", "threshold": 0.5}})
    made = DriftMonitor(plan)
    slow = CalibrationMetrics(clamp_rate=0.01, declared={"latency": 0.9})
    assert [v.metric for v in made.check_slos(slow)] == ["latency"]


def test_the_reports_keep_the_originals_headings():
    made = monitor()
    made.check_slos(BROKEN)
    weekly, regression = made.weekly_report(), fed([0.012] * 30 + [0.05] * 5).regression_report()
    titles = [line for line in weekly.splitlines() if line and line in HEADINGS]
    assert titles == HEADINGS[:6]
    assert [line for line in regression.splitlines() if line in HEADINGS] == HEADINGS[6:]
    assert "[CRITICAL] SuddenJump of aece since 2026-03-02 06:00 UTC" in regression
    assert "score_range_violations 3 (bound 0)" in weekly


HEADINGS = [
    "WEEKLY CALIBRATION SLO REPORT",
    "Overall Status",
    "SLO Compliance",
    "Violations by Severity",
    "Confirmed Violations",
    "Recommendations",
    "CALIBRATION REGRESSION REPORT",
    "System Health",
    "Active Regressions",
    "Early Warnings",
    "Trend Analysis",
    "Recommended Actions",
]
