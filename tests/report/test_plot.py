"""Plots: everything stands within them, whatever the values are."""

import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calhard.report.axis import Axis, day_text, day_ticks, tick_text, value_axis, value_ticks
from calhard.report.picture import series_picture
from calhard.report.plot import FEW, GRID, HEIGHT, LINE, plot
from calhard.schema import BUILTIN_METRICS, MICROSECONDS_PER_DAY, TIMESTAMP, Metric, series_schema
from tests.findings.tables import AS_OF_US, ago
from tests.report.shown import HOURS, row, values

KEY = ("m", "c", "aece")
AECE = BUILTIN_METRICS["aece"]
HOUR = 3_600_000_000
NO_FORECAST = dict.fromkeys(("predicted_value", "interval_low", "interval_high"))


def drawn(told, metric=AECE, **said):
    time = AS_OF_US - HOUR * np.arange(len(told))[::-1]
    columns = {
        "model_id": ["m"] * len(told),
        "class_id": ["c"] * len(told),
        "timestamp": pa.array(time, pa.int64()).cast(TIMESTAMP),
        metric.name: pa.array(told, pa.float64()),
        "total_samples": pa.nulls(len(told), pa.float64()),
        "model_version": pa.nulls(len(told), pa.string()),
    }
    series = pa.table(columns, schema=series_schema([metric.name]))
    told_row = row(("m", "c", metric.name), **said)
    return plot(series_picture(told_row, series, metric, as_of=AS_OF_US))


def points(path):
    """Where a path goes, in steps of the grid and pixels."""
    found, x, y = [], 0, 0
    for kind, numbers in re.findall(r"([Ml])([-\d ]+)", path):
        a, b = map(int, numbers.split())
        x, y = (a, b) if kind == "M" else (x + a, y + b)
        found.append((x, y))
    return found


def test_a_usual_series_has_windows_bounds_onset_forecast_and_axes():
    found = plot(series_picture(row(KEY), values("aece"), AECE, as_of=AS_OF_US))
    assert [band.kind for band in found.bands] == ["reference", "analysis", "night"]
    reference, analysis, night = found.bands
    assert reference.x + reference.width == pytest.approx(analysis.x, abs=0.02)
    assert night.width == pytest.approx(analysis.width / 7, abs=0.02)
    assert [mark.text for mark in found.bounds] == ["SLO bound 0.01", "SLO bound 0.03"]
    assert found.baseline.text == "baseline 0.02"
    assert found.onset.text == "onset 30 May 00:00"
    assert night.x + night.width == pytest.approx(found.forecast.x, abs=0.02)
    assert found.forecast.x + found.forecast.width == pytest.approx(100, abs=0.02)
    assert 3 <= len(found.days) <= 7
    assert 3 <= len(found.values) <= 6
    assert found.count == HOURS


@settings(max_examples=150, deadline=None)
@given(
    told=st.lists(
        st.none() | st.floats(allow_subnormal=True, allow_nan=True, allow_infinity=True),
        min_size=1,
        max_size=80,
    ),
    base=st.none() | st.floats(allow_nan=False, allow_infinity=False, width=32),
)
def test_whatever_the_values_are_the_line_stays_within_the_plot(told, base):
    found = drawn(told, Metric("any", bound="drift"), baseline_value=base, **NO_FORECAST)
    if not any(v is not None and np.isfinite(v) for v in told):
        assert found is None
        return
    assert all(0 <= x <= GRID and 0 <= y <= HEIGHT for x, y in points(found.line))
    marks = [*found.values, *found.bounds, *([found.baseline] if found.baseline else [])]
    assert all(-1 <= mark.place <= HEIGHT + 1 for mark in marks)
    assert len(found.values) <= 7


def test_a_few_values_have_dots_and_many_have_none():
    assert len(points(drawn([0.1] * FEW).dots)) == FEW
    assert drawn([0.1] * (FEW + 1)).dots == ""


def test_a_gap_is_a_new_stroke_and_a_lone_value_a_dot():
    line = drawn([0.1, 0.2, None, 0.3, None, 0.1, 0.2]).line
    assert line.count("M") == 3
    assert line.count("h0") == 3


def test_a_spike_among_very_many_values_is_drawn():
    told = [0.0] * 5_000
    told[1_234] = 1.0
    heights = [y for _, y in points(drawn(told, **NO_FORECAST).line)]
    assert min(heights) < HEIGHT / 4
    assert len(heights) < 320


def test_a_bound_too_far_away_is_told_and_does_not_squash_the_values():
    rate = BUILTIN_METRICS["clamp_rate"]
    far = drawn([0.01, 0.012] * 40, rate, slo_bound=0.9, baseline_value=None, **NO_FORECAST)
    assert (far.bounds, far.outside) == ((), (0.9,))
    near = drawn([0.01, 0.08] * 40, rate, slo_bound=0.1, baseline_value=None, **NO_FORECAST)
    assert [mark.text for mark in near.bounds] == ["SLO bound 0.1"]
    assert near.outside == ()


@settings(max_examples=100, deadline=None)
@given(
    bound=st.floats(1e-6, 0.2), base=st.floats(0.0, 0.2), spread=st.sampled_from([1e-4, 0.01, 0.3])
)
def test_the_words_of_two_bounds_never_overprint_and_stay_within_the_plot(bound, base, spread):
    told = [base - spread, base + spread] * 10
    found = drawn(told, slo_bound=bound, baseline_value=base, **NO_FORECAST)
    levels = [mark.level for mark in found.bounds]
    assert all(8 <= level <= HEIGHT + 1 for level in levels)
    if len(levels) == 2:
        lower, upper = levels
        assert lower - upper >= LINE - 0.1
    taken = [*levels, *(mark.place + 4 for mark in found.bounds)]
    assert all(abs(found.level - other) > 8 for other in taken)


def test_values_that_are_not_finite_are_marked():
    assert len(drawn([0.1, float("nan"), float("inf"), None, 0.2]).lost) == 2


def test_a_source_that_fell_silent_has_no_analysis_window():
    kinds = [band.kind for band in drawn([0.1] * 20, analysis_start=None).bands]
    assert kinds == ["reference"]


def test_nothing_to_draw_is_no_plot():
    assert drawn([None, float("nan")]) is None


@settings(max_examples=200, deadline=None)
@given(low=st.floats(-1e9, 1e9), span=st.floats(1e-6, 1e9))
def test_ticks_are_round_differ_and_stand_on_the_axis(low, span):
    axis = value_axis([low, low + span], [])
    ticks = value_ticks(axis)
    assert 1 <= len(ticks) <= 7
    slack = 1e-6 * span + 1e-12 * abs(low)
    assert all(axis.low - slack <= tick <= axis.high + slack for tick in ticks)


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.0, 0.05, ["0.00", "0.01", "0.02", "0.03", "0.04", "0.05"]),
        (0.016, 0.024, ["0.016", "0.018", "0.020", "0.022", "0.024"]),
        (0.0, 3.0, ["0", "1", "2", "3"]),
        (0.0, 12.0, ["0.0", "2.5", "5.0", "7.5", "10.0"]),
    ],
)
def test_ticks_have_as_many_digits_as_tell_them_apart(low, high, words):
    ticks = value_ticks(Axis(low, high))
    assert [tick_text(tick, ticks) for tick in ticks] == words


@pytest.mark.parametrize("days", [0.2, 1, 5, 35, 100, 1_000, 9_999])
def test_days_on_the_axis_are_midnights_evenly_apart_and_few(days):
    start = AS_OF_US - round(days * MICROSECONDS_PER_DAY)
    ticks = day_ticks(start, AS_OF_US)
    assert len(ticks) <= 7
    assert all(tick % MICROSECONDS_PER_DAY == 0 and start <= tick <= AS_OF_US for tick in ticks)
    assert len(set(np.diff(ticks).tolist())) <= 1


def test_a_day_is_named_without_regard_to_the_machines_language():
    assert day_text(AS_OF_US) == "1 Jun"
    assert ago(24).day == 31
