"""Series that the small night does not have: warned, floors, silent models, switched off, λ."""

from datetime import UTC, datetime

import pytest

from calhard import explain
from calhard.explanation.facts import SeriesFacts
from calhard.explanation.text import series_text
from calhard.explanation.verdict import verdict_of
from calhard.plan import AuditPlan
from calhard.plan.bounds import MetricSpec
from calhard.plan.sections import Regression
from calhard.schema import EVIDENCE, HEADS
from tests.explain.nights import AS_OF, audit, write_history

QUIET = {
    "status": "ok",
    "reason": "",
    "cadence": "hourly",
    "n_reference": 672,
    "n_analysis": 168,
    "n_missing": 3,
    "n_bad": 0,
    "reference_mean": 0.02,
    "analysis_mean": 0.021,
    "reference_sd": 0.001,
    "analysis_sd": 0.001,
    "cohens_d": 1.0,
    "last_value": 0.02,
    "last_timestamp": AS_OF,
    "spacing_seconds": 300.0,
    "head": "level",
    "p_value": 0.2,
    "q_value": 0.5,
    "slo_bound": 0.01,
    "baseline_value": 0.02,
    "baseline_source": "pinned",
    "week_value": 0.021,
    "night_value": 0.021,
    "week_standard_error": 0.0001,
    "night_standard_error": 0.0002,
    "smallest_detectable": 0.0006,
    "slope_q": 0.5,
    **{f"p_{head}": 0.5 for head in HEADS},
}


def facts(metric="aece", plan=None, evidence=None, inflation=None, **found):
    """A healthy series, but for what a test says of it."""
    row = dict.fromkeys(EVIDENCE.names) | QUIET | (evidence or {})
    fields = dict.fromkeys(("regression", "improvement", "warning", "incident", "group"))
    violations = found.pop("violations", {})
    return SeriesFacts(
        "m", "c", metric, row, **(fields | found), violations=violations,
        plan=plan or AuditPlan(), as_of=AS_OF, inflation=inflation or {},
    )  # fmt: skip


def text(found):
    return series_text(found, "2026-05-31")


def test_a_warning_alone_is_a_verdict_of_its_own():
    ahead = {
        "predicted_value": 0.031, "interval_low": 0.029, "interval_high": 0.033, "risk": 0.93,
        "slope_q": 0.01, "predicted_breach_at": datetime(2026, 6, 1, 20, tzinfo=UTC),
        "breach_earliest": datetime(2026, 6, 1, 6, tzinfo=UTC),
        "breach_latest": datetime(2026, 6, 3, tzinfo=UTC),
    }  # fmt: skip
    warned = facts(evidence=ahead, warning={"warning_level": "red", "risk": 0.93})
    assert verdict_of(warned).word == "warned"
    told = "within its bound now, beyond it by 2026-06-02 00:00 UTC with a chance of 93%."
    assert verdict_of(warned).sentence == f"WARNED, red: {told}"
    told = "its trend meets the bound at 2026-06-01 20:00 UTC (from 2026-06-01 06:00 to 2026-06-03"
    assert told in text(warned).replace("\n           ", " ")
    assert "no warning" not in text(warned)
    doubted = facts(evidence=ahead | {"slope_q": 0.4})
    assert "no warning: its trend may be chance" in text(doubted)
    assert "its trend meets" not in text(doubted)


def test_a_floor_a_level_and_a_metric_without_slo_are_told_apart():
    plan = AuditPlan(
        metrics={
            "recall": MetricSpec(bound="level", threshold=0.8, direction="lower_is_worse"),
            "lag": MetricSpec(bound="level", threshold=2.0),
            "size": MetricSpec(),
        }
    )
    assert "week:  0.021 ± 0.0001, at least 0.8" in text(facts("recall", plan, {"slo_bound": 0.8}))
    assert "week:  0.021 ± 0.0001, at most 2: met" in text(facts("lag", plan, {"slo_bound": 2.0}))
    none = text(facts("size", plan, {"slo_bound": None}))
    assert "SLO        none for this metric" in none
    assert "bound" not in none


def test_a_violation_names_the_bound_that_it_broke():
    broken = {
        "window": "week", "verdict": "violated", "direction": "worse", "severity": "critical",
        "p_value": 1e-9, "threshold": 0.2, "onset": None, "current_value": 0.25,
    }  # fmt: skip
    evidence = {"slo_bound": 0.05, "week_value": 0.25}
    found = facts("merged_bin_rate", evidence=evidence, violations={"week": broken})
    assert "ALARMED, critical: the SLO is violated in the week." in text(found)
    assert "week:  0.25 ± 0.0001, at most 0.2: violated, critical (p = 1e-09)" in text(found)
    assert "the violation is beyond noise, see SLO; a change since Before is not: p = 0.2" in text(
        found
    )
    assert "a finding needs" not in text(found)
    better = broken | {"direction": "better"}
    calm = facts(violations={"week": better})
    assert verdict_of(calm).word == "healthy"
    assert "violated, critical (for the better, p = 1e-09)" in text(calm)


@pytest.mark.parametrize(("raw", "told"), [(1.3, "λ = 1.3"), (7.0, "λ = 7, counted as 2")])
def test_inflation_of_the_family_is_told_in_words(raw, told):
    line = "p was raised: all such series vary more than chance explains"
    assert f"{line} ({told})" in text(facts(inflation={"level": raw})).replace("\n           ", " ")
    assert line not in text(facts(inflation={"scan": raw}))


def test_what_is_switched_off_does_not_read_as_healthy():
    off = AuditPlan(regression_detection=False)
    sure = {"p_value": 1e-9, "q_value": 1e-8}
    assert verdict_of(facts(plan=off, evidence=sure)).word == "off"
    failed = {"status": "failed", "reason": "no sample for 90 h"}
    assert verdict_of(facts(plan=off, evidence=failed)).sentence == (
        "SILENT because switched off (regression_detection = false): no sample for 90 h."
    )
    blind = AuditPlan(slo_monitoring=False)
    assert "SLO        switched off (slo_monitoring = false)" in text(facts(plan=blind))


def test_a_pinned_baseline_is_named():
    assert "baseline 0.02, pinned; ± is one standard error" in text(facts())
    ours = facts(evidence={"baseline_source": "reference"})
    assert "baseline 0.02, the mean of Before; ± is one standard error" in text(ours)


def test_how_often_a_value_comes_is_said_in_its_own_unit():
    for seconds, told in ((300, "every 5 min"), (86_400, "daily"), (30, "every 30 s")):
        assert told in text(facts(evidence={"spacing_seconds": float(seconds)}))


def test_a_head_that_is_off_and_one_without_weight_say_so():
    plan = AuditPlan(regression=Regression(head_weights=(0.5, 0.5, 0.0, 0.0, 0.0)))
    found = text(facts(plan=plan, evidence={"p_oscillation": None}))
    assert "trend              p = 0.5       not counted" in found
    assert "cycle                            off" in found


def test_a_gate_counts_the_shares_and_the_inflation_of_the_heads():
    small = {"p_variance": 0.001, "p_value": 0.02}
    assert "gate closed" in text(facts(evidence=small))  # 0.001/0.1 is under 0.02
    assert "gate closed" not in text(facts(evidence=small | {"p_value": 0.01}))
    raised = facts(evidence=small, inflation={"variance": 2.0})
    assert "gate closed" not in text(raised)


def test_a_series_that_no_test_fits_is_blind():
    none = {"p_value": None, "q_value": None, "head": None, **{f"p_{h}": None for h in HEADS}}
    assert verdict_of(facts(evidence=none)).word == "blind"


def test_false_discoveries_are_counted_as_the_plan_has_them():
    jump = {
        "regression_type": "SuddenJump", "severity": "severe", "change_magnitude": 0.01,
        "effect_size": 4.0, "baseline_value": 0.02, "current_value": 0.03, "onset": AS_OF,
    }  # fmt: skip
    for level, told in ((0.05, "of 20"), (0.01, "of 100"), (0.03, "of 1,000")):
        plan = AuditPlan(regression=Regression(fdr_level=level))
        assert f"{told} findings this sure at most" in text(facts(plan=plan, regression=jump))


def test_a_model_that_does_not_report_is_alarmed_and_has_no_evidence(tmp_path):
    plan = AuditPlan(expected_models=("churn", "gone"))
    out = audit(write_history(tmp_path / "history"), tmp_path / "nights", plan)
    gone = explain(out, "gone")
    assert gone.verdict == "alarmed"
    assert gone.picture is None
    assert "the model is expected and has not reported at all" in gone.text
