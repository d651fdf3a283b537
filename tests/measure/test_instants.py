"""Timestamps of predictions: of every unit and zone, in the future, in hours that were not."""

from datetime import UTC, date, datetime

import pyarrow as pa
import pytest

from tests.blocks import AS_OF, DAY, HOUR
from tests.history.reading import UTC_US, hours, plan_of, write
from tests.history.test_sources import ipc
from tests.measure.reading import log, read

SECOND, MINUTE = 1_000_000, 60_000_000
OSLO = '[calibration.hardening.windows]\ntimezone = "Europe/Oslo"'
FUTURE, ANCIENT = "timestamp in the future", "timestamp before 1990"
REPEATED = "timestamp in an hour that the clock repeats"
SKIPPED = "timestamp in an hour that its zone skips"


def us(*parts):
    """A UTC instant, µs."""
    return round(datetime(*parts, tzinfo=UTC).timestamp()) * SECOND


def stamps(tmp_path, column, plan="", writer=write, **options):
    found = read(
        writer(tmp_path / "p", log(len(column), timestamp=column)), plan_of(plan), **options
    )
    return ([] if found.rows is None else found.rows.timestamp.tolist()), found.counts()


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Tokyo", "+05:30", "America/New_York"])
def test_timestamps_of_every_unit_and_zone_are_the_same_instants(unit, zone, tmp_path):
    column = pa.array(hours(4), UTC_US).cast(pa.timestamp(unit, zone or "UTC"))
    column = column if zone else column.cast(pa.timestamp(unit))
    assert stamps(tmp_path, column) == (hours(4), {})
    assert stamps(tmp_path, column.dictionary_encode(), writer=ipc) == (hours(4), {})


@pytest.mark.parametrize("kind", [pa.int32(), pa.uint32(), pa.int64()], ids=str)
def test_integers_are_seconds_since_1970(kind, tmp_path):
    column = pa.array([t // SECOND for t in hours(4)], kind)
    assert stamps(tmp_path, column) == (hours(4), {})


def test_dates_are_midnights_of_the_plans_zone(tmp_path):
    column = pa.array([date(2026, 5, 30), date(2026, 5, 31)])
    midnights = [us(2026, 5, 30), us(2026, 5, 31)]
    assert stamps(tmp_path, column) == (midnights, {})
    assert stamps(tmp_path, column, OSLO) == ([t - 2 * HOUR for t in midnights], {})


@pytest.mark.parametrize("factor", [1_000, 1_000_000, 1_000_000_000])
def test_integers_in_another_unit_refuse_the_file_and_the_unit_is_guessed(factor, tmp_path):
    write(tmp_path / "p" / "good.parquet", log())
    column = pa.array([t // SECOND * factor for t in hours(4)])
    write(tmp_path / "p" / "odd.parquet", log(timestamp=column))
    found = read(tmp_path / "p")
    reason, remedy = found.account.files["odd.parquet"]
    assert "are no seconds since 1970" in reason
    assert f"{factor:,}" in remedy
    assert len(found) == 4


@pytest.mark.parametrize("zone", ["", OSLO])
def test_what_was_before_1990_or_lies_beyond_the_skew_is_refused(zone, tmp_path):
    sound = [us(1990, 1, 1), AS_OF, AS_OF + 5 * MINUTE]
    odd = [0, us(1989, 12, 31, 23, 59, 59), -(2**60), AS_OF + 5 * MINUTE + 1, us(9999, 12, 31, 23)]
    kept, counts = stamps(tmp_path, pa.array(sound + odd, UTC_US), zone)
    assert kept == sound
    assert counts == {ANCIENT: 3, FUTURE: 2}


def test_the_skew_is_the_plans(tmp_path):
    skew = '[calibration.hardening.windows]\nclock_skew = "2h"'
    column = pa.array([AS_OF + 2 * HOUR, AS_OF + 2 * HOUR + 1], UTC_US)
    assert stamps(tmp_path, column, skew) == ([AS_OF + 2 * HOUR], {FUTURE: 1})
    assert stamps(tmp_path, column, skew, now=AS_OF + DAY)[0] == column.cast(pa.int64()).to_pylist()


@pytest.mark.parametrize("unit", ["s", "ms"])
def test_instants_beyond_the_range_of_microseconds_do_not_wrap_around(unit, tmp_path):
    wrapped = (AS_OF + 2**64) // (SECOND if unit == "s" else 1_000)
    column = pa.array([wrapped, 2**63 - 1, -(2**63), -wrapped], pa.timestamp(unit))
    for zone in ("", OSLO):
        assert stamps(tmp_path, column, zone, ipc) == ([], {FUTURE: 2, ANCIENT: 2})


def test_naive_times_are_of_the_plans_zone_and_those_that_never_or_twice_were_are_refused(tmp_path):
    local = [
        us(2026, 1, 15, 12),
        us(2025, 10, 26, 2, 30),
        us(2026, 3, 29, 2, 30),
        us(2026, 5, 15, 12),
    ]
    column = pa.array([*local, None], pa.timestamp("us"))
    for given in (column, column.dictionary_encode()):
        kept, counts = stamps(tmp_path, given, OSLO, ipc)
        assert kept == [us(2026, 1, 15, 11), us(2026, 5, 15, 10)]
        assert counts == {REPEATED: 1, SKIPPED: 1, "timestamp is null": 1}


def test_a_refused_time_is_told_with_its_place(tmp_path):
    local = pa.array([us(2026, 5, 1), us(2026, 3, 29, 2, 30)], pa.timestamp("us"))
    found = read(write(tmp_path / "p.parquet", log(2, timestamp=local)), plan_of(OSLO))
    assert found.example(SKIPPED) == "p.parquet, row 2: timestamp = '2026-03-29 02:30:00'"


def test_naive_files_beside_others_with_a_zone_are_refused_unless_theirs_is_named(tmp_path):
    naive = pa.array(hours(4), pa.timestamp("us"))
    write(tmp_path / "p" / "naive.parquet", log(timestamp=naive))
    write(tmp_path / "p" / "zoned.parquet", log())
    found = read(tmp_path / "p")
    reason, remedy = found.account.files["naive.parquet"]
    assert reason == 'column "timestamp" names no zone, but that of zoned.parquet does'
    assert 'timezone = "UTC"' in remedy
    utc = '[calibration.hardening.windows]\ntimezone = "UTC"'
    assert len(read(tmp_path / "p", plan_of(utc))) == 8


def test_files_of_different_units_are_one_log(tmp_path):
    for number, unit in enumerate(["s", "ms", "us", "ns"]):
        column = pa.array(hours(4)[number : number + 1], UTC_US).cast(pa.timestamp(unit, "UTC"))
        write(tmp_path / "p" / f"{unit}.parquet", log(1, timestamp=column))
    assert sorted(read(tmp_path / "p").rows.timestamp.tolist()) == hours(4)
