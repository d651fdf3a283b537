"""Wrong samples and wrong instants: a clear error or a counted refusal, never a wrong verdict."""

from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from calhard import AuditPlan, CalibrationMetrics, DriftMonitor, RegressionDetector
from calhard.errors import ConfigError, InputError
from calhard.service import MetricsError
from tests.service.streams import BASELINE, HOUR, START, Watch, fed, found, normal

GOOD = {"aece": 0.012}


def monitor(**settings):
    made = DriftMonitor(**settings)
    made.set_baseline(BASELINE)
    return made


WRONG = [
    (None, "no sample"),
    (0.012, "no sample"),
    ([("aece", 0.012)], "no sample"),
    ({}, "without any metric"),
    ({"aece": None}, "without any metric"),
    ({"aece": "0.012"}, r"aece = '0.012' \(str\); expected a number"),
    ({"aece": True}, r"aece = True \(bool\)"),
    ({"aece": np.True_}, r"aece = .*True.*bool"),
    ({"aece": 1j}, "complex"),
    ({"aece": np.array([0.012])}, "ndarray"),
    ({"acee": 0.012}, 'unknown metric "acee"; did you mean "aece"'),
    ({"latency": 0.012}, 'unknown metric "latency".*declare'),
    ({7: 0.012}, "metric names are text"),
    ({"aece": 0.012, "timestamp": START}, "an argument of its own"),
    ({"aece": 0.012, "total_samples": -1}, "total_samples = -1"),
    ({"aece": 0.012, "total_samples": float("nan")}, "total_samples = nan"),
    (CalibrationMetrics(), "without any metric"),
    (CalibrationMetrics(declared=3), "declared = 3"),
    (CalibrationMetrics(declared={"aecee": 1.0}), "did you mean"),
]


@pytest.mark.parametrize(("sample", "told"), WRONG)
def test_a_wrong_sample_is_told_and_nothing_of_it_is_kept(sample, told):
    detector, made = fed([GOOD] * 3), monitor()
    for refuse in (
        lambda: detector.add_metrics(sample, START + 9 * HOUR),
        lambda: made.check_slos(sample),
        lambda: made.set_baseline(sample),
    ):
        with pytest.raises(MetricsError, match=told) as caught:
            refuse()
        assert isinstance(caught.value, InputError)
        assert isinstance(caught.value, ValueError)
    assert (len(detector), detector.rejected) == (3, 0)
    assert made.baseline == BASELINE
    assert made.recent_violations() == []


def test_numbers_of_every_kind_are_numbers():
    kinds = (np.float32(0.5), np.int64(0), Decimal("0.25"), Fraction(1, 4), 0, 10**400)
    detector = fed([{"clamp_rate": k} for k in kinds])
    assert len(detector) == 6
    assert detector.rejections == {"clamp_rate not finite or out of range": 1}  # the last


def test_what_a_row_of_a_history_says_beside_its_metrics_is_passed_over():
    row = {"model_id": "m", "class_id": "c", "tau": 0.015, "n_bins": 20, "aece": 0.012}
    assert RegressionDetector().add_metrics(row, START)


@pytest.mark.parametrize(
    ("timestamp", "told"),
    [
        (datetime(2026, 3, 1), "no timezone; write"),  # noqa: DTZ001  # that is what is refused
        ("2026-03-01", "no timezone"),
        ("yesterday", "no ISO instant"),
        (date(2026, 3, 1), "expected a datetime"),
        (True, "expected a datetime"),
        (b"2026", "expected a datetime"),
        (np.datetime64("2026-03-01"), "expected a datetime"),
        (float("nan"), "no number of seconds"),
        (1_767_225_600_000.0, "milliseconds"),
        (0, "before 1990"),
        ("1989-12-31T00:00Z", "before 1990"),
    ],
)
def test_a_wrong_instant_is_told(timestamp, told):
    detector, made = RegressionDetector(), monitor()
    for refuse in (detector.add_metrics, made.check_slos):
        with pytest.raises(MetricsError, match=told):
            refuse(GOOD, timestamp)
    assert (len(detector), detector.rejected) == (0, 0)


def test_an_instant_may_be_text_seconds_or_a_datetime_of_any_zone():
    seconds = START.timestamp()
    for same in (START.isoformat(), seconds, int(seconds), np.float64(seconds)):
        detector = fed([GOOD])
        assert not detector.add_metrics(GOOD, same)
        assert detector.duplicates == 1
    detector = fed([GOOD])
    assert not detector.add_metrics(GOOD, START.astimezone(timezone(timedelta(hours=5))))
    assert detector.duplicates == 1


def test_naive_instants_are_of_the_zone_that_the_plan_names():
    plan = AuditPlan(windows={"timezone": "Europe/Oslo"})
    detector = RegressionDetector(plan)
    detector.add_metrics(GOOD, datetime(2026, 3, 1, 1))  # noqa: DTZ001  # the plan knows the zone
    assert not detector.add_metrics(GOOD, START)
    assert detector.duplicates == 1


def test_time_that_goes_backwards_is_refused_and_counted():
    detector = fed(0.012 + 8e-4 * normal(0, 40))
    before = detector.regressions()
    for back in (1, 20, 500):
        assert not detector.add_metrics({"aece": 0.5}, START + 39 * HOUR - back * HOUR)
    assert detector.rejections == {"older than the newest sample": 3}
    assert len(detector) == 40
    assert detector.regressions() == before == []


def test_a_duplicate_is_ignored_and_a_contradiction_is_refused():
    detector = fed(0.012 + 8e-4 * normal(0, 40))
    last = 0.012 + 8e-4 * normal(0, 40)[-1]
    assert not detector.add_metrics({"aece": last}, START + 39 * HOUR)
    assert (detector.duplicates, detector.rejected) == (1, 0)
    assert not detector.add_metrics({"aece": 0.9}, START + 39 * HOUR)
    assert not detector.add_metrics({"aece": last, "alpha": 1.0}, START + 39 * HOUR)
    assert detector.rejections == {"same instant, other values": 2}
    assert detector.regressions() == []


def test_a_live_stream_refuses_what_lies_ahead_of_its_clock():
    watch = Watch()
    detector = RegressionDetector(clock=watch)
    assert detector.add_metrics(GOOD, START)
    assert not detector.add_metrics(GOOD, START + HOUR)
    assert detector.add_metrics(GOOD, START + timedelta(minutes=4))  # within its skew
    assert detector.rejections == {"ahead of the clock": 1}


def test_a_clock_that_stands_or_was_set_back_a_little_still_stamps_anew():
    watch = Watch()
    detector = RegressionDetector(clock=watch)
    for step in (0, 0, -2, 3):
        watch.now += timedelta(minutes=step)
        assert detector.add_metrics(GOOD)
    watch.now -= 3 * HOUR
    assert not detector.add_metrics(GOOD)
    assert detector.rejections == {"older than the newest sample": 1}


@pytest.mark.parametrize("now", [datetime(2026, 3, 1), None, "now"])  # noqa: DTZ001  # likewise
def test_a_clock_that_gives_no_instant_is_told(now):
    with pytest.raises(MetricsError, match="timestamp"):
        RegressionDetector(clock=lambda: now).add_metrics(GOOD)


def test_silence_is_never_healthy_and_told_for_a_live_stream():
    watch = Watch()
    detector = RegressionDetector(clock=watch)
    for value in 0.012 + 8e-4 * normal(1, 60):
        watch.now += HOUR
        detector.add_metrics({"aece": value})
    assert detector.health_status().state == "HEALTHY"
    watch.now += 2 * HOUR
    assert detector.health_status().state == "HEALTHY"
    watch.now += 2 * HOUR
    status = detector.health_status()
    assert status.state == "INSUFFICIENT"
    assert status.reasons == ("no sample for 4 h; one is due every 1 h",)


def test_a_failed_value_stays_out_of_every_statistic():
    values = list(0.012 + 8e-4 * normal(2, 100))
    clean, dirty = fed(values), fed(values)
    dirty.add_metrics({"aece": float("nan")}, START + 100 * HOUR)
    assert found(clean) == []
    assert found(dirty) == [("aece", "MetricFailure", "worse")]
    slopes = [d.trends()["aece"].slope for d in (clean, dirty)]
    assert slopes[0] == pytest.approx(slopes[1], rel=0.2)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.1, 1.2])
def test_a_baseline_must_be_sound_and_the_former_one_stays(value):
    made = monitor()
    with pytest.raises(MetricsError, match=r"baseline aece.*expected a finite number in \[0, 1\]"):
        made.set_baseline({"aece": value})
    assert made.baseline == BASELINE


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.1, 1.2])
def test_a_snapshot_that_cannot_be_is_beyond_its_bound(value):
    made = monitor()
    assert [v.metric for v in made.check_slos({"aece": value})] == ["aece"]


def test_without_a_baseline_a_drift_is_no_silence_but_an_error():
    made = DriftMonitor()
    with pytest.raises(ConfigError, match=r"no baseline.*set_baseline\("):
        made.check_slos(GOOD)
    assert [v.metric for v in made.check_slos({"clamp_rate": 0.5})] == ["clamp_rate"]
    made.set_baseline({"dece": 0.01})
    assert made.check_slos(GOOD) == []
    assert made.unchecked() == ("aece",)
    assert not made.is_healthy()
    assert "Status:   INSUFFICIENT" in made.weekly_report()


@pytest.mark.parametrize("plan", ["calhard.toml", {"aece_threshold": 0.02}, 3])
def test_what_is_no_plan_is_told(plan):
    for make in (DriftMonitor, RegressionDetector):
        with pytest.raises(ConfigError, match="expected an AuditPlan"):
            make(plan)


def test_a_plan_that_is_off_is_told_and_never_healthy():
    for make in (DriftMonitor, RegressionDetector):
        with pytest.raises(ConfigError, match="enabled = false"):
            make(AuditPlan(enabled=False))
    with pytest.raises(ConfigError, match="slo_monitoring = false"):
        DriftMonitor(AuditPlan(slo_monitoring=False))
    detector = fed([0.012] * 30 + [0.5] * 5, plan=AuditPlan(regression_detection=False))
    assert detector.regressions() == []
    assert not detector.health_status().healthy


@pytest.mark.parametrize("value", [1e300, -1e101])
def test_an_absurd_value_of_a_metric_without_a_range_is_a_failure(value):
    detector = fed([*normal(3, 60), value, *normal(4, 20)], metric="alpha")
    assert detector.rejections == {"alpha not finite or out of range": 1}
    assert [r.regression_type for r in detector.regressions()] == []  # before the last fifth
    detector.add_metrics({"alpha": value}, START + 81 * HOUR)
    assert found(detector) == [("alpha", "MetricFailure", "worse")]
