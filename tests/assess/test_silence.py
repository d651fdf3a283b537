"""A source is silent by the rows that it sends; a row without a value is no silence."""

import numpy as np
import pytest

from calhard.assess.block import Rules, assess_block
from calhard.assess.correlation import CorrelationSketch
from calhard.assess.windows import Clock
from calhard.judge.status import Tolerance, judge_status
from calhard.plan import AuditPlan
from calhard.schema import BUILTIN_METRICS, MICROSECONDS_PER_DAY, STATUSES
from calhard.series import SeriesBlock

DAYS = 40
AS_OF = 20_600 * MICROSECONDS_PER_DAY
NAMES = ("aece", "alpha")


def statuses(aece, alpha, timestamp, samples=None):
    """Return (status, reason) of both metrics of one group."""
    clock = Clock.of(AuditPlan(), AS_OF)
    metrics = {name: BUILTIN_METRICS[name] for name in NAMES}
    block = SeriesBlock(
        ("m",),
        ("c",),
        np.array([0, len(timestamp)]),
        np.array(timestamp, np.int64),
        {"aece": np.array(aece, float), "alpha": np.array(alpha, float)},
        None if samples is None else np.array(samples, float),
        np.zeros(1, np.bool_),
        {},
        np.full(1, -1, np.int64),
    )
    rules = Rules(clock, metrics, frozenset({"level"}))
    _, series = assess_block(block, rules, CorrelationSketch.zero(2))
    found = {}
    for m, metric in enumerate(metrics.values()):
        columns = {
            name: series[name].to_numpy()[m : m + 1].astype(float) for name in series.schema.names
        }
        status = judge_status(columns, metric, Tolerance(10, 3, 0.05))
        found[metric.name] = STATUSES[status.code[0]], status.reason[0]
    return found


def noisy(size, seed=0):
    return 0.5 + 0.01 * np.random.default_rng(seed).standard_normal(size)


def days(spacing=1.0, size=DAYS):
    return AS_OF - (np.arange(size)[::-1] * spacing * MICROSECONDS_PER_DAY).astype(np.int64)


def test_a_metric_without_a_value_in_rows_that_come_is_too_young_to_judge_not_silent():
    alpha = noisy(DAYS)
    alpha[-9:] = np.nan
    found = statuses(noisy(DAYS), alpha, days())
    assert found["aece"] == ("ok", "")
    status, reason = found["alpha"]
    assert status == "insufficient"
    assert "0 analysis samples" in reason
    assert "9 row(s) have no value" in reason


def test_a_calibration_error_that_is_gone_while_labels_come_is_silent():
    aece = noisy(DAYS)
    aece[-9:] = np.nan
    found = statuses(aece, noisy(DAYS), days(), [500] * DAYS)
    assert found["aece"] == ("failed", "no sample for 216 h; one is due every 24 h")
    assert found["alpha"] == ("ok", "")


def test_periods_that_wait_for_labels_are_no_silence_of_any_metric():
    aece, samples = noisy(DAYS), np.full(DAYS, 500.0)
    aece[-6:], samples[-6:] = np.nan, 0
    found = statuses(aece, aece, days(), samples)
    assert {status for status, _ in found.values()} == {"insufficient"}
    assert "6 row(s) have no value" in found["aece"][1]


def test_when_the_rows_stop_every_metric_is_silent_since_the_last_row():
    alpha = noisy(DAYS)
    alpha[-5:] = np.nan
    found = statuses(noisy(DAYS), alpha, days() - 6 * MICROSECONDS_PER_DAY)
    told = ("failed", "no sample for 144 h; one is due every 24 h")
    assert found == {"aece": told, "alpha": told}


def test_a_metric_with_rows_of_its_own_is_silent_when_those_stop():
    stamps = np.sort(np.concatenate([days(), days() - 6 * 3_600_000_000]))
    aece, alpha = noisy(2 * DAYS), noisy(2 * DAYS, 1)
    aece[::2] = np.nan  # those 6 hours before are alpha's
    alpha[1::2] = np.nan
    alpha[-10:] = np.nan
    found = statuses(aece, alpha, stamps)
    assert found["aece"] == ("ok", "")
    assert found["alpha"][0] == "failed"
    assert found["alpha"][1].startswith("no sample for ")


@pytest.mark.parametrize("gone", [0, 9])
def test_dense_rows_are_judged_by_the_same_rule(gone):
    size = 40 * 24 * 12
    stamps = days(1 / 288, size)
    alpha = noisy(size)
    alpha[-gone * 288 or size :] = np.nan
    found = statuses(noisy(size), alpha, stamps)
    assert found["aece"][0] == "ok"
    assert found["alpha"][0] == ("ok" if not gone else "insufficient")
