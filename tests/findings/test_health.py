"""Health of model-classes and of the fleet; compliance and the error budget."""

from itertools import product

import pytest

from calhard.findings import Compliance, compliance, fleet_health, health
from tests.findings.tables import groups, improvements, regressions, violations, warnings

SEVERITY = {
    "regression": ("", "minor", "moderate", "severe", "critical"),
    "violation": ("", "low", "medium", "high", "critical"),
    "warning": ("", "yellow", "orange", "red"),
}
EVERYTHING = list(product(*SEVERITY.values()))


def state(group=None, *, broken=(), changed=(), better=(), warned=()):
    tables = violations(*broken), regressions(*changed), improvements(*better), warnings(*warned)
    return health(groups(group or {}), *tables).to_pylist()[0]


def expected(regression, violation, warning):
    """The rules of the statistics, section 4, one after the other."""
    if "critical" in (regression, violation):
        return "CRITICAL"
    if regression == "severe" or warning == "red":
        return "SEVERE"
    if regression or violation or warning == "orange":
        return "DEGRADED"
    return "HEALTHY"


@pytest.mark.parametrize(("regression", "violation", "warning"), EVERYTHING)
def test_the_worst_finding_decides(regression, violation, warning):
    found = state(
        changed=[{"severity": regression}] if regression else [],
        broken=[{"severity": violation}] if violation else [],
        warned=[{"warning_level": warning}] if warning else [],
    )
    assert found["health"] == expected(regression, violation, warning)
    assert (found["regressions"], found["violations"]) == (bool(regression), bool(violation))


def test_an_unconfirmed_violation_is_counted_and_makes_nothing_worse():
    found = state(broken=[{"severity": "critical", "verdict": "unconfirmed"}])
    assert (found["health"], found["unconfirmed"], found["violations"]) == ("HEALTHY", 1, 0)


def test_changes_for_the_better_make_nothing_worse():
    found = state(broken=[{"severity": "critical", "direction": "better"}], better=[{}])
    assert (found["health"], found["improvements"], found["violations"]) == ("HEALTHY", 1, 0)


def test_nothing_audited_is_insufficient_and_never_healthy():
    assert state({"audited": 0, "insufficient": 7})["health"] == "INSUFFICIENT"


def test_an_indeterminate_series_hides_something_so_the_class_is_not_healthy():
    assert state({"audited": 6, "indeterminate": 1})["health"] == "INSUFFICIENT"
    found = state({"audited": 6, "indeterminate": 1}, changed=[{"severity": "critical"}])
    assert found["health"] == "CRITICAL"


def test_a_young_series_among_audited_ones_leaves_the_class_healthy():
    assert state({"audited": 6, "insufficient": 1})["health"] == "HEALTHY"


def test_a_finding_belongs_to_its_own_class_alone():
    table = health(
        groups({"class_id": "a"}, {"class_id": "b"}),
        violations(),
        regressions({"class_id": "b", "severity": "severe"}),
        improvements(),
        warnings(),
    )
    assert table["health"].to_pylist() == ["HEALTHY", "SEVERE"]


def fleet(*, group=None, broken=(), changed=(), warned=(), coverage=1.0, inflation=None):
    tables = violations(*broken), regressions(*changed), improvements(), warnings(*warned)
    return fleet_health(
        health(groups(group or {}), *tables),
        tables[1],
        tables[3],
        coverage=coverage,
        coverage_bound=0.99,
        inflation=inflation or {},
        cap=2.0,
    )


@pytest.mark.parametrize(("regression", "violation", "warning"), EVERYTHING)
def test_the_fleet_is_healthy_without_critical_and_red_and_with_one_severe(
    regression, violation, warning
):
    found = fleet(
        changed=[{"severity": regression}] if regression else [],
        broken=[{"severity": violation}] if violation else [],
        warned=[{"warning_level": warning}] if warning else [],
    )
    assert found.healthy == ("critical" not in (regression, violation) and warning != "red")
    assert found.healthy == (not found.reasons)


def test_two_severe_regressions_are_one_too_many():
    severe = {"severity": "severe"}
    assert fleet(changed=[severe]).healthy
    assert fleet(changed=[severe, severe | {"class_id": "d"}]).reasons == ("2 severe regressions",)


def test_the_tests_must_be_sound():
    assert fleet(coverage=0.99, inflation={"aece/hourly/scan": 2.0}).healthy
    assert fleet(coverage=0.9896).reasons == ("coverage 98.9 % is under 99 %",)
    assert fleet(group={"audited": 0}).reasons == ("nothing could be audited",)


def test_an_inflated_null_is_told_by_family():
    raw = {"dece/daily/scan": 9.0, "aece/hourly/scan": 2.1, "aece/hourly/level": 3.0, "x/y/z": 1.5}
    (reason,) = fleet(inflation=raw).reasons
    assert reason.startswith("λ above 2 in aece/hourly (level, scan), dece/daily (scan):")


def test_many_inflated_families_are_counted():
    (reason,) = fleet(inflation={f"m{i}/hourly/scan": 3.0 for i in range(9)}).reasons
    assert "m4/hourly (scan), 4 more:" in reason


def test_one_reason_is_told_in_the_singular():
    assert fleet(changed=[{"severity": "critical"}]).reasons == ("1 critical model-class",)


@pytest.mark.parametrize(
    ("nights", "violated", "rate", "left"),
    [
        (700, 0, 1.0, 1.0),
        (700, 7, 0.99, 0.0),
        (1_000, 5, 0.995, 0.5),
        (1_000, 30, 0.97, -2.0),
        (0, 0, None, None),
    ],
)
def test_compliance_and_the_error_budget_by_hand(nights, violated, rate, left):
    table = health(
        groups({"nights": nights, "nights_violated": violated}),
        violations(),
        regressions(),
        improvements(),
        warnings(),
    )
    met = compliance(table, 0.99)
    assert met.rate == (None if rate is None else pytest.approx(rate))
    assert met.budget_left == (None if left is None else pytest.approx(left, abs=1e-9))


def test_compliance_adds_up_over_classes():
    rows = [{"class_id": str(i), "nights_violated": i} for i in range(4)]
    table = health(groups(*rows), violations(), regressions(), improvements(), warnings())
    met = compliance(table, 0.99)
    assert (met.nights, met.violated) == (28, 6)
    assert met.rate == pytest.approx(22 / 28)


def test_a_goal_of_everything_leaves_all_or_nothing():
    assert Compliance(10, 0, 1.0).budget_left == 1.0
    assert Compliance(10, 1, 1.0).budget_left == -1.0
