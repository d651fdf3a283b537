"""A detector's verdict on a full history is the audit's on the same values."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from benchmarks.service import first_alarm, smallest_p
from calhard.findings import regressions
from calhard.plan import AuditPlan
from calhard.service import RegressionDetector
from calhard.simulate import healthy_series, plant
from tests.blocks import AS_OF, HOUR, audit_blocks, block
from tests.service.streams import DAY, START, fed
from tests.service.streams import HOUR as HOURLY

PLAN = AuditPlan()
END = datetime.fromtimestamp(AS_OF / 1e6, UTC)
N = 1_000
FAULTS = {
    "healthy": lambda x: x,
    "step": lambda x: plant(x, "step", 3.0, 900),
    "drop": lambda x: plant(x, "step", -3.0, 900),
    "drift": lambda x: plant(x, "drift", 4.0, 200),
    "variance": lambda x: plant(x, "variance", 3.0, 832),
    "oscillation": lambda x: plant(x, "oscillation", 2.0, 832),
    "transient": lambda x: plant(x, "transient", 6.0, 900),
}


def values(fault, phi, seed=0):
    x = healthy_series(np.random.default_rng(seed), 1, N, phi=phi)
    return 0.2 + 0.002 * FAULTS[fault](x)[0]


def detector_of(x, metric="aece"):
    detector = RegressionDetector(PLAN, model_id="m000000", class_id="c")
    for i, value in enumerate(x):
        detector.add_metrics({metric: value}, END - timedelta(hours=len(x) - 1 - i))
    return detector


@pytest.mark.parametrize("phi", [0.0, 0.5])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("metric", ["aece", "alpha"])
def test_type_sign_p_and_severity_are_those_of_the_audit(fault, phi, metric):
    x = values(fault, phi)
    audited = audit_blocks([block(x[None, :], metric=metric)], (metric,), PLAN)
    theirs = regressions(audited.candidates, PLAN, AS_OF).to_pylist()
    judgement = detector_of(x, metric).judge()
    ours = [*judgement.regressions, *judgement.suspected]
    assert [r.metric for r in ours] == [row["metric"] for row in theirs]
    for mine, row in zip(ours, theirs, strict=True):
        assert mine.regression_type == row["regression_type"]
        assert (mine.severity, mine.direction) == (row["severity"], row["direction"])
        assert mine.p_value == pytest.approx(row["p_value"], rel=1e-9)
        assert mine.change == pytest.approx(row["change_magnitude"])
        assert mine.onset == row["onset"]
    trend, evidence = judgement.by_metric[metric], audited.evidence.to_pylist()[0]
    assert trend.slope == pytest.approx(evidence["slope"])
    assert trend.status == evidence["status"]


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("step", "SuddenJump"),
        ("drift", "GradualDrift"),
        ("variance", "VarianceIncrease"),
        ("oscillation", "Oscillation"),
    ],
)
def test_every_planted_fault_is_found_and_named(fault, kind):
    assert [r.regression_type for r in detector_of(values(fault, 0.3)).regressions()] == [kind]


@pytest.mark.parametrize("fault", ["healthy", "transient", "drop"])
def test_what_is_no_fault_is_no_regression(fault):
    assert detector_of(values(fault, 0.3)).regressions() == []


def test_the_benchmark_judges_as_the_detector_does():
    rng = np.random.default_rng(11)
    for n in (30, 90, 400, 1_000):
        x = 0.2 + 0.002 * plant(healthy_series(rng, 4, n, phi=0.4), "step", 2.0, n - n // 8)
        p = smallest_p(x)
        for row, smallest in zip(x, p, strict=True):
            told = detector_of(row).judge().regressions
            assert bool(told) == bool(smallest <= 1e-5)


def test_few_healthy_streams_alarm_although_they_are_judged_again_and_again():
    rng, alarmed = np.random.default_rng(3), 0
    sizes = [*range(13, 60, 6), *range(60, 1_001, 60)]
    for phi in (0.0, 0.5, 0.7):
        x = 0.2 + 0.002 * healthy_series(rng, 100, N, phi=phi)
        alarmed += int(np.sum(first_alarm(x, 1e-5, sizes) > 0))
    assert alarmed <= 3  # 1 % of 300


def test_a_step_of_five_sigma_is_found_within_a_day():
    rng = np.random.default_rng(4)
    x = plant(healthy_series(rng, 40, N, phi=0.5), "step", 5.0, 900)
    first = first_alarm(0.2 + 0.002 * x, 2e-6, [905, 910, 915, 920, 924])
    assert np.all(first > 0)


@pytest.mark.parametrize("n", [40, 100, 300])
def test_the_windows_are_the_last_fifth_until_the_plans_are_filled(n):
    judged = fed(0.2 + 0.002 * np.random.default_rng(0).standard_normal(n)).judge()
    assert judged.by_metric["aece"].status == "ok"
    daily = fed(0.2 + 0.002 * np.random.default_rng(0).standard_normal(n), DAY).judge()
    assert daily.by_metric["aece"].status == "ok"


def test_onset_and_breach_of_a_fast_stream_are_told_in_its_own_time():
    spacing = timedelta(seconds=10)
    x = np.r_[0.02 + 5e-4 * np.random.default_rng(1).standard_normal(150), [0.05] * 40]
    x[150:] += 5e-4 * np.random.default_rng(2).standard_normal(40)
    (jump,) = fed(x, spacing).regressions()
    assert abs(jump.onset - (START + 150 * spacing)) <= 3 * spacing
    rising = fed(0.012 + 4e-4 * np.arange(40), spacing)
    (warning,) = rising.early_warnings()
    breach = (warning.predicted_breach_at - START) / spacing
    assert 40 <= breach <= 75
    assert rising.trends()["aece"].slope == pytest.approx(4e-4 * 8_640)


@pytest.mark.parametrize(
    ("spacing", "told"),
    [
        (HOURLY, "no sample for 10 h; one is due every 1 h"),
        (timedelta(seconds=10), "not reported in the newest 10 samples"),
    ],
)
def test_a_metric_that_is_no_longer_reported_is_a_failure(spacing, told):
    noise = 0.002 * np.random.default_rng(6).standard_normal((80, 2))
    samples = [{"aece": 0.2 + a, "dece": 0.2 + b} for a, b in noise.tolist()]
    for sample in samples[-10:]:
        del sample["dece"]
    (silent,) = fed(samples, spacing).regressions()
    assert (silent.metric, silent.regression_type) == ("dece", "MetricFailure")
    assert silent.detail == told


def test_a_days_rhythm_in_hourly_samples_is_no_regression():
    hour = np.arange(900)
    x = 0.2 + 0.006 * np.sin(hour * 2 * np.pi / 24)
    x += 0.001 * np.random.default_rng(5).standard_normal(900)
    assert detector_of(x).regressions() == []


def test_the_audits_as_of_is_the_newest_sample():
    assert HOUR == 3_600_000_000
    judged = detector_of(values("step", 0.0)).judge()
    assert judged.regressions[0].detected_at == END
