"""Cards of incidents: which series they hold, and in which words they tell them."""

from datetime import timedelta

import pyarrow as pa
import pytest

from calhard.report.cards import cards
from calhard.report.cases import CARDS, TOLD, cases, confirmed_pairs
from calhard.report.exhibits import EarlierNight, Exhibits
from calhard.report.runbook import advice
from calhard.report.sentences import certainty, since, what
from tests.findings.tables import AS_OF, ago, regressions, violations
from tests.report.nights import eventful, incident, night
from tests.report.shown import exhibits, row


def only(regression=None, violation=None, **about):
    """The one trouble of a night with one incident."""
    tables = {
        "regressions": regressions(*([] if regression is None else [regression])),
        "violations": violations(*([] if violation is None else [violation])),
        "incidents": incident(models=["m"], classes=["c"], **({"metrics": ["aece"]} | about)),
    }
    (case,) = cases(night(tables))
    (trouble,) = case.troubles
    return trouble


JUMP = {
    "baseline_value": 0.02,
    "current_value": 0.05,
    "change_magnitude": 0.03,
    "effect_size": 4.0,
    "q_value": 1e-7,
}
DRIFTED = {"current_value": 0.05, "baseline_value": 0.02, "drift": 0.03, "threshold": 0.01}


def test_a_series_belongs_to_the_incident_of_its_model_and_metric_with_the_nearest_onset():
    tables = {
        "regressions": regressions(
            {"onset": ago(20 * 24)}, {"metric": "dece", "onset": ago(12)}, {"model_id": "other"}
        ),
        "incidents": pa.concat_tables(
            [
                incident(title="late", onset=ago(12), models=["m"], metrics=["aece", "dece"]),
                incident(title="early", onset=ago(19 * 24), models=["m"], metrics=["aece"]),
                incident(title="other", onset=None, models=["other"], metrics=["aece"]),
            ]
        ),
    }
    found = {c.incident["title"]: [t.key[2] for t in c.troubles] for c in cases(night(tables))}
    assert found == {"late": ["dece"], "early": ["aece"], "other": ["aece"]}


def test_the_worst_series_comes_first_and_one_series_has_one_trouble():
    first, second = cases(eventful())[0].troubles
    assert [t.key[2] for t in (first, second)] == ["aece", "score_range_violations"]
    assert first.regression is not None
    assert len(first.violations) == 1
    assert first.severity == second.severity == "critical"


def test_unconfirmed_violations_and_those_for_the_better_are_no_findings():
    assert confirmed_pairs(eventful()) == {
        ("a-minor", "aece"),
        ("churn", "aece"),
        ("churn", "score_range_violations"),
    }


def test_a_card_draws_the_worst_series_of_as_many_models_as_it_can():
    rows = [{"model_id": m, "class_id": c} for m in ("a", "b") for c in ("1", "2")]
    wide = incident(models=["a", "b"], scope="fleet")
    many = pa.concat_tables([wide, *[incident(models=["x"])] * 60])
    found = cases(night({"regressions": regressions(*rows), "incidents": many}))
    assert [key[:2] for key in found[0].drawn] == [("a", "1"), ("b", "1"), ("a", "2")]
    assert len(found) == CARDS


def test_no_metric_of_an_incident_hides_another():
    worst = [{"model_id": f"m{i}", "severity": "critical", "onset": ago(12)} for i in range(30)]
    other = {"model_id": "m7", "metric": "dece", "severity": "minor", "onset": ago(12)}
    names = [row["model_id"] for row in worst]
    one = incident(models=names, metrics=["aece", "dece"], scope="fleet")
    report = night({"regressions": regressions(*worst, other), "incidents": one})
    (case,) = cases(report)
    assert [trouble.key[2] for trouble in case.troubles][:3] == ["aece", "dece", "aece"]
    assert len(advice(case.troubles)) == 2


def test_of_an_incident_with_very_many_series_some_are_read_and_all_are_counted():
    rows = [{"model_id": f"m{i:03d}"} for i in range(90)]
    one = incident(models=[r["model_id"] for r in rows], scope="fleet")
    report = night({"regressions": regressions(*rows), "incidents": one})
    (case,) = cases(report)
    assert (len(case.troubles), case.total) == (TOLD, 90)
    (card,) = cards(report, Exhibits())
    assert 1 + len(card.also) + card.more == 90
    assert "m000, m001, m002, m003, m004, m005 and 84 more" in card.where


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({}, "jumped from 0.02 to 0.05"),
        ({"change_magnitude": -0.01, "current_value": 0.01}, "fell from 0.02 to 0.01"),
        ({"regression_type": "GradualDrift"}, "has been creeping up, by 0.03 over both windows"),
        (
            {"regression_type": "VarianceIncrease"},
            "became unsteady: its standard deviation grew by 0.03",
        ),
        ({"regression_type": "Oscillation"}, "swings in a regular cycle of amplitude 0.03"),
        (
            {"regression_type": "MetricFailure", "detail": "no sample for 97 h"},
            "failed: no sample for 97 h",
        ),
    ],
)
def test_a_regression_is_told_in_plain_words(said, words):
    assert words in what(only(JUMP | said))
    assert what(only(JUMP | said)).startswith("Calibration error (aece) of m / c ")


def test_a_broken_slo_says_how_far_beyond_its_bound():
    assert what(only(None, DRIFTED)) == (
        "Calibration error (aece) of m / c averages 0.05 over the analysis window, 0.03 above its "
        "baseline 0.02 where the SLO allows 0.01."
    )
    level = {"current_value": 0.12, "drift": 0.02, "threshold": 0.1, "metric": "clamp_rate"}
    told = what(only(None, level, metrics=["clamp_rate"]))
    assert "averages 0.12 over the analysis window where the SLO allows at most 0.1" in told
    both = what(only(JUMP, DRIFTED | {"window": "night"}))
    assert "jumped from 0.02 to 0.05. It averages 0.05 over the last night" in both


def test_a_forbidden_event_is_counted_not_averaged():
    key = {"metric": "score_range_violations"}
    broken = key | {"current_value": 3.0, "drift": 3.0, "threshold": 0.0}
    failed = key | {"regression_type": "MetricFailure", "detail": "3 where none is allowed"}
    told = what(only(failed, broken, metrics=["score_range_violations"]))
    assert told.endswith("m / c is 3 over the analysis window where none is allowed.")


def test_how_sure_a_finding_is_names_effect_q_interval_and_power():
    told = " ".join(certainty(only(JUMP), row(("m", "c", "aece"))))
    assert "Effect +4.0 standard deviations" in told
    assert "q = 1e-07" in told
    assert "differs from baseline by +0.01 (95 %: +0.00804 to +0.012)" in told
    assert "A change of level of 0.0021 or more is found here 8 times in 10." in told


def test_a_failure_is_certain_and_has_no_q():
    failed = only(JUMP | {"regression_type": "MetricFailure"})
    assert list(certainty(failed, row(("m", "c", "aece")))) == [
        "Certain: this is counted, not estimated."
    ]


@pytest.mark.parametrize(
    ("regression", "violation", "metric", "words"),
    [
        (None, DRIFTED, "aece", "raise the class's confidence threshold"),
        (None, DRIFTED, "dece", "trigger recalibration with updated parameters"),
        (None, DRIFTED, "alpha", "trigger recalibration"),
        (None, DRIFTED, "clamp_rate", "monitor and wait 2 hours"),
        (None, DRIFTED, "score_range_violations", "roll back to the previous model at once"),
        (None, DRIFTED, "mask_mismatch_count", "alert the on-call engineer and investigate"),
        (None, DRIFTED | {"severity": "critical"}, "merged_bin_rate", "escalate to a human"),
        (None, DRIFTED | {"severity": "medium"}, "merged_bin_rate", "increase monitoring for 24"),
        (None, DRIFTED, "my_metric", "ask the model's owner"),
        ({"severity": "severe"}, None, "aece", "escalate to the technical team"),
        ({"severity": "moderate"}, None, "aece", "monitor and wait"),
        ({"severity": "minor"}, None, "aece", "take it to the weekly review"),
        ({"regression_type": "MetricFailure"}, None, "aece", "never roll back on missing data"),
    ],
)
def test_the_runbook_has_an_answer_to_every_symptom(regression, violation, metric, words):
    key = {"metric": metric}
    trouble = only(
        None if regression is None else regression | key,
        None if violation is None else violation | key,
        metrics=[metric],
    )
    (found,) = advice([trouble])
    assert words in found.action


def test_the_same_advice_is_given_once():
    assert len(advice(cases(eventful())[0].troubles * 3)) == 2


@pytest.mark.parametrize(
    ("hours", "words"),
    [(0.5, "within the last hour"), (43, "43 hours before the audit"), (97, "4 days before")],
)
def test_since_when_is_told_in_hours_then_in_days(hours, words):
    assert since(AS_OF - timedelta(hours=hours), AS_OF).startswith(words)


def test_an_incident_is_ongoing_if_the_night_before_had_a_finding_of_its_model_and_metric():
    report = eventful()
    before = EarlierNight("2026-05-30", found=frozenset({("churn", "aece"), ("x", "dece")}))
    assert [c.status for c in cards(report, Exhibits(before=before))] == ["ongoing", "new"]
    assert {c.status for c in cards(report, Exhibits())} == {""}
    damaged = EarlierNight("2026-05-30", readable=False)
    assert {c.status for c in cards(report, Exhibits(before=damaged))} == {""}


def test_a_card_draws_what_was_kept_and_does_without_the_rest():
    report = eventful()
    full, bare = cards(report, exhibits(report))[0], cards(report, Exhibits())[0]
    assert len(full.plots) == 2
    assert bare.plots == ()
    assert full.what == bare.what
