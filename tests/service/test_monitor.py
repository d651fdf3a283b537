"""DriftMonitor: its fast check is the snapshot's own, and seven days of it."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calhard import AuditPlan, DriftMonitor
from calhard.findings import snapshot_violations
from tests.service.streams import BASELINE, DAY, HOUR, START, Watch

PLAN = AuditPlan(
    metrics={
        "recall": {"direction": "lower_is_worse", "bound": "level", "threshold": 0.8},
        "size": {"bound": "drift", "threshold": 5.0},
        "seen": {"bound": "zero"},
        "other": {},
    }
)
EVERYTHING = BASELINE | {"recall": 0.9, "size": 1e6}
BOUNDS = {"aece": 0.01, "dece": 0.01, "alpha": 0.05, "size": 5.0}
LEVELS = {"clamp_rate": 0.10, "merged_bin_rate": 0.05, "recall": 0.8, "seen": 0.0}


def near_a_bound(name):
    """Values at, beside and far from a metric's bound."""
    if name in BOUNDS:
        edges = [EVERYTHING[name] + s * BOUNDS[name] for s in (-1, 1)]
    else:
        edges = [LEVELS.get(name, 0.0)]
    steps = st.sampled_from([0.0, 5e-13, -5e-13, 1e-12, 2e-12, -2e-12, 1e-9, -1e-9, 1e-3, -1e-3])
    near = st.builds(lambda edge, step: edge + step, st.sampled_from(edges), steps)
    far = st.floats(-2, 2) | st.sampled_from([math.nan, math.inf, -math.inf, 1e300])
    return st.none() | near | far


@settings(max_examples=60, deadline=None)
@given(st.fixed_dictionaries({name: near_a_bound(name) for name in PLAN.metric_catalogue()}))
def test_a_check_finds_what_the_snapshots_own_rule_finds(sample):
    if all(value is None for value in sample.values()):
        sample["aece"] = 0.012
    made = DriftMonitor(PLAN)
    made.set_baseline(EVERYTHING)
    given_ = {n: v for n, v in sample.items() if v is not None}
    found, expected = made.check_slos(sample), snapshot_violations(EVERYTHING, given_, PLAN)
    assert repr(found) == repr(expected)  # NaN equals itself there


def test_overrides_move_the_bound_of_the_class_they_name():
    plan = AuditPlan.from_text("""
        [[calibration.hardening.overrides]]
        class = "rare-*"
        aece_threshold = 0.02
    """)
    found = []
    for name in ("common", "rare-1"):
        made = DriftMonitor(plan, model_id="m", class_id=name)
        made.set_baseline(BASELINE)
        found.append(len(made.check_slos({"aece": 0.012 + 0.015})))
    assert found == [1, 0]


def watched(checks=()):
    watch = Watch()
    made = DriftMonitor(clock=watch)
    made.set_baseline(BASELINE)
    for hours, value in checks:
        watch.now = START + hours * HOUR
        made.check_slos({"aece": value})
    return made, watch


def test_violations_are_remembered_for_seven_days():
    made, watch = watched([(0, 0.05), (24, 0.04), (100, 0.012)])
    assert [v.violation.value for v in made.recent_violations()] == [0.04, 0.05]
    assert made.recent_violations()[0].at == START + DAY
    assert [v.violation.value for v in made.recent_violations(days=3.2)] == [0.04]
    watch.now = START + 7.5 * DAY
    assert [v.violation.value for v in made.recent_violations()] == [0.04]
    watch.now = START + 9 * DAY
    assert made.recent_violations() == []
    assert made.compliance().nights == 1


def test_compliance_is_the_share_of_the_weeks_checks_without_a_violation():
    made, watch = watched([(i, 0.05 if i == 7 else 0.012) for i in range(50)])
    met = made.compliance()
    assert (met.nights, met.violated) == (50, 1)
    assert met.rate == pytest.approx(0.98)
    assert met.budget_left == pytest.approx(-1.0)
    watch.now = START + 30 * DAY
    assert made.compliance().rate is None
    assert "Nothing was checked" in made.weekly_report()


def test_what_is_beyond_its_bound_for_the_better_violates_nothing():
    made = DriftMonitor()
    made.set_baseline({"aece": 0.05})
    (better,) = made.check_slos({"aece": 0.01}, START)
    assert better.direction == "better"
    assert made.is_healthy()
    assert made.compliance().violated == 0
    assert "for the better (recorded, never alerted): 1" in made.weekly_report()


def test_a_check_out_of_time_is_judged_and_not_recorded():
    made = DriftMonitor()
    made.set_baseline(BASELINE)
    made.check_slos({"aece": 0.012}, START)
    assert len(made.check_slos({"aece": 0.05}, START - HOUR)) == 1
    assert len(made.check_slos({"aece": 0.05}, START)) == 1
    assert made.check_slos({"aece": 0.012}, START) == []
    assert made.rejections == {"older than the newest check": 1, "same instant, other values": 1}
    assert (made.rejected, made.duplicates) == (2, 1)
    assert made.recent_violations() == []
    assert "2 checks not recorded" in made.weekly_report()
    assert made.is_healthy()


def test_a_value_that_is_no_number_repeats_itself():
    made = DriftMonitor()
    made.set_baseline(BASELINE)
    for _ in range(2):
        assert math.isnan(made.check_slos({"aece": float("nan")}, START)[0].value)
    assert (made.rejected, made.duplicates) == (0, 1)


def test_a_new_baseline_holds_from_the_next_check_on():
    made, _ = watched()
    assert len(made.check_slos({"aece": 0.03})) == 1
    made.set_baseline({"aece": 0.03})
    assert made.check_slos({"aece": 0.03}) == []
    assert made.baseline == {"aece": 0.03}


def test_names_from_users_are_made_safe_to_show():
    made = DriftMonitor(model_id="m\x1b[31m", class_id="c\u202e")
    made.set_baseline(BASELINE)
    made.check_slos({"aece": 0.05}, START)
    assert "\x1b" not in made.weekly_report()
    assert "\\x1b[31m / c\\u202e" in made.weekly_report()
