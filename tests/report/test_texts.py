"""The two text reports and the terminal: their headings, their words, their numbers."""

import io
from pathlib import Path

import pyarrow as pa
import pytest
from rich.console import Console

from calhard.report import regression_report, terminal_summary, weekly_slo_report
from calhard.wording.words import budget, covered, percent
from tests.findings.tables import regressions, violations
from tests.report.nights import eventful, incident, night, summary

GOLDEN = Path(__file__).parent
WEEKLY = (
    "WEEKLY CALIBRATION SLO REPORT",
    "Overall Status",
    "SLO Compliance",
    "Violations by Severity",
    "Confirmed Violations",
    "Recommendations",
)
REGRESSION = (
    "CALIBRATION REGRESSION REPORT",
    "System Health",
    "Active Regressions",
    "Early Warnings",
    "Trend Analysis",
    "Recommended Actions",
)


def terminal(report, where=""):
    out = io.StringIO()
    console = Console(file=out, width=100, highlight=False, markup=False, soft_wrap=True)
    terminal_summary(report, console, where)
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "write"),
    [("weekly_slo_report.txt", weekly_slo_report), ("regression_report.txt", regression_report)],
)
def test_an_eventful_night_is_told_word_for_word(name, write):
    assert write(eventful()) == (GOLDEN / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("report", [eventful(), night()], ids=["eventful", "quiet"])
@pytest.mark.parametrize(
    ("write", "headings"), [(weekly_slo_report, WEEKLY), (regression_report, REGRESSION)]
)
def test_the_headings_stand_in_the_originals_order(report, write, headings):
    lines = write(report).splitlines()
    places = [lines.index(heading) for heading in headings]
    assert places == sorted(places)
    assert all(set(lines[place + 1]) == {"-"} for place in places[1:])


def test_the_counts_by_severity_add_up_to_the_summarys():
    report = eventful()
    lines = weekly_slo_report(report).splitlines()
    begin = lines.index("Severity      violated   unconfirmed")
    numbers = [line.split()[1:] for line in lines[begin + 1 : begin + 5]]
    violated, unconfirmed = (sum(int(row[i]) for row in numbers) for i in (0, 1))
    assert violated == report.summary["counts"]["violations"]
    assert unconfirmed == report.summary["counts"]["unconfirmed"]


def test_a_change_for_the_better_is_counted_apart_and_never_listed_as_a_violation():
    text = weekly_slo_report(eventful())
    assert "for the better (recorded, never alerted): 1" in text
    assert "a-better" not in text


def test_a_quiet_night_says_that_nothing_is_confirmed():
    assert "None confirmed." in weekly_slo_report(night())
    text = regression_report(night())
    assert "No audited series has a confirmed change for the worse." in text
    assert "None: nothing confirmed calls for an action." in text


def test_no_violation_is_no_all_clear_where_something_changed():
    changed = night({"regressions": regressions({})}, summary(regressions=1, incidents=1))
    assert "see the regression report" in weekly_slo_report(changed)
    nothing = night(about=summary(verdict="nothing audited", ok=0, share=0.0, insufficient=10))
    assert "nothing could be audited" in weekly_slo_report(nothing)


def test_long_lists_are_cut_and_the_file_named():
    many = [{"model_id": f"m{i:03d}"} for i in range(70)]
    text = weekly_slo_report(night({"violations": violations(*many)}))
    assert text.count("[LOW]") == 50
    assert "… and 20 more in violations.parquet" in text
    text = regression_report(night({"regressions": regressions(*many)}))
    assert text.count("[MODERATE]") == 50
    assert "… and 20 more in regressions.parquet" in text


@pytest.mark.parametrize(
    ("left", "told"),
    [(1.0, "100%"), (0.0, "0%"), (0.25, "25%"), (-1.03, "none; 203% of it is used"), (None, "—")],
)
def test_an_overdrawn_budget_is_told_by_what_was_used(left, told):
    assert budget(left) == told


def test_the_terminal_shows_the_verdict_the_most_urgent_and_where_to_look():
    text = terminal(eventful(), "nights/report.html")
    assert text.startswith("2026-05-31  UNHEALTHY\n")
    assert text.index("churn: aece") < text.index("a-minor: aece")
    assert "10 series audited" in text
    assert text.endswith("Look at nights/report.html\n")


def test_the_terminal_counts_the_incidents_it_does_not_show():
    table = pa.concat_tables([incident(title=f"m{i}: aece") for i in range(12)])
    assert "… and 2 more incidents" in terminal(night({"incidents": table}))


@pytest.mark.parametrize(
    ("share", "digits", "text"),
    [
        (1.0, 1, "100.0%"),
        (0.99996, 1, "99.9%"),
        (0.999, 0, "99%"),
        (0.99996, 2, "99.99%"),
        (0.9167, 1, "91.7%"),
        (0.0, 1, "0.0%"),
    ],
)
def test_a_share_below_1_never_reads_as_100_percent(share, digits, text):
    assert percent(share, digits) == text


@pytest.mark.parametrize(
    ("share", "text"), [(11 / 12, "91.6%"), (0.98996, "98.9%"), (0.99996, "99.9%"), (1.0, "100.0%")]
)
def test_the_coverage_of_a_night_reads_the_same_wherever_it_is_told(share, text):
    about = summary(share=share, healthy=share >= 0.99, regressions=1, incidents=1)
    console = Console(file=io.StringIO(), width=200)
    terminal_summary(night(about=about), console)
    told = console.file.getvalue() + weekly_slo_report(night(about=about))
    assert covered(share) == text
    assert told.count(text) == (4 if share < 0.99 else 2)  # in the sentence too, told twice
    assert f"Coverage {text}: " in told
    assert f"Coverage: {text}" in told
