"""Bounds of series: defaults, declared metrics, overrides by globs."""

from fnmatch import fnmatchcase

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from calhard.plan import AuditPlan, MetricSpec, Override, Thresholds
from calhard.plan.globs import matched
from calhard.schema import BUILTIN_METRICS

NAMES = st.sampled_from(["a", "ab", "b", "A", "a[1]", "a1", "", "a\nb", "é", "*"])
GLOBS = st.sampled_from(["*", "a", "a*", "?", "[ab]", "[!a]", "a[1]", "a[[]1]", "*b", "(", "["])


def plan_of(*overrides, **settings):
    return AuditPlan(overrides=tuple(Override.model_validate(o) for o in overrides), **settings)


def test_the_defaults_are_those_of_the_original_document():
    plan = AuditPlan()
    bounds = {metric: plan.threshold(metric, "m", "c") for metric in BUILTIN_METRICS}
    assert bounds["aece"] == bounds["dece"] == Thresholds(0.01, 0.01)
    assert bounds["alpha"] == Thresholds(0.05, 0.05)
    assert bounds["clamp_rate"] == Thresholds(0.10, 0.10)
    assert bounds["merged_bin_rate"] == Thresholds(0.05, 0.20)
    assert bounds["score_range_violations"] == bounds["mask_mismatch_count"] == Thresholds(0.0, 0.0)


def test_the_last_override_that_matches_wins_and_the_others_stay_as_they_were():
    plan = plan_of(
        {"model": "a*", "aece_threshold": 0.02, "alpha_threshold": 0.5},
        {"class": "x", "aece_threshold": 0.03},
        {"model": "ab", "class": "x", "clamp_rate_threshold": 0.4},
    )
    assert plan.threshold("aece", "ab", "y").fail == 0.02
    assert plan.threshold("aece", "ab", "x").fail == 0.03
    assert plan.threshold("alpha", "ab", "x").fail == 0.5
    assert plan.threshold("clamp_rate", "ab", "x").fail == 0.4
    assert plan.threshold("aece", "b", "y").fail == 0.01
    assert plan.threshold("aece", "A", "y").fail == 0.01


def test_merged_bins_never_warn_above_where_they_fail():
    plan = plan_of(
        {"model": "a", "merged_bin_fail_threshold": 0.3},
        {"model": "*", "class": "x", "merged_bin_warn_threshold": 0.25},
    )
    assert plan.threshold("merged_bin_rate", "a", "x") == Thresholds(0.25, 0.3)
    assert plan.threshold("merged_bin_rate", "b", "x") == Thresholds(0.2, 0.2)


@given(
    st.lists(st.tuples(GLOBS, GLOBS, st.floats(0.001, 1.0)), max_size=4),
    st.lists(st.tuples(NAMES, NAMES), max_size=6),
)
def test_bounds_of_many_series_are_those_of_each_by_the_naive_rule(rules, series):
    plan = plan_of(*({"model": m, "class": c, "aece_threshold": t} for m, c, t in rules))
    warn, fail = plan.thresholds_for("aece", [m for m, _ in series], [c for _, c in series])
    for i, (model, class_) in enumerate(series):
        expected = 0.01
        for m, c, threshold in rules:
            if all(name == g or fnmatchcase(name, g) for name, g in ((model, m), (class_, c))):
                expected = threshold
        assert warn[i] == fail[i] == expected
        assert plan.threshold("aece", model, class_) == Thresholds(expected, expected)


@given(st.lists(GLOBS, max_size=5), st.lists(NAMES, max_size=8))
def test_retired_models_are_those_that_any_glob_or_name_means(globs, names):
    expected = [any(n == g or fnmatchcase(n, g) for g in globs) for n in names]
    assert matched(globs, names).tolist() == expected
    assert AuditPlan(retired_models=tuple(globs)).retired(names).tolist() == expected


def test_no_model_is_retired_by_default():
    assert AuditPlan().retired(["a", "b"]).tolist() == [False, False]
    assert AuditPlan().retired([]).shape == (0,)


def test_effect_sizes_can_be_overridden_too():
    plan = plan_of({"model": "b", "min_effect_size": 2.0})
    assert plan.min_effects_for(["a", "b"], ["x", "x"]).tolist() == [0.5, 2.0]


def test_declared_metrics_have_their_own_bounds():
    plan = AuditPlan(
        metrics={
            "nll": MetricSpec(bound="level", threshold=2.0),
            "bad_rows": MetricSpec(bound="zero"),
            "mood": MetricSpec(direction="away_is_worse"),
        }
    )
    assert plan.threshold("nll", "m", "c") == Thresholds(2.0, 2.0)
    assert plan.threshold("bad_rows", "m", "c") == Thresholds(0.0, 0.0)
    assert np.isnan(plan.threshold("mood", "m", "c").fail)
    assert list(plan.metric_catalogue())[-3:] == ["bad_rows", "mood", "nll"]
    with pytest.raises(KeyError):
        plan.threshold("unknown", "m", "c")


@pytest.mark.parametrize("name", ["aece", "model_id", "timestamp", "total_samples", ""])
def test_a_metric_cannot_take_a_name_that_means_something_else(name):
    with pytest.raises(ValidationError):
        AuditPlan(metrics={name: MetricSpec()})


def test_a_plan_cannot_be_changed():
    with pytest.raises(ValidationError):
        AuditPlan().fleet = "x"
