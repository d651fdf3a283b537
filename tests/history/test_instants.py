"""Timestamps of every unit, zone and oddity (faults 11 and 12)."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pyarrow as pa
import pytest

from calhard.errors import InputError
from tests.blocks import AS_OF, DAY, HOUR
from tests.history.reading import UTC_US, hours, plan_of, read, rows, write
from tests.history.test_sources import ipc

SECOND, MINUTE = 1_000_000, 60_000_000
OSLO = '[calibration.hardening.windows]\ntimezone = "Europe/Oslo"'
FUTURE, ANCIENT = "timestamp in the future", "timestamp before 1990"


def us(*parts):
    """A UTC instant, µs."""
    return round(datetime(*parts, tzinfo=UTC).timestamp()) * SECOND


def one(column):
    """One series with a row for each timestamp."""
    return rows(("a",), ("x",), n=len(column), timestamp=column)


def stamps(tmp_path, column, plan=None, **options):
    found = read(write(tmp_path / "h.parquet", one(column)), plan, **options)
    group = found.groups.get(("a", "x"))
    return (group.timestamp if group else []), found.counts()


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Tokyo", "+05:30", "America/New_York"])
def test_timestamps_of_every_unit_and_zone_are_the_same_instants(unit, zone, tmp_path):
    column = pa.array(hours(4), UTC_US).cast(pa.timestamp(unit, zone or "UTC"))
    column = column if zone else column.cast(pa.timestamp(unit))
    assert stamps(tmp_path, column) == (hours(4), {})
    assert read(ipc(tmp_path / "h.arrow", one(column))).groups["a", "x"].timestamp == hours(4)


@pytest.mark.parametrize("kind", [pa.int32(), pa.int64(), pa.uint32(), pa.uint64()], ids=str)
def test_integers_are_seconds_since_1970(kind, tmp_path):
    column = pa.array([t // SECOND for t in hours(4)], kind)
    assert stamps(tmp_path, column) == (hours(4), {})


@pytest.mark.parametrize("kind", [pa.date32(), pa.date64()], ids=str)
def test_dates_are_midnights(kind, tmp_path):
    days = [date(2026, 5, 30), date(2026, 5, 31)]
    midnights = [us(2026, 5, 30), us(2026, 5, 31)]
    assert stamps(tmp_path, pa.array(days, kind)) == (midnights, {})
    shifted = [t - 2 * HOUR for t in midnights]
    assert stamps(tmp_path, pa.array(days, kind), plan_of(OSLO)) == (shifted, {})


def test_the_nanoseconds_within_a_microsecond_are_cut(tmp_path):
    column = pa.array([AS_OF * 1_000 - 1_001, AS_OF * 1_000 - 1], pa.timestamp("ns", "UTC"))
    assert stamps(tmp_path, column) == ([AS_OF - 2, AS_OF - 1], {})


@pytest.mark.parametrize(
    ("factor", "unit"),
    [(1_000, "milliseconds"), (1_000_000, "microseconds"), (1_000_000_000, "nanoseconds")],
)
def test_integers_in_another_unit_refuse_the_file_and_the_unit_is_guessed(factor, unit, tmp_path):
    write(tmp_path / "h" / "good.parquet", rows())
    column = pa.array([t // SECOND * factor for t in hours(4)])
    write(tmp_path / "h" / "ms.parquet", one(column))
    found = read(tmp_path / "h")
    reason, remedy = found.account.files["ms.parquet"]
    assert "are no seconds since 1970" in reason
    assert unit in reason
    assert f"{factor:,}" in remedy
    assert found.account.rows == 16


@pytest.mark.parametrize("value", [2**63, 2**64 - 1])
def test_integers_beyond_64_signed_bits_refuse_the_file(value, tmp_path):
    with_good = rows(("b",))
    write(tmp_path / "h" / "b.parquet", with_good)
    write(tmp_path / "h" / "a.parquet", one(pa.array([value], pa.uint64())))
    found = read(tmp_path / "h")
    assert "no seconds since 1970" in found.account.files["a.parquet"][0]


def test_rows_up_to_the_skew_are_kept_and_later_ones_refused(tmp_path):
    column = pa.array([AS_OF, AS_OF + 5 * MINUTE, AS_OF + 5 * MINUTE + 1], UTC_US)
    kept, counts = stamps(tmp_path, column, as_of=AS_OF + DAY)
    assert kept == [AS_OF, AS_OF + 5 * MINUTE]
    assert counts == {FUTURE: 1}


def test_the_skew_is_the_plans(tmp_path):
    plan = plan_of('[calibration.hardening.windows]\nclock_skew = "2h"')
    column = pa.array([AS_OF + 2 * HOUR, AS_OF + 2 * HOUR + 1], UTC_US)
    assert stamps(tmp_path, column, plan, as_of=AS_OF + DAY) == ([AS_OF + 2 * HOUR], {FUTURE: 1})


def test_what_lies_outside_of_the_windows_is_counted_apart(tmp_path):
    column = pa.array([AS_OF - 10 * DAY - 1, AS_OF - 10 * DAY, AS_OF, AS_OF + 1], UTC_US)
    found = read(write(tmp_path / "h.parquet", one(column)), days=10)
    assert found.groups["a", "x"].timestamp == [AS_OF - 10 * DAY, AS_OF]
    assert found.account.counts == {
        ("outside", "older than any window"): 1,
        ("outside", "after as_of"): 1,
    }
    assert found.account.rejected == 0


@pytest.mark.parametrize("zone", [None, OSLO])
@pytest.mark.parametrize("kind", ["naive", "aware"])
def test_epoch_zero_and_the_year_9999_are_refused(kind, zone, tmp_path):
    odd = [0, us(1989, 12, 31, 23, 59, 59), us(9999, 12, 31, 23), -(2**60), AS_OF - DAY]
    column = pa.array(odd, UTC_US if kind == "aware" else pa.timestamp("us"))
    kept, counts = stamps(tmp_path, column, plan_of(zone or ""))
    assert counts == {ANCIENT: 3, FUTURE: 1}
    assert len(kept) == 1


@pytest.mark.parametrize("unit", ["s", "ms"])
@pytest.mark.parametrize("zone", [None, OSLO])
def test_instants_beyond_the_range_of_microseconds_do_not_wrap_around(unit, zone, tmp_path):
    # 2⁶⁴ µs further on, the wrapped count would be this very moment.
    wrapped = (AS_OF + 2**64) // (SECOND if unit == "s" else 1_000)
    extremes = [wrapped, 2**63 - 1, -(2**63), -wrapped]
    found = read(
        ipc(tmp_path / "h.arrow", one(pa.array(extremes, pa.timestamp(unit)))), plan_of(zone or "")
    )
    assert found.counts() == {FUTURE: 2, ANCIENT: 2}
    assert found.account.rows == 0


def test_nanoseconds_at_the_end_of_their_range_are_in_the_future(tmp_path):
    column = pa.array([2**63 - 1, -(2**63) + 1], pa.timestamp("ns"))
    assert stamps(tmp_path, column) == ([], {FUTURE: 1, ANCIENT: 1})


def test_files_of_different_units_are_one_history(tmp_path):
    for number, unit in enumerate(["s", "ms", "us", "ns"]):
        column = pa.array(hours(4)[number : number + 1], UTC_US).cast(pa.timestamp(unit, "UTC"))
        write(tmp_path / "h" / f"{unit}.parquet", one(column))
    assert read(tmp_path / "h").groups["a", "x"].timestamp == hours(4)


def test_naive_timestamps_are_of_the_plans_zone(tmp_path):
    naive = pa.array([us(2026, 1, 15, 12), us(2026, 5, 15, 12)], pa.timestamp("us"))
    winter_and_summer = [us(2026, 1, 15, 11), us(2026, 5, 15, 10)]
    assert stamps(tmp_path, naive, plan_of(OSLO)) == (winter_and_summer, {})


def test_aware_timestamps_do_not_care_for_the_plans_zone(tmp_path):
    assert stamps(tmp_path, pa.array(hours(3), UTC_US), plan_of(OSLO)) == (hours(3), {})


def test_a_time_in_the_hour_that_a_zone_skips_is_refused_with_its_place(tmp_path):
    local = [us(2026, 3, 29, 1, 30), us(2026, 3, 29, 2), us(2026, 3, 29, 2, 59), us(2026, 3, 29, 3)]
    path = write(tmp_path / "h.parquet", one(pa.array(local, pa.timestamp("us"))))
    found = read(path, plan_of(OSLO))
    assert found.groups["a", "x"].timestamp == [us(2026, 3, 29, 0, 30), us(2026, 3, 29, 1)]
    (row,) = [r for r in found.account.coverage() if r["outcome"] == "rejected"]
    assert row["count"] == 2
    assert row["example"] == "h.parquet, row 2: timestamp = '2026-03-29 02:00:00'"
    assert "windows.timezone" in row["remedy"]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_time_in_the_hour_that_the_clock_repeats_is_refused_with_its_place(unit, tmp_path):
    local = [us(2025, 10, 26, *at) for at in ((1, 59), (2, 0), (2, 0), (2, 59), (3, 0))]
    column = pa.array(local, pa.timestamp("us")).cast(pa.timestamp(unit))
    found = read(write(tmp_path / "h.parquet", one(column)), plan_of(OSLO))
    group = found.groups["a", "x"]
    assert not group.conflicting
    assert group.timestamp == [us(2025, 10, 25, 23, 59), us(2025, 10, 26, 2)]
    (row,) = [r for r in found.account.coverage() if r["outcome"] != "audited"]
    assert (row["outcome"], row["count"]) == ("rejected", 3)
    assert row["reason"] == "timestamp in an hour that the clock repeats"
    assert row["example"] == "h.parquet, row 2: timestamp = '2025-10-26 02:00:00'"
    assert "write UTC" in row["remedy"]


def test_skipped_repeated_and_missing_times_are_told_apart(tmp_path):
    local = [us(2025, 10, 26, 2, 30), us(2026, 3, 29, 2, 30), None, us(2026, 3, 29, 12)]
    column = pa.array(local, pa.timestamp("us"))
    for given in (column, column.dictionary_encode()):
        _, counts = stamps(tmp_path, given, plan_of(OSLO))
        assert counts == {
            "timestamp in an hour that the clock repeats": 1,
            "timestamp in an hour that its zone skips": 1,
            "timestamp is null": 1,
        }


def test_a_date_whose_midnight_is_repeated_is_the_earlier_one(tmp_path):
    plan = plan_of('[calibration.hardening.windows]\ntimezone = "America/Havana"')
    midnight = [us(2025, 11, 2, 4)]
    assert stamps(tmp_path, pa.array([date(2025, 11, 2)]), plan) == (midnight, {})


@pytest.mark.parametrize("zone", ["", OSLO])
def test_a_leap_day_is_a_day(zone, tmp_path):
    days = [date(2024, 2, 28), date(2024, 2, 29), date(2024, 3, 1)]
    kept, counts = stamps(tmp_path, pa.array(days), plan_of(zone))
    assert [b - a for a, b in pairwise(kept)] == [DAY, DAY]
    assert not counts


def mixed(home):
    write(home / "aware.parquet", rows(("a",)))
    naive = rows(("b",))
    column = naive["timestamp"].cast(pa.timestamp("us"))
    write(home / "naive.parquet", naive.set_column(2, "timestamp", column))
    return home


def test_naive_files_beside_aware_ones_are_refused_until_a_zone_is_named(tmp_path):
    found = read(mixed(tmp_path / "h"))
    assert list(found.account.files) == ["naive.parquet"]
    reason, remedy = found.account.files["naive.parquet"]
    assert "timestamp" in reason
    assert "aware.parquet" in reason
    assert 'timezone = "UTC"' in remedy
    assert {m for m, _ in found.groups} == {"a"}


@pytest.mark.parametrize(("zone", "shift"), [("UTC", 0), ("Asia/Tokyo", -9 * HOUR)])
def test_a_named_zone_lets_naive_and_aware_files_stand_together(zone, shift, tmp_path):
    plan = plan_of(f'[calibration.hardening.windows]\ntimezone = "{zone}"')
    found = read(mixed(tmp_path / "h"), plan)
    assert not found.account.files
    assert found.groups["a", "x"].timestamp == hours(4)
    assert found.groups["b", "x"].timestamp == [t + shift for t in hours(4)]


def test_dates_and_seconds_stand_beside_aware_timestamps(tmp_path):
    write(tmp_path / "h" / "aware.parquet", rows(("a",)))
    write(tmp_path / "h" / "date.parquet", rows(("b",), ("x",), 1, timestamp=[date(2026, 5, 1)]))
    write(tmp_path / "h" / "int.parquet", rows(("c",), ("x",), 1, timestamp=[AS_OF // SECOND]))
    assert not read(tmp_path / "h").account.files


def test_only_naive_files_are_utc(tmp_path):
    home = mixed(tmp_path / "h")
    (home / "aware.parquet").unlink()
    assert read(home).groups["b", "x"].timestamp == hours(4)


def test_csv_timestamps_may_gain_fractions_after_the_first_rows(tmp_path):
    begin = datetime(2026, 3, 1)  # noqa: DTZ001  # naive on purpose
    many = [begin + timedelta(minutes=i) for i in range(40_000)]
    lines = [f"a,x,{t},0.1" for t in [*many, begin + timedelta(days=60, microseconds=250_000)]]
    (tmp_path / "h.csv").write_text("model_id,class_id,timestamp,aece\n" + "\n".join(lines))
    found = read(tmp_path / "h.csv")
    assert found.account.rows == 40_001
    assert found.groups["a", "x"].timestamp[-1] % SECOND == 250_000


def test_a_naive_csv_is_read_in_the_plans_zone(tmp_path):
    (tmp_path / "h.csv").write_text(
        "model_id,class_id,timestamp,aece\na,x,2026-05-01 12:00:00,0.1\nb,x,2026-05-01T12:00:00,1\n"
    )
    found = read(tmp_path / "h.csv", plan_of(OSLO))
    assert found.groups["a", "x"].timestamp == [us(2026, 5, 1, 10)]


def test_naive_and_aware_cells_in_one_csv_are_refused(tmp_path):
    lines = ["model_id,class_id,timestamp,aece", "a,x,2026-05-01T12:00:00Z,1"]
    (tmp_path / "h.csv").write_text("\n".join([*lines, "b,x,2026-05-01 12:00:00,1\n"]))
    with pytest.raises(InputError, match='"timestamp" holds string'):
        read(tmp_path / "h.csv")


def test_the_newest_row_is_the_newest_that_can_be_true(tmp_path):
    column = pa.array([0, AS_OF - DAY, us(9999, 1, 1), None], UTC_US)
    history = read(write(tmp_path / "h.parquet", one(column))).history
    assert history.newest_timestamp(AS_OF) == AS_OF - DAY
    assert history.newest_timestamp(us(2000, 1, 1)) is None


@pytest.mark.parametrize("column", ["model_id", "class_id"])
@pytest.mark.parametrize("name", [None, ""])
def test_a_row_without_an_id_sets_no_moment(column, name, tmp_path):
    for part in range(3):
        lone = pa.array([AS_OF - part], UTC_US)
        stray = rows(("a",), ("x",), 1, timestamp=lone, **{column: pa.array([name], pa.string())})
        write(tmp_path / "h" / f"{part}.parquet", stray)
    earlier = pa.array([AS_OF - DAY, AS_OF - 20 * HOUR, AS_OF - 21 * HOUR], UTC_US)
    table = one(earlier)
    unlabelled = table.set_column(0, "model_id", pa.array(["a", name, "a"]))
    write(tmp_path / "h" / "z.parquet", unlabelled)
    history = read(tmp_path / "h").history
    assert history.newest_timestamp(AS_OF) == AS_OF - 21 * HOUR


def test_a_row_that_is_refused_for_its_weight_sets_no_moment(tmp_path):
    table = one(pa.array([AS_OF - DAY, AS_OF], UTC_US))
    path = write(tmp_path / "h.parquet", table.append_column("total_samples", pa.array([1, -1])))
    assert read(path).history.newest_timestamp(AS_OF) == AS_OF - DAY


def test_a_file_that_breaks_has_no_newest_row(tmp_path):
    path = write(tmp_path / "h" / "a.parquet", rows(), row_group_size=8, compression="none")
    write(
        tmp_path / "h" / "b.parquet", rows(timestamp=pa.array([t - DAY for t in hours(16)], UTC_US))
    )
    raw = bytearray(path.read_bytes())
    where = [raw.find((AS_OF - i * HOUR).to_bytes(8, "little")) for i in range(4)]
    raw[max(where)] ^= 1
    path.write_bytes(raw)
    found = read(tmp_path / "h")
    assert list(found.account.files) == ["a.parquet"]
    assert found.history.newest_timestamp(AS_OF) == AS_OF - DAY
