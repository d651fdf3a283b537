"""SLO verdicts: where a bound lies, how sure one is, and what labels explain."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calhard.assess.columns import pack
from calhard.findings import early_warnings, snapshot_violations, violations
from calhard.judge.slo import baseline, tau, tau_shift, week
from calhard.plan import AuditPlan
from calhard.simulate import healthy_series
from calhard_kernels.effective import Correlation
from calhard_kernels.moments import moments
from tests.blocks import audit_blocks, block, column
from tests.judge.slo_literal import drift_p, level_p

N, WEEK = 840, 168


def audited(x, metric="aece", **more):
    return audit_blocks([block(np.atleast_2d(x), metric=metric, **more)], (metric,))


def found(result, plan=None):
    """Verdicts by window of the first model."""
    plan = result.plan if plan is None else plan
    table = violations(result.candidates, plan, slo_p_threshold=result.verdict.slo_threshold)
    rows = [r for r in table.to_pylist() if r["model_id"] == "m000000"]
    return {r["window"]: r["verdict"] for r in rows}


def stepped(before, after):
    return np.concatenate([np.full(N - WEEK, before), np.full(WEEK, after)])


@pytest.mark.parametrize(
    ("metric", "before", "after", "broken"),
    [
        ("aece", 0.02, 0.03, False),
        ("aece", 0.02, 0.031, True),
        ("dece", 0.02, 0.03, False),
        ("dece", 0.02, 0.031, True),
        ("alpha", 0.5, 0.55, False),
        ("alpha", 0.5, 0.56, True),
        ("alpha", 0.5, 0.44, True),
        ("clamp_rate", 0.05, 0.10, False),
        ("clamp_rate", 0.05, 0.11, True),
        ("merged_bin_rate", 0.02, 0.05, False),
        ("merged_bin_rate", 0.02, 0.07, True),
        ("score_range_violations", 0.0, 0.0, False),
        ("mask_mismatch_count", 0.0, 0.0, False),
        ("mask_mismatch_count", 0.0, 1.0, True),
    ],
)
def test_a_constant_at_its_bound_is_within_it_through_a_whole_audit(metric, before, after, broken):
    verdicts = found(audited(stepped(before, after), metric))
    assert verdicts == ({"week": "violated", "night": "violated"} if broken else {})


@pytest.mark.parametrize(
    ("after", "severity", "threshold"),
    [(0.07, "medium", 0.05), (0.20, "medium", 0.05), (0.25, "critical", 0.20)],
)
def test_merged_bins_warn_and_fail(after, severity, threshold):
    result = audited(stepped(0.02, after), "merged_bin_rate")
    table = violations(result.candidates, result.plan, slo_p_threshold=0.0)
    assert set(table["severity"].to_pylist()) == {severity}
    assert set(table["threshold"].to_pylist()) == {threshold}


@pytest.mark.parametrize(("after", "severity"), [(0.12, "medium"), (0.16, "high")])
def test_a_clamp_rate_far_beyond_its_bound_is_high(after, severity):
    result = audited(stepped(0.05, after), "clamp_rate")
    table = violations(result.candidates, result.plan, slo_p_threshold=0.0)
    assert set(table["severity"].to_pylist()) == {severity}


def columns_of(reference, window):
    """Accumulators of one series, all slots weighing alike."""
    a, b = np.atleast_2d(reference), np.atleast_2d(window)
    size = {"n_reference": a.shape[1], "n_analysis": b.shape[1], "kish_a": a.shape[1]}
    numbers = size | {"kish_b": b.shape[1], "mean_a": a.mean(), "mean_b": b.mean()}
    return {
        **pack("raw_a", moments(a)),
        **pack("raw_b", moments(b)),
        **{name: np.array([float(value)]) for name, value in numbers.items()},
    }


@pytest.mark.parametrize("phi", [0.0, 0.4, 0.8])
@pytest.mark.parametrize("v", [0.0, 0.004])
@pytest.mark.parametrize("shift", [0.0, 0.008, 0.012, 0.03])
def test_p_and_its_error_are_the_formula_written_out(phi, v, shift):
    rng = np.random.default_rng(1)
    reference, window = rng.normal(0.02, 0.01, 200), shift + rng.normal(0.02, 0.01, 60)
    columns, bound = columns_of(reference, window), np.array([0.01])
    law = Correlation(np.array([np.arctanh(phi)]), np.array([v]))
    base = baseline(columns, law)
    drift = week(columns, base, bound, "drift", np.zeros(1))
    expected, error = drift_p(reference, window, phi, v, 0.01)
    assert drift.p[0] == pytest.approx(min(expected, 1.0), rel=1e-9)
    assert drift.standard_error[0] == pytest.approx(error, rel=1e-12)
    level = week(columns, base, bound + 0.02, "level", np.zeros(1))
    expected, error = level_p(window, phi, v, 0.03)
    assert level.p[0] == pytest.approx(expected, rel=1e-9)
    assert level.standard_error[0] == pytest.approx(error, rel=1e-12)


@given(
    distance=st.floats(0.0101, 0.2),
    noise=st.floats(1e-4, 0.1),
    more=st.floats(1.001, 50.0),
    phi=st.floats(0.0, 0.9),
)
def test_more_noise_never_makes_a_violation_surer(distance, noise, more, phi):
    rng = np.random.default_rng(2)
    pattern = rng.standard_normal(96)
    pattern -= pattern.mean()
    law = Correlation(np.array([np.arctanh(phi)]), np.array([0.002]))
    p = []
    for sd in (noise, noise * more):
        columns = columns_of(0.02 + sd * pattern, 0.02 + distance + sd * pattern[:48])
        columns["mean_b"] = np.array([0.02 + distance])
        base = baseline(columns, law)
        p.append(week(columns, base, np.array([0.01]), "drift", np.zeros(1)).p[0])
    assert p[1] >= p[0] - 1e-12


def test_through_a_whole_audit_noise_only_takes_certainty_away():
    rng = np.random.default_rng(3)
    pattern = rng.standard_normal((N // 24, 24))
    pattern = (pattern - pattern.mean(axis=1, keepdims=True)).ravel()
    p = []
    for sd in (0.001, 0.004, 0.016, 0.064):
        row = audited(0.3 + stepped(0.0, 0.012) + sd * pattern).evidence.to_pylist()[0]
        assert row["week_value"] - row["baseline_value"] == pytest.approx(0.012)
        p.append((row["week_p"], row["night_p"]))
    assert p == sorted(p)
    assert p[0][0] < 1e-6
    assert p[-1][1] > 0.01


def test_beyond_the_bound_within_the_noise_is_unconfirmed_and_beyond_the_noise_violated():
    rng = np.random.default_rng(4)
    quiet, loud = 0.001 * rng.standard_normal(N), 0.15 * rng.standard_normal(N)
    quiet[-WEEK:] -= quiet[-WEEK:].mean()
    loud[-WEEK:] -= loud[-WEEK:].mean() - loud[:-WEEK].mean()
    assert found(audited(0.3 + stepped(0.0, 0.012) + quiet))["week"] == "violated"
    assert found(audited(0.5 + stepped(0.0, 0.012) + loud))["week"] == "unconfirmed"
    assert "week" not in found(audited(0.3 + stepped(0.0, 0.008) + quiet))


def test_a_series_too_short_to_judge_has_no_verdict_at_all():
    result = audited(np.r_[np.full(6, 0.02), np.full(3, 0.9)])
    assert column(result, "status").tolist() == ["insufficient"]
    assert result.candidates.num_rows == 0
    assert column(result, "week_p").tolist() == [None]


def test_the_same_estimator_stands_on_both_sides_of_a_skewed_series():
    """Mean against median would be off by 0.3 sd here: beyond the bound, every week."""
    x = 0.1 + 0.05 * np.random.default_rng(5).exponential(size=(40, N))
    result = audited(x)
    mean, median = column(result, "baseline_value"), column(result, "reference_median")
    assert np.all((mean - median).astype(float) > 0.01)
    assert np.sum(column(result, "week_p").astype(float) < 0.05) == 0


def test_slots_weigh_by_their_labels():
    rng = np.random.default_rng(6)
    x, labels = 0.2 + 0.01 * rng.standard_normal(N), rng.integers(1, 1_000, N)
    row = audited(x, samples=labels).evidence.to_pylist()[0]
    assert row["week_value"] == pytest.approx(np.average(x[-WEEK:], weights=labels[-WEEK:]))
    assert row["night_value"] == pytest.approx(np.average(x[-24:], weights=labels[-24:]))
    assert row["baseline_value"] == pytest.approx(np.average(x[:-WEEK], weights=labels[:-WEEK]))
    assert row["week_samples"] == labels[-WEEK:].sum()
    assert row["night_samples"] == labels[-24:].sum()


def test_a_few_heavy_slots_are_worth_few_slots():
    rng = np.random.default_rng(7)
    x = 0.2 + 0.01 * rng.standard_normal(N)
    heavy = np.ones(N)
    heavy[-WEEK::24] = 1_000.0
    even, uneven = (audited(x, samples=w).evidence.to_pylist()[0] for w in (np.ones(N), heavy))
    ratio = uneven["week_standard_error"] / even["week_standard_error"]
    assert ratio > 3.0  # 7 slots carry it: about √(168/7) = 4.9, less the reference's part


def test_tau_is_the_formula_written_out():
    for labels in (1, 30, 500, 9_999, 10_000, 250_000, 10_000_000):
        bins = min(max(int(np.sqrt(labels)), 5), 100)
        assert tau(np.array([float(labels)]))[0] == max(0.015, 1.5 * np.sqrt(bins / labels))


@pytest.mark.parametrize(
    ("after", "shown"), [(500, True), (1_000, False), (2_000, False), (5_000, True)]
)
def test_a_change_of_labels_is_shown_beyond_a_factor_of_two(after, shown):
    columns = {"labels_a": np.array([2_000.0]), "labels_b": np.array([float(after)])}
    shift = tau_shift(columns["labels_a"], columns["labels_b"])[0]
    expected = tau(columns["labels_b"])[0] - tau(columns["labels_a"])[0]
    assert shift == (expected if shown else 0.0)


def labelled(metric, change, after):
    """Verdict of a drift in a week in which every slot had ``after`` labels instead of 2,000."""
    labels = np.full(N, 2_000)
    labels[-WEEK:] = after
    noise = 0.0005 * np.random.default_rng(8).standard_normal(N)
    return found(audited(0.2 + stepped(0.0, change) + noise, metric, samples=labels)).get("week")


def test_a_rise_that_fewer_labels_explain_is_unconfirmed():
    assert labelled("aece", 0.02, 2_000) == "violated"
    assert labelled("aece", 0.02, 1_001) == "violated"
    assert labelled("aece", 0.02, 400) == "unconfirmed"
    assert labelled("aece", -0.02, 20_000) == "unconfirmed"


def test_a_change_against_the_labels_or_beyond_them_stays_a_violation():
    assert labelled("aece", -0.02, 400) == "violated"
    assert labelled("aece", 0.02, 20_000) == "violated"
    shift = tau(np.array([400.0]))[0] - tau(np.array([2_000.0]))[0]
    assert labelled("aece", shift + 0.009, 400) == "unconfirmed"
    assert labelled("aece", shift + 0.012, 400) == "violated"


def test_labels_explain_nothing_of_a_rate():
    assert labelled("alpha", 0.08, 400) == "violated"


def test_certain_breaches_do_not_lend_their_certainty_to_others():
    """Counts above 0 are no tests; in the family they would confirm a p of .01 among thirty."""
    rate = 0.3 + 0.002 * healthy_series(np.random.default_rng(9), 30, N)
    noise = 0.012 * np.random.default_rng(10).standard_normal(N)
    noise[-WEEK:] -= noise[-WEEK:].mean() - noise[:-WEEK].mean()
    rate[0] = 0.3 + stepped(0.0, 0.0124) + noise
    counts = np.zeros((30, N))
    counts[:, -5] = 1.0
    result = audit_blocks([_two(rate, counts)], ("aece", "mask_mismatch_count"))
    assert 0.002 < column(result, "week_p")[0] < 0.03
    assert result.verdict.slo_threshold == 0.0
    assert found_of(result, "mask_mismatch_count")["week"] == "violated"
    assert found_of(result, "aece")["week"] == "unconfirmed"


def found_of(result, metric):
    table = violations(result.candidates, result.plan, slo_p_threshold=result.verdict.slo_threshold)
    rows = [r for r in table.to_pylist() if (r["model_id"], r["metric"]) == ("m000000", metric)]
    return {r["window"]: r["verdict"] for r in rows}


def _two(rate, counts):
    one = block(rate)
    one.values["mask_mismatch_count"] = counts.ravel()
    return one


def test_overrides_set_the_bound_of_the_models_they_name():
    plan = AuditPlan.from_text(
        """
        [[calibration.hardening.overrides]]
        model = "m00000[1-9]"
        aece_threshold = 0.05
        """
    )
    x = np.stack([stepped(0.02, 0.04)] * 2)
    result = audit_blocks([block(x)], plan=plan)
    table = violations(result.candidates, plan, slo_p_threshold=0.0)
    assert set(table["model_id"].to_pylist()) == {"m000000"}


ACCURACY = AuditPlan.from_text(
    """
    [calibration.hardening.metrics.accuracy]
    direction = "lower_is_worse"
    bound = "level"
    threshold = 0.9
    """
)


@pytest.mark.parametrize(("after", "broken"), [(0.95, False), (0.9, False), (0.89, True)])
def test_a_level_that_is_worse_when_lower_has_a_floor(after, broken):
    x = stepped(0.95, after)[None, :]
    result = audit_blocks([block(x, metric="accuracy")], ("accuracy",), ACCURACY)
    assert found(result) == ({"week": "violated", "night": "violated"} if broken else {})
    snapshot = snapshot_violations({}, {"accuracy": after}, ACCURACY)
    assert [v.direction for v in snapshot] == ["worse"] * broken


def test_a_floor_is_approached_from_above():
    days = np.arange(N) / 24.0 - 35.0
    noise = 0.0005 * np.random.default_rng(11).standard_normal((2, N))
    x = np.stack([0.9002 - 0.0005 * days, 0.9002 + 0.0005 * days]) + noise
    result = audit_blocks([block(x, metric="accuracy")], ("accuracy",), ACCURACY)
    warned = early_warnings(result.candidates, violations_of(result), ACCURACY)
    assert warned["model_id"].to_pylist() == ["m000000"]
    assert warned["predicted_breach_at"].null_count == 0


def violations_of(result):
    return violations(result.candidates, result.plan, slo_p_threshold=result.verdict.slo_threshold)


def test_nights_for_the_better_cost_no_error_budget():
    noise = 0.001 * np.random.default_rng(12).standard_normal((2, N))
    x = 0.3 + np.stack([stepped(0.0, 0.03), stepped(0.0, -0.03)]) + noise
    judged = audit_blocks([block(x)]).judged
    broken = [judged[f"night_beyond_{k}"].to_pylist() for k in range(7)]
    assert broken == [[1.0, 0.0]] * 7
