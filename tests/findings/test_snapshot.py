"""The original's own cases: one snapshot against one baseline."""

import numpy as np
import pytest

from calhard.findings import snapshot_healthy, snapshot_violations
from calhard.plan import AuditPlan

PLAN = AuditPlan()
BASELINE = {
    "aece": 0.012,
    "dece": 0.010,
    "alpha": 0.50,
    "clamp_rate": 0.05,
    "merged_bin_rate": 0.02,
}
BROKEN = {
    "aece": 0.025,
    "dece": 0.022,
    "alpha": 0.58,
    "clamp_rate": 0.12,
    "merged_bin_rate": 0.25,
    "score_range_violations": 3,
    "mask_mismatch_count": 1,
}


def found(baseline=None, plan=PLAN, **changed):
    current = BASELINE | {"score_range_violations": 0, "mask_mismatch_count": 0} | changed
    return snapshot_violations(BASELINE if baseline is None else baseline, current, plan)


def severities(**changed):
    return {v.metric: v.severity for v in found(**changed)}


def test_the_originals_broken_snapshot_has_the_originals_severities():
    assert severities(**BROKEN) == {
        "aece": "low",
        "dece": "low",
        "alpha": "medium",
        "clamp_rate": "medium",
        "merged_bin_rate": "critical",
        "score_range_violations": "critical",
        "mask_mismatch_count": "high",
    }
    assert not snapshot_healthy(found(**BROKEN))


def test_its_ratios_are_those_of_the_original():
    by = {v.metric: v for v in found(**BROKEN)}
    assert by["aece"].drift / by["aece"].threshold == pytest.approx(1.3)
    assert by["dece"].drift / by["dece"].threshold == pytest.approx(1.2)
    assert by["alpha"].drift / by["alpha"].threshold == pytest.approx(1.6)
    assert by["merged_bin_rate"].threshold == 0.20


@pytest.mark.parametrize(
    ("metric", "value", "severity"),
    [
        ("aece", 0.012 + 0.010, None),
        ("aece", 0.012 + 0.011, "low"),
        ("dece", 0.010 + 0.010, None),
        ("dece", 0.010 + 0.011, "low"),
        ("alpha", 0.50 + 0.05, None),
        ("alpha", 0.50 + 0.06, "low"),
        ("alpha", 0.50 - 0.06, "low"),
        ("clamp_rate", 0.10, None),
        ("clamp_rate", 0.11, "medium"),
        ("clamp_rate", 0.15, "medium"),
        ("clamp_rate", 0.16, "high"),
        ("merged_bin_rate", 0.05, None),
        ("merged_bin_rate", 0.07, "medium"),
        ("merged_bin_rate", 0.20, "medium"),
        ("merged_bin_rate", 0.25, "critical"),
        ("score_range_violations", 0, None),
        ("score_range_violations", 1, "critical"),
        ("mask_mismatch_count", 0, None),
        ("mask_mismatch_count", 1, "high"),
    ],
)
def test_a_value_at_its_bound_is_within_it_and_one_beyond_is_not(metric, value, severity):
    assert severities(**{metric: value}) == ({} if severity is None else {metric: severity})


@pytest.mark.parametrize(
    ("drift", "severity"),
    [(0.015, "low"), (0.016, "medium"), (0.02, "medium"), (0.021, "high"), (0.03, "high")],
)
def test_a_drift_is_as_severe_as_its_ratio_to_the_bound(drift, severity):
    assert severities(aece=0.012 + drift) == {"aece": severity}
    assert severities(aece=0.012 + 0.031) == {"aece": "critical"}


def test_a_hundred_noisy_healthy_snapshots_stay_silent():
    rng = np.random.default_rng(0)
    noise = {
        "aece": 0.002,
        "dece": 0.002,
        "alpha": 0.01,
        "clamp_rate": 0.01,
        "merged_bin_rate": 0.006,
    }
    for _ in range(100):
        noisy = {name: BASELINE[name] + rng.normal(0.0, sd) for name, sd in noise.items()}
        assert found(**noisy) == []


def test_a_fall_of_aece_beyond_its_bound_is_for_the_better_and_leaves_the_snapshot_healthy():
    baseline = BASELINE | {"aece": 0.06}
    (only,) = found(baseline)
    assert (only.metric, only.direction, only.severity) == ("aece", "better", "critical")
    assert snapshot_healthy([only])
    assert found(aece=0.06)[0].direction == "worse"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -0.01, 1.01])
@pytest.mark.parametrize("metric", ["aece", "clamp_rate", "merged_bin_rate"])
def test_a_value_that_cannot_be_is_never_within_its_bound(metric, value):
    (only,) = found(**{metric: value})
    assert (only.metric, only.direction, only.severity) == (metric, "worse", "critical")
    assert not snapshot_healthy([only])


def test_what_has_no_baseline_or_no_value_is_left_out():
    assert found({"alpha": np.nan}, aece=0.5, alpha=3.0) == []
    assert snapshot_violations(BASELINE, {}, PLAN) == []


def test_overrides_move_the_bound_of_the_class_they_name():
    plan = AuditPlan.from_text(
        """
        [[calibration.hardening.overrides]]
        class = "rare-*"
        aece_threshold = 0.02
        """
    )
    current = {"aece": 0.012 + 0.015}
    usual = snapshot_violations(BASELINE, current, plan, model_id="m", class_id="common")
    rare = snapshot_violations(BASELINE, current, plan, model_id="m", class_id="rare-1")
    assert [v.metric for v in usual] == ["aece"]
    assert rare == []
