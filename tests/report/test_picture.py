"""The picture of a series: its values as they were reported, and what its verdict rests on."""

from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest

from calhard.report.picture import series_picture, thinned
from calhard.schema import BUILTIN_METRICS, EVIDENCE, Metric, series_schema
from tests.findings.tables import AS_OF, AS_OF_US, KEY, ago

HOUR = 3_600_000_000


def evidence(**said):
    row = dict.fromkeys(EVIDENCE.names) | KEY
    known = {"baseline_value": 0.02, "slo_bound": 0.01, "onset": ago(12)}
    return row | known | {"reference_start": ago(35 * 24), "analysis_start": ago(7 * 24)} | said


def values(*told, metric="aece", every=1):
    """Hourly values, the last one at the audit's moment; ``None`` was not reported."""
    rows = [
        {"timestamp": AS_OF - timedelta(hours=every * i), metric: value}
        for i, value in enumerate(reversed(told))
    ]
    return pa.Table.from_pylist(rows, schema=series_schema([metric]))


def picture(*told, metric=BUILTIN_METRICS["aece"], found=True, every=1, **said):
    series = values(*told, metric=metric.name, every=every)
    row = evidence(**({"metric": metric.name} | said))
    return series_picture(row, series, metric, as_of=AS_OF_US, found=found)


def test_values_stand_in_the_order_of_time_and_what_is_missing_is_nan():
    shown = picture(0.1, None, float("nan"), float("inf"), 0.2)
    assert np.all(np.diff(shown.time) == HOUR)
    assert np.array_equal(shown.value, [0.1, np.nan, np.nan, np.nan, 0.2], equal_nan=True)
    assert shown.not_finite.tolist() == [False, False, True, True, False]


def test_windows_onset_and_night_are_in_microseconds_of_utc():
    shown = picture(0.1)
    assert shown.as_of - shown.night_start == 24 * HOUR
    assert shown.as_of - shown.analysis_start == 7 * 24 * HOUR
    assert shown.as_of - shown.onset == 12 * HOUR


def test_a_healthy_series_shows_no_onset():
    assert picture(0.1, found=False).onset is None


@pytest.mark.parametrize(
    ("metric", "low", "high"),
    [
        (Metric("m", bound="drift"), 0.01, 0.03),
        (Metric("m", bound="level"), None, 0.01),
        (Metric("m", bound="level", direction="lower_is_worse"), 0.01, None),
        (Metric("m", bound="zero"), None, 0.01),
        (Metric("m"), None, None),
    ],
    ids=["drift", "level", "floor", "zero", "none"],
)
def test_bounds_are_those_of_the_metrics_slo(metric, low, high):
    shown = picture(0.02, metric=metric)
    assert shown.bound_low == (None if low is None else pytest.approx(low))
    assert shown.bound_high == (None if high is None else pytest.approx(high))


def test_a_drift_without_a_baseline_has_no_bound():
    shown = picture(0.02, baseline_value=None)
    assert (shown.bound_low, shown.bound_high) == (None, None)


def test_the_forecast_is_of_the_night_at_the_horizon():
    told = {"predicted_value": 0.03, "interval_low": 0.02, "interval_high": 0.04}
    ahead = picture(0.02, **told).forecast
    assert (ahead.start, ahead.time) == (AS_OF_US, AS_OF_US + 24 * HOUR)
    assert (ahead.low, ahead.value, ahead.high) == (0.02, 0.03, 0.04)
    assert picture(0.02, **(told | {"interval_low": None})).forecast is None


def test_a_model_that_never_reported_has_an_empty_picture():
    row = dict.fromkeys(EVIDENCE.names) | KEY
    nothing = series_schema(["aece"]).empty_table()
    shown = series_picture(row, nothing, BUILTIN_METRICS["aece"], as_of=AS_OF_US)
    assert len(shown.time) == len(thinned(shown)[0]) == 0
    assert shown.reference_start is None


def test_a_gap_breaks_the_line():
    assert picture(0.1, 0.2, None, 0.3, 0.4).stretches.tolist() == [0, 0, 1, 1]
    late = values(0.3, 0.4).slice(0, 1)
    early = values(*[0.1] * 5).slice(4)
    series = pa.concat_tables([early, values(*[0.2] * 9).slice(8), late])
    shown = series_picture(evidence(), series, BUILTIN_METRICS["aece"], as_of=AS_OF_US)
    assert len(shown.stretches) == 3
    assert picture(*[0.1] * 4, every=24).stretches.tolist() == [0, 0, 0, 0]


def test_a_long_series_is_thinned_and_its_spikes_survive():
    rng = np.random.default_rng(0)
    told = rng.normal(size=1_000)
    told[[137, 777]] = 40.0, -50.0
    shown = picture(*told.tolist())
    time, value, stretch = thinned(shown)
    assert 200 <= len(value) <= 302
    assert {40.0, -50.0, told[0], told[-1]} <= set(value.tolist())
    assert np.all(np.diff(time) > 0)
    assert len(stretch) == len(value)


def test_a_short_series_is_shown_whole():
    shown = picture(*np.arange(299.0).tolist())
    assert np.array_equal(thinned(shown)[1], shown.value)
