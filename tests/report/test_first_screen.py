"""What changed, what was not audited, the fleet at a glance, and whether the tests are sound."""

import pytest

from calhard.report import html_report
from calhard.report.changes import changes
from calhard.report.exhibits import P_BINS, EarlierNight, Exhibits
from calhard.report.gaps import gaps
from calhard.report.heat import MODELS, STATES, heat_map, heat_models
from calhard.report.soundness import HEIGHT, histograms
from calhard.schema import HEALTH
from tests.findings.tables import regressions, table, violations, warnings
from tests.report.nights import coverage, eventful, incident, night, summary


def words(before, report=None):
    found = changes(report or eventful(), before)
    return {change.word: (change.count, change.names) for change in found.changes}, found.notes


def test_findings_are_new_ongoing_or_gone_by_model_and_metric():
    before = EarlierNight(
        "2026-05-30", "unhealthy", 3, frozenset({("churn", "aece"), ("gone", "dece")})
    )
    found, notes = words(before)
    assert found == {
        "new": (2, ("a-minor: aece", "churn: score_range_violations")),
        "ongoing": (1, ("churn: aece",)),
        "no longer found": (1, ("gone: dece",)),
    }
    assert notes[0] == "Incidents: 2 tonight, 3 then; the verdict then: unhealthy."


def test_many_changes_are_counted_and_a_few_named():
    before = EarlierNight("2026-05-30", found=frozenset((f"m{i:02d}", "aece") for i in range(40)))
    found = changes(night(), before).changes[2]
    assert (found.count, found.rest) == (40, 37)


def test_nights_without_an_audit_and_another_configuration_are_told():
    about = summary() | {"plan_sha256": "new"}
    _, notes = words(EarlierNight("2026-05-27", plan_sha256="old"), night(about=about))
    assert any("3 nights in between had no audit" in note for note in notes)
    assert any("configuration has changed" in note for note in notes)
    _, notes = words(EarlierNight("2026-05-30", plan_sha256="new"), night(about=about))
    assert len(notes) == 1


def test_a_damaged_night_is_named_and_not_compared_with():
    found = changes(eventful(), EarlierNight("2026-05-30", readable=False))
    assert found.changes == ()
    assert "is damaged" in found.notes[0]


def test_the_first_night_compares_nothing():
    assert changes(eventful(), None) is None
    assert "First night" in html_report(eventful())


def test_what_was_not_audited_is_told_by_reason_the_gravest_first_with_remedies():
    rows = [
        {"outcome": "insufficient", "reason": "too few samples", "count": 9, "remedy": "wait"},
        {"unit": "row", "outcome": "outside", "reason": "after as_of", "count": 99},
        {
            "unit": "row",
            "outcome": "rejected",
            "reason": "no timestamp",
            "count": 7,
            "example": "f",
        },
        {"unit": "model", "outcome": "missing", "reason": "no row", "example": "b", "remedy": "r"},
        {"unit": "model", "outcome": "missing", "reason": "no row", "example": "a", "remedy": "r"},
    ]
    found = gaps(night({"coverage": coverage({"count": 99}, *rows)}))
    told = [(gap.what, gap.why, gap.remedy) for gap in found.gaps]
    assert told == [
        ("2 models missing", "no row (b, a)", "r"),
        ("7 rows rejected", "no timestamp (first: f)", ""),
        ("9 series insufficient", "too few samples", "wait"),
    ]


def test_metrics_that_are_no_column_are_one_gap():
    rows = [
        {"unit": "metric", "outcome": "missing", "reason": f"no column {name}", "example": name}
        for name in ("alpha", "dece")
    ]
    (found,) = gaps(night({"coverage": coverage(*rows)})).gaps
    assert (found.what, found.why) == (
        "2 metrics missing",
        "the history has no such column (alpha, dece)",
    )
    assert gaps(night({"coverage": coverage(*rows * 5)})).gaps[0].why.endswith("(first: alpha)")


def test_more_gaps_than_the_first_screen_holds_are_counted():
    rows = [{"outcome": "rejected", "reason": f"r{i}", "count": i + 1} for i in range(10)]
    found = gaps(night({"coverage": coverage(*rows)}))
    assert [gap.why for gap in found.gaps] == ["r9", "r8", "r7", "r6"]
    assert found.rest == 6


def health(*models, **said):
    counted = {"audited": 5, "insufficient": 0, "indeterminate": 0, "class_id": "c"}
    return table(HEALTH, [{"model_id": m} for m in models], counted | said)


def test_a_cell_of_the_map_says_the_worst_of_its_classes():
    report = night(
        {
            "regressions": regressions({"model_id": "a", "severity": "moderate"}),
            "violations": violations(
                {"model_id": "a", "class_id": "d", "severity": "high"},
                {"model_id": "b", "verdict": "unconfirmed", "severity": "critical"},
                {"model_id": "c", "direction": "better", "severity": "critical"},
            ),
            "warnings": warnings({"model_id": "d", "warning_level": "red"}),
            "health": health("a", "b", "c", "d", "e", "f", "g"),
        }
    )
    statuses = {
        ("e", "aece"): frozenset({"ok", "insufficient"}),
        ("f", "aece"): frozenset({"indeterminate", "ok"}),
        **{(m, "aece"): frozenset({"ok"}) for m in "abcd"},
    }
    found = heat_map(report, Exhibits(metrics=("aece", "dece"), statuses=statuses))
    assert dict(found.rows) == {
        "a": ("severe", ""),
        "b": ("unconfirmed", ""),
        "c": ("ok", ""),
        "d": ("warning", ""),
        "e": ("young", ""),
        "f": ("unclear", ""),
        "g": ("", ""),
    }
    assert [model for model, _ in found.rows][:2] == ["a", "d"]
    assert {state for _, states in found.rows for state in states} <= set(STATES)


def test_the_map_shows_the_worst_models_and_counts_the_rest():
    names = [f"m{i:03d}" for i in range(100)]
    report = night(
        {
            "regressions": regressions(
                {"model_id": "m099", "severity": "minor"},
                {"model_id": "m098", "severity": "critical"},
                {"model_id": "m097", "severity": "severe"},
                {"model_id": "m096", "severity": "severe", "class_id": "c"},
                {"model_id": "m096", "severity": "severe", "metric": "dece"},
            ),
            "health": health(*names),
        }
    )
    shown = heat_models(report)
    assert shown[:5] == ["m098", "m096", "m097", "m099", "m000"]
    assert len(shown) == MODELS
    assert heat_map(report, Exhibits(metrics=("aece",))).rest == 40
    assert "40 further models are not shown" in html_report(report, Exhibits(metrics=("aece",)))


def test_a_histogram_counts_all_series_and_its_line_is_what_chance_makes():
    counts = (24, *[4] * (P_BINS - 1))
    about = {"lambda": {"aece/hourly/level": 1.7, "dece/daily/scan": 3.0}}
    (found,) = histograms(about, Exhibits(p_values={"aece": counts, "none": (0,) * P_BINS}))
    assert (found.metric, found.total, found.small) == ("aece", 100, 24)
    assert max(height for _, _, height in found.bars) == HEIGHT
    assert found.even == pytest.approx(HEIGHT * (1 - 5 / 24), abs=0.1)
    assert found.factors == (("hourly, level head", 1.7),)


def test_a_fleet_incident_leaves_the_decision_to_a_human():
    page = html_report(night({"incidents": incident(scope="fleet")}))
    assert "let a human decide" not in page  # nothing is known of its symptoms
    one = {"model_id": "churn", "class_id": "rare"}
    report = night({"incidents": incident(scope="fleet"), "regressions": regressions(one)})
    assert "let a human decide" in html_report(report)
