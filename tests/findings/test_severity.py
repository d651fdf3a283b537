"""How bad: the scale of regressions, at its edges."""

import numpy as np
import pytest

from calhard.findings.regressions import regressions
from calhard.findings.severity import REGRESSION_SCALE, regression_severity
from calhard.plan import AuditPlan
from tests.findings.tables import AS_OF_US, candidates

PLAN = AuditPlan()
FREE = np.inf
"""A change so large that practical size caps nothing."""


def severity(effect, change=FREE, *, importance=1.0, kind="GradualDrift", bound=0.01):
    values = (np.array([float(v)]) for v in (effect, change, importance))
    level = regression_severity(*values, np.array([kind], object), np.array([bound]))
    return REGRESSION_SCALE[int(level[0])]


@pytest.mark.parametrize(
    ("effect", "expected"),
    [
        (0.0, "minor"),
        (0.8, "minor"),
        (0.801, "moderate"),
        (1.5, "moderate"),
        (1.501, "severe"),
        (3.0, "severe"),
        (3.001, "critical"),
        (-3.001, "critical"),
    ],
)
def test_the_effect_decides_and_an_edge_belongs_to_the_lower_step(effect, expected):
    assert severity(effect) == expected


@pytest.mark.parametrize(
    ("kind", "factor"),
    [("SuddenJump", 1.5), ("VarianceIncrease", 1.3), ("GradualDrift", 1.0), ("Oscillation", 0.8)],
)
def test_each_type_has_its_factor(kind, factor):
    assert severity(3.0 / factor * 1.001, kind=kind) == "critical"
    assert severity(3.0 / factor * 0.999, kind=kind) == "severe"


@pytest.mark.parametrize(
    ("metric", "importance"),
    [
        ("aece", 1.5),
        ("dece", 1.5),
        ("clamp_rate", 1.0),
        ("merged_bin_rate", 1.0),
        ("alpha", 0.8),
    ],
)
def test_each_metric_has_its_importance(metric, importance):
    assert PLAN.metric_catalogue()[metric].importance == importance
    for share, expected in ((1.001, "critical"), (0.999, "severe")):
        row = {"metric": metric, "kind": "GradualDrift", "change": 10.0}
        effect = 3.0 / importance * share
        found = regressions(candidates(row | {"effect_size": effect}), PLAN, AS_OF_US)
        assert found["severity"].to_pylist() == [expected]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (0.0049, "minor"),
        (0.005, "moderate"),
        (0.0099, "moderate"),
        (0.01, "severe"),
        (0.0199, "severe"),
        (0.02, "critical"),
        (-0.0049, "minor"),
        (-0.02, "critical"),
    ],
)
def test_a_change_small_against_the_slo_bound_caps_the_severity(change, expected):
    assert severity(100.0, change) == expected


def test_the_cap_never_raises_a_severity():
    assert severity(0.1, 1.0) == "minor"


def test_a_metric_without_a_bound_has_no_cap():
    assert severity(100.0, 1e-9, bound=np.nan) == "critical"


def failed(metric, week_value):
    row = {"metric": metric, "kind": "MetricFailure", "status": "failed", "reason": "broken"}
    found = regressions(candidates(row | {"week_value": week_value}), PLAN, AS_OF_US)
    return found["severity"].to_pylist()


def test_a_score_range_failure_is_critical_and_a_mask_mismatch_severe():
    assert failed("score_range_violations", 3.0) == ["critical"]
    assert failed("mask_mismatch_count", 3.0) == ["severe"]
    assert failed("aece", None) == ["severe"]


def test_a_silent_counter_of_score_range_violations_is_no_score_range_failure():
    assert failed("score_range_violations", 0.0) == ["severe"]


def test_a_failure_is_confirmed_without_any_p_value():
    row = {"status": "failed", "kind": "MetricFailure", "p_value": None, "q_value": None}
    found = regressions(
        candidates(row | {"reason": "the last 72 values are all 1"}), PLAN, AS_OF_US
    )
    assert found["detail"].to_pylist() == ["the last 72 values are all 1"]
    assert found["current_value"].to_pylist() == [0.05]


@pytest.mark.parametrize(
    ("q", "p", "confirmed"),
    [(0.05, 0.001, True), (0.051, 0.0005, False), (0.01, 0.0011, False), (None, None, False)],
)
def test_a_change_is_confirmed_by_q_and_by_p_together(q, p, confirmed):
    found = regressions(candidates({"q_value": q, "p_value": p}), PLAN, AS_OF_US)
    assert found.num_rows == confirmed
