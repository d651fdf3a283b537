"""What may be said of a series at all, and that damage never looks like health."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calhard.findings import early_warnings, health, improvements, regressions, violations
from calhard.judge.status import CAUSES, REMEDIES, Tolerance, judge_status
from calhard.schema import BUILTIN_METRICS, STATUSES
from calhard.simulate import healthy_series
from tests.blocks import AS_OF, DAY, HOUR, audit_blocks, block, column
from tests.findings.tables import groups

N, WEEK = 840, 168
TOLERANCE = Tolerance(10, 3, 0.05)
SOUND = {
    "conflicting": 0.0,
    "n_reference": 672.0,
    "n_analysis": 168.0,
    "n_missing": 0.0,
    "bad_reference": 0.0,
    "bad_analysis": 0.0,
    "total_week": np.nan,
    "first_bad_day": np.nan,
    "spacing": float(HOUR),
    "spacing_raw": float(HOUR),
    "pause": 0.0,
    "last_day": 0.0,
    "sent_day": 0.0,
    "last_value": 0.02,
    "closing_run": 1.0,
    "reference_run": 2.0,
    "tested": 1.0,
}
FAULTS = {
    "conflicting duplicate rows": {"conflicting": 1.0},
    "values that are not finite or out of range": {"bad_analysis": 2.0, "first_bad_day": -3.0},
    "events where none is allowed": {"total_week": 1.0, "first_bad_day": -2.0},
    "no recent sample": {"sent_day": -0.2},
    "one value repeated": {"closing_run": 30.0},
    "too few samples": {"n_analysis": 2.0},
    "too many bad values in the reference window": {"bad_reference": 100.0},
}
"""One fault of every cause, in the order of the rules."""
OUTCOMES = (
    "indeterminate",
    "failed",
    "failed",
    "failed",
    "failed",
    "insufficient",
    "indeterminate",
)


def status(metric="aece", **changed):
    columns = {name: np.array([value]) for name, value in (SOUND | changed).items()}
    found = judge_status(columns, BUILTIN_METRICS[metric], TOLERANCE)
    return STATUSES[int(found.code[0])], found.reason[0], float(found.onset_day[0]), found.cause[0]


def test_a_sound_series_is_ok_and_has_no_reason():
    assert status()[:2] == ("ok", "")
    assert status()[3] == -1


def test_every_cause_has_its_outcome_words_and_remedy():
    assert list(FAULTS) == list(CAUSES)
    assert len(REMEDIES) == len(CAUSES)
    for place, (outcome, fault) in enumerate(zip(OUTCOMES, FAULTS.values(), strict=True)):
        code, reason, _, cause = status(**fault)
        assert (code, cause) == (outcome, place)
        assert reason


@pytest.mark.parametrize("first", range(len(CAUSES)))
def test_of_two_faults_the_earlier_rule_decides(first):
    faults = list(FAULTS.values())
    for second in range(first + 1, len(CAUSES)):
        if (first, second) == (5, 6):
            continue  # bad values that leave too few are no youth, see below
        both = faults[second] | faults[first]
        assert status(**both)[3] == first


def test_two_events_and_a_day_are_told_in_words():
    assert status(**FAULTS["events where none is allowed"])[1].startswith("1 in the analysis")
    assert status(n_reference=7.0)[1] == (
        "7 reference and 168 analysis samples; 10 and 3 are needed"
    )
    assert status(sent_day=-4.0)[1] == "no sample for 96 h; one is due every 1 h"
    assert status(bad_reference=672.0)[1].startswith("672 of 1344 reference values")


def test_a_bad_value_is_told_with_the_range_of_its_metric_where_there_is_one():
    bad = FAULTS["values that are not finite or out of range"]
    assert status(**bad)[1].endswith("values are not finite or outside [0, 1]")
    assert status("alpha", **bad)[1].endswith("values are not finite")


@pytest.mark.parametrize(("n_a", "n_b", "ok"), [(10, 3, True), (9, 3, False), (10, 2, False)])
def test_ten_reference_and_three_analysis_samples_are_enough(n_a, n_b, ok):
    assert status(n_reference=float(n_a), n_analysis=float(n_b))[0] == (
        "ok" if ok else "insufficient"
    )


@pytest.mark.parametrize(("bad", "code"), [(35.0, "ok"), (36.0, "indeterminate")])
def test_a_twentieth_of_bad_reference_values_is_tolerated(bad, code):
    assert status(bad_reference=bad)[0] == code  # 35/707 = .0495, 36/708 = .0508


@pytest.mark.parametrize(("hours", "code"), [(3.0, "ok"), (3.01, "failed")])
def test_a_source_is_stale_after_three_of_its_own_spacings(hours, code):
    assert status(sent_day=-hours / 24)[0] == code
    assert status(sent_day=-hours, spacing_raw=float(DAY))[0] == code


def test_staleness_begins_when_the_next_sample_was_due():
    assert status(sent_day=-1.0)[2] == pytest.approx(-1.0 + 1.0 / 24)


def test_a_metric_reported_in_every_sixth_row_is_due_every_six_hours():
    x = np.full((2, N), np.nan)
    x[:, 1::6] = 0.2 + 0.002 * np.random.default_rng(0).standard_normal((2, 140))
    x[1, -17:] = np.nan
    audited = audit_blocks([block(x)])
    assert column(audited, "status").tolist() == ["ok", "failed"]
    assert column(audited, "reason")[1] == "no sample for 22 h; one is due every 6 h"
    assert column(audited, "spacing_seconds").tolist() == [6 * 3600.0] * 2
    assert column(audited, "cadence").tolist() == ["subdaily"] * 2


def test_a_daily_metric_in_an_hourly_table_is_not_stale_through_a_whole_audit():
    x = np.full((3, N), np.nan)
    x[:, 10::24] = 0.2 + 0.002 * np.random.default_rng(0).standard_normal((3, 35))
    audited = audit_blocks([block(x)])
    assert column(audited, "status").tolist() == ["ok"] * 3
    assert column(audited, "cadence").tolist() == ["daily"] * 3


@pytest.mark.parametrize(
    ("run", "longest", "code"),
    [(24.0, 8.0, "failed"), (23.0, 1.0, "ok"), (24.0, 8.1, "ok"), (90.0, 30.0, "failed")],
)
def test_a_flatline_is_a_day_long_and_three_times_the_longest_run_before(run, longest, code):
    assert status(closing_run=run, reference_run=longest)[0] == code


@pytest.mark.parametrize(("value", "code"), [(0.0, "ok"), (1.0, "ok"), (0.5, "failed")])
def test_a_rate_at_its_bound_is_no_flatline(value, code):
    assert status("clamp_rate", closing_run=200.0, last_value=value)[0] == code


def test_a_metric_without_bounds_of_its_range_is_flat_anywhere():
    assert status("alpha", closing_run=200.0, last_value=0.0)[0] == "failed"


def test_conflicting_rows_make_every_series_of_the_class_indeterminate():
    x = 0.02 + 0.002 * healthy_series(np.random.default_rng(1), 2, N)
    one = block(x)
    result = audit_blocks([replace(one, conflicting=np.array([True, False]))])
    assert column(result, "status").tolist() == ["indeterminate", "ok"]
    assert column(result, "week_p").tolist()[0] is None
    assert column(result, "p_value").tolist()[0] is None


@pytest.mark.parametrize("value", [-1.0, np.inf])
def test_a_count_that_cannot_be_is_a_failure(value):
    x = np.zeros((1, N))
    x[0, -10] = value
    result = audit_blocks([block(x, metric="mask_mismatch_count")], ("mask_mismatch_count",))
    assert column(result, "status").tolist() == ["failed"]


def test_denormals_and_negative_zero_are_values_like_others():
    x = np.full((1, N), -0.0)
    x[0, ::2] = 5e-324
    assert column(audit_blocks([block(x)]), "status").tolist() == ["ok"]


@given(
    changed=st.fixed_dictionaries(
        {},
        optional={
            "n_reference": st.integers(0, 700).map(float),
            "n_analysis": st.integers(0, 170).map(float),
            "bad_reference": st.integers(0, 700).map(float),
            "bad_analysis": st.integers(0, 170).map(float),
            "sent_day": st.one_of(st.just(np.nan), st.floats(-40, 0)),
            "closing_run": st.integers(0, 170).map(float),
            "spacing_raw": st.sampled_from([0.0, float(HOUR), float(DAY)]),
            "last_value": st.one_of(st.just(np.nan), st.floats(0, 1)),
        },
    )
)
@settings(max_examples=200)
def test_no_bad_value_in_the_analysis_window_is_ever_ok(changed):
    code, reason, _, _ = status(**changed)
    if changed.get("bad_analysis", 0.0) > 0:
        assert code == "failed"
    assert (code == "ok") == (reason == "")


def told(result):
    """Health of the only model-class, and its verdicts by metric."""
    plan, threshold = result.plan, result.verdict.slo_threshold
    found = result.candidates
    broken = violations(found, plan, slo_p_threshold=threshold)
    counted = dict.fromkeys(STATUSES, 0)
    for word in result.evidence["status"].to_pylist():
        counted[word] += 1
    group = {"model_id": "m000000", "audited": counted.pop("ok") + counted["failed"], **counted}
    table = health(
        groups(group),
        broken,
        regressions(found, plan, AS_OF),
        improvements(found, plan, AS_OF),
        early_warnings(found, broken, plan),
    )
    sure = {r["metric"] for r in broken.to_pylist() if r["verdict"] == "violated"}
    return table["health"][0].as_py(), sure


def both_metrics(aece, dece):
    one = block(np.atleast_2d(aece))
    return audit_blocks([replace(one, values={"aece": aece, "dece": dece})], ("aece", "dece"))


@pytest.mark.parametrize("seed", range(25))
def test_injecting_nan_or_inf_never_turns_violated_into_met_or_an_alarm_into_health(seed):
    rng = np.random.default_rng(seed)
    quiet = 0.02 + 0.002 * healthy_series(rng, 2, N, phi=0.4)
    quiet[0, -WEEK:] += rng.uniform(0.015, 0.05)
    state, sure = told(both_metrics(*quiet))
    assert (state in {"SEVERE", "CRITICAL"}, sure) == (True, {"aece"})
    damaged = quiet.copy()
    hit = rng.random(N) < rng.choice([0.003, 0.03, 0.3, 0.9, 1.0])
    hit[: N - WEEK] &= rng.random() < 0.5
    hit[N - WEEK :] &= rng.random() < 0.7
    hit[rng.integers(N)] = True
    damaged[0, hit] = rng.choice([np.inf, -0.5, 7.0], hit.sum())  # a NaN is read as inf
    result = both_metrics(*damaged)
    state, sure = told(result)
    word = result.evidence["status"].to_pylist()[0]
    assert state not in {"HEALTHY", "DEGRADED"} or word == "indeterminate"
    assert state != "HEALTHY"
    assert sure == {"aece"} or word in {"failed", "indeterminate", "insufficient"}


def test_damage_in_a_healthy_series_is_an_alarm_not_health():
    rng = np.random.default_rng(50)
    x = 0.02 + 0.002 * healthy_series(rng, 2, N)
    assert told(both_metrics(*x)) == ("HEALTHY", set())
    x[0, -50] = np.inf
    assert told(both_metrics(*x))[0] == "SEVERE"
    x[0, -50] = 0.02
    x[0, :100] = np.inf
    assert told(both_metrics(*x))[0] == "INSUFFICIENT"


def test_a_reference_that_bad_values_have_emptied_is_no_young_one():
    assert status(n_reference=0.0, bad_reference=672.0)[0] == "indeterminate"
    assert status(n_reference=4.0, bad_reference=5.0)[0] == "insufficient"


def test_a_source_that_often_pauses_is_not_silent_when_it_does_so_again():
    assert status(sent_day=-10.0 / 24, pause=11.0 * HOUR)[0] == "ok"
    assert status(sent_day=-10.0 / 24, pause=9.0 * HOUR)[0] == "failed"


def test_irregular_sources_are_seldom_called_silent():
    rng = np.random.default_rng(22)
    failed = 0
    for first in range(100):
        gaps = np.maximum(rng.exponential(HOUR, 1_000), 1.0).astype(np.int64)
        stamps = AS_OF - np.cumsum(gaps)[::-1]
        stamps = stamps[stamps > AS_OF - 35 * DAY]
        x = 0.2 + 0.002 * rng.standard_normal((1, len(stamps)))
        audited = audit_blocks([block(x, timestamps=stamps, first=first)])
        failed += column(audited, "status").tolist() == ["failed"]
    assert failed <= 2


def test_one_outage_of_the_past_hides_no_silence_of_today():
    stamps = AS_OF - 6 * HOUR - HOUR * np.arange(800)[::-1]
    stamps = stamps[(stamps < AS_OF - 20 * DAY) | (stamps > AS_OF - 18 * DAY)]
    x = 0.2 + 0.002 * np.random.default_rng(23).standard_normal((1, len(stamps)))
    assert column(audit_blocks([block(x, timestamps=stamps)]), "status").tolist() == ["failed"]
