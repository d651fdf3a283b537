"""Windows hold whole periods, as long as ever, of rows that are known some time later."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calhard.history import History
from calhard.plan import AuditPlan
from tests.blocks import AS_OF, DAY, HOUR
from tests.history.known import NOT_YET, periods, series, windows
from tests.history.reading import UTC_US, plan_of, write

WEEK = 7 * DAY
KEY = ("a", "x")
START = AS_OF - 45 * DAY


def cut(path, as_of=None, **more):
    clock, found, _ = windows(path, as_of, **more)
    return clock, found[KEY]


def known_by(as_of, length, n):
    """The starts of the last ``n`` periods that are over, by counting."""
    return [as_of // length * length - length * i for i in range(n, 0, -1)]


@pytest.fixture(scope="module")
def daily(tmp_path_factory):
    return write(
        tmp_path_factory.mktemp("daily") / "h.parquet", periods(DAY, 60, end=AS_OF + 5 * DAY)
    )


@pytest.fixture(scope="module")
def hourly(tmp_path_factory):
    table = periods(HOUR, 60 * 24, end=AS_OF + 5 * DAY)
    return write(tmp_path_factory.mktemp("hourly") / "h.parquet", table)


SWEEP = [*range(-26, 27), -0.001, 0.001, 11.4]


@pytest.mark.parametrize("hour", SWEEP)
def test_at_every_hour_daily_windows_hold_7_and_28_days_and_the_night_one(hour, daily):
    as_of = AS_OF + round(hour * HOUR)
    clock, found = cut(daily, as_of)
    days = known_by(as_of, DAY, 35)
    assert clock.lag == DAY
    assert found.analysis == days[28:]
    assert found.reference == days[:28]
    assert found.night == days[34:]


@pytest.mark.parametrize("hour", SWEEP)
def test_at_every_hour_hourly_windows_hold_whole_weeks_and_the_night_24_hours(hour, hourly):
    as_of = AS_OF + round(hour * HOUR)
    clock, found = cut(hourly, as_of)
    all_hours = known_by(as_of, HOUR, 35 * 24)
    assert clock.lag == HOUR
    assert found.analysis == all_hours[28 * 24 :]
    assert found.reference == all_hours[: 28 * 24]
    assert found.night == all_hours[-24:]


def test_the_example_of_the_last_night_of_may(tmp_path):
    path = write(tmp_path / "h.parquet", periods(DAY, 40, end=AS_OF))
    clock, found = cut(path, AS_OF - DAY)  # 2026-05-31 00:00
    day = [(AS_OF - t) // DAY for t in found.analysis]
    assert [32 - d for d in day] == [24, 25, 26, 27, 28, 29, 30]
    assert (clock.as_of, clock.cut) == (AS_OF - DAY, AS_OF - 2 * DAY)
    assert found.night == [AS_OF - 2 * DAY]
    assert len(found.reference) == 28


@pytest.mark.parametrize("hour", [0, 5, 23])
def test_rows_stamped_with_their_end_are_cut_as_ever(hour, tmp_path):
    stamps = [AS_OF - DAY * i for i in range(50, -1, -1)]
    plain = write(tmp_path / "plain.parquet", series(stamps))
    told = write(tmp_path / "told.parquet", series(stamps, stamps))
    as_of = AS_OF + hour * HOUR
    assert windows(plain, as_of)[:2] == windows(told, as_of)[:2]
    assert cut(told, as_of)[0].lag == 0


def test_months_are_cut_as_if_they_bore_their_ends(tmp_path):
    months = np.arange("2022-01", "2026-07", dtype="datetime64[M]")
    edges = months.astype("datetime64[us]").astype(np.int64).tolist()
    path = write(tmp_path / "h.parquet", series(edges[:-1], edges[1:]))
    for end in range(40, 54):
        clock, found = cut(path, edges[end])
        assert clock.lag == edges[end] - edges[end - 1]
        assert found.night == edges[end - 1 : end]
        assert found.analysis == edges[end - 7 : end]
        assert found.reference == edges[end - 35 : end - 7]


def test_weeks_are_cut_by_samples_and_the_night_holds_one_when_it_ends(tmp_path):
    path = write(tmp_path / "h.parquet", periods(WEEK, 50))
    clock, found = cut(path, AS_OF)
    weeks = [AS_OF - WEEK * i for i in range(35, 0, -1)]
    assert clock.lag == WEEK
    assert (found.reference, found.analysis, found.night) == (weeks[:28], weeks[28:], weeks[34:])
    assert cut(path, AS_OF + 2 * DAY)[1].night == []


def test_a_source_is_stale_from_when_its_next_rows_would_be_known(tmp_path):
    path = write(tmp_path / "h.parquet", periods(DAY, 40))
    for hour in (0, 30, 72):
        clock, found = cut(path, AS_OF + hour * HOUR)
        assert clock.lag == DAY
        assert clock.cut - found.analysis[-1] == hour * HOUR


def test_rows_that_come_days_late_belong_where_they_are_stamped(tmp_path):
    on_time = periods(DAY, 40)
    late = series([AS_OF - 3 * DAY + HOUR], [AS_OF + 2 * HOUR])
    path = write(tmp_path / "h.parquet", pa.concat_tables([on_time, late]))
    before, after = cut(path, AS_OF + HOUR), cut(path, AS_OF + 2 * HOUR)
    assert before[0].lag == after[0].lag == DAY
    assert set(after[1].analysis) - set(before[1].analysis) == {AS_OF - 3 * DAY + HOUR}


def test_an_old_row_that_comes_late_does_not_make_a_silent_fleet_fresh(tmp_path):
    late = series([AS_OF - 9 * DAY + HOUR], [AS_OF + 5 * DAY])
    path = write(tmp_path / "h.parquet", pa.concat_tables([periods(DAY, 40), late]))
    clock, found = cut(path, AS_OF + 5 * DAY)
    assert clock.lag == DAY
    assert found.analysis[-1] == AS_OF - DAY


def test_a_row_that_tells_nothing_counts_for_a_week(tmp_path):
    told = periods(DAY, 40)
    for age, lag in ((3, 0), (9, DAY)):
        stamp = AS_OF - age * DAY + HOUR
        path = write(tmp_path / f"{age}.parquet", pa.concat_tables([told, series([stamp], [None])]))
        assert cut(path, AS_OF)[0].lag == lag


def test_the_least_lag_of_several_sources_is_everyones(tmp_path):
    table = pa.concat_tables([periods(DAY, 40), periods(HOUR, 40 * 24, model="b")])
    clock, found, account = windows(write(tmp_path / "h.parquet", table), AS_OF)
    assert clock.lag == HOUR
    assert len(found[KEY].analysis) == 7
    assert len(found["b", "x"].analysis) == 168
    assert found[KEY].night == [AS_OF - DAY]
    assert not account.counts


@pytest.mark.parametrize("month", [(2025, 10), (2026, 3)], ids=["autumn", "spring"])
def test_days_of_a_zone_are_whole_where_its_clock_is_changed(month, tmp_path):
    oslo = ZoneInfo("Europe/Oslo")
    days = [datetime(*month, 1, tzinfo=oslo) + timedelta(days=d) for d in range(-20, 45)]
    naive = pa.array([d.replace(tzinfo=None) for d in days], pa.timestamp("us"))
    starts, ends = naive[:-1], naive[1:]
    table = series([0] * len(starts)).set_column(2, "timestamp", starts)
    path = write(tmp_path / "h.parquet", table.append_column("ingested_at", ends))
    plan = plan_of('[calibration.hardening.windows]\ntimezone = "Europe/Oslo"')
    stamps = [round(d.timestamp() * 1e6) for d in days]
    for end in range(36, len(stamps)):
        found = cut(path, stamps[end], plan=plan)[1]
        assert found.analysis == stamps[end - 7 : end]
        assert found.night == stamps[end - 1 : end]
        size = len(found.reference)  # 28 × 24 h hold one more where a day had 23
        assert size in {28, 29}
        assert found.reference == stamps[end - 7 - size : end - 7]


def test_rows_that_are_known_some_minutes_late_or_later_are_cut_by_the_least_of_these(tmp_path):
    minutes = np.random.default_rng(2).integers(10, 50, 60) * HOUR // 60
    stamps = np.asarray([AS_OF - DAY * i for i in range(60, 0, -1)])
    path = write(tmp_path / "h.parquet", series(stamps, stamps + DAY + minutes))
    clock, found = cut(path)
    assert clock.as_of == AS_OF + minutes[-1]
    assert clock.lag == DAY + minutes[-7:].min()
    assert found.analysis == stamps[-7:].tolist()
    assert found.reference == stamps[-35:-7].tolist()
    assert found.night == stamps[-1:].tolist()


@pytest.mark.parametrize("fault", ["model_id", "total_samples"])
def test_a_row_that_is_refused_does_not_set_the_lag(fault, tmp_path):
    odd = series([AS_OF - DAY + HOUR], [AS_OF - DAY + 2 * HOUR], total_samples=pa.array([9]))
    bad = {"model_id": pa.array([None], pa.string()), "total_samples": pa.array([-1])}[fault]
    odd = odd.set_column(odd.schema.get_field_index(fault), fault, bad)
    good = periods(DAY, 40, total_samples=pa.array([9] * 40))
    path = write(tmp_path / "h.parquet", pa.concat_tables([good, odd]))
    assert cut(path, AS_OF)[0].lag == DAY


def test_a_row_known_later_does_not_set_the_lag(tmp_path):
    quick = series([AS_OF + HOUR], [AS_OF + HOUR + 1])
    path = write(tmp_path / "h.parquet", pa.concat_tables([periods(DAY, 40), quick]))
    assert cut(path, AS_OF)[0].lag == DAY
    assert cut(path, AS_OF + HOUR)[0].lag == DAY
    assert cut(path, AS_OF + HOUR + 1)[0].lag == 1


def test_the_lag_does_not_depend_on_the_clock_once_it_is_past_as_of(daily):
    for hours in (0, 1, 24 * 400):
        assert cut(daily, AS_OF, now=AS_OF + hours * HOUR)[0].lag == DAY


def test_beyond_the_clock_nothing_is_known(daily):
    clock, found, account = windows(daily, AS_OF + 3 * DAY, now=AS_OF)
    assert found[KEY].analysis[-1] == AS_OF - DAY
    assert account.counts["outside", NOT_YET] >= 1
    assert clock.lag == DAY


@pytest.mark.parametrize("layout", ["one", "shuffled", "many", "small groups", "mixed"])
def test_the_lag_is_the_same_in_every_order_and_layout(layout, tmp_path):
    rng = np.random.default_rng(3)
    parts = [periods(DAY, 40, model=m) for m in "abc"]
    lags = rng.integers(HOUR, 3 * DAY, 120)
    table = pa.concat_tables(parts)
    known = np.asarray(table["timestamp"].cast(pa.int64())) + lags
    table = table.set_column(4, "ingested_at", pa.array(known, UTC_US))
    recent = np.asarray(table["timestamp"].cast(pa.int64())) > AS_OF - DAY - WEEK
    expected = int(lags[recent & (known <= AS_OF)].min())
    order = rng.permutation(120)
    home = tmp_path / "h"
    if layout == "one":
        write(home / "h.parquet", table)
    elif layout == "shuffled":
        write(home / "h.parquet", table.take(order))
    elif layout == "small groups":
        write(home / "h.parquet", table.take(order), row_group_size=7)
    else:
        for n, chunk in enumerate(np.array_split(order, 9)):
            write(home / f"{n}.parquet", table.take(chunk))
        if layout == "mixed":
            write(home / "0.parquet", table.take(np.array_split(order, 9)[0]))
            write(home / "old.parquet", series([AS_OF - 60 * DAY], model="z"))
    assert cut(home, AS_OF)[0].lag == expected


def test_a_file_that_breaks_tells_no_lag(tmp_path):
    write(tmp_path / "h" / "a.parquet", periods(DAY, 40))
    path = write(tmp_path / "h" / "b.parquet", periods(HOUR, 40), compression="none")
    raw = bytearray(path.read_bytes())
    raw[raw.find((AS_OF - 2 * HOUR).to_bytes(8, "little"))] ^= 1
    path.write_bytes(raw)
    clock, _, account = windows(tmp_path / "h", AS_OF)
    assert list(account.files) == ["b.parquet"]
    assert clock.lag == DAY


def test_a_history_without_the_column_is_not_read_for_it(tmp_path):
    path = write(tmp_path / "h.parquet", series([AS_OF]))
    history = History.open(path, AuditPlan())
    path.unlink()
    assert history.clock(AuditPlan(), AS_OF, AS_OF).lag == 0


@st.composite
def arrivals(draw):
    """Daily rows of a few series, some of which come late, early, unannounced or never."""
    size = draw(st.integers(1, 40))
    day = st.integers(0, 45)
    delay = st.one_of(
        st.just(24), st.integers(0, 24 * 12), st.none(), st.integers(-9, 0), st.just(24)
    )
    rows = draw(st.lists(st.tuples(day, delay, st.sampled_from("abc")), min_size=size))
    stamps = [START + d * DAY for d, _, _ in rows]
    known = [None if w is None else t + w * HOUR for t, (_, w, _) in zip(stamps, rows, strict=True)]
    table = series(stamps, known)
    return table.set_column(0, "model_id", pa.array([m for _, _, m in rows]))


@settings(max_examples=60, deadline=None)
@given(table=arrivals(), hour=st.integers(0, 24 * 60))
def test_rows_known_later_change_no_earlier_night(table, hour, tmp_path_factory):
    home, as_of = tmp_path_factory.mktemp("honest"), START + hour * HOUR
    stamps = np.asarray(table["timestamp"].cast(pa.int64()))
    told = np.asarray(table["ingested_at"].cast(pa.int64()).fill_null(0))
    seen = np.maximum(stamps, told) <= as_of
    whole, then = (
        windows(write(home / name, some), as_of, now=as_of + 90 * DAY)
        for name, some in (("all.parquet", table), ("then.parquet", table.filter(pa.array(seen))))
    )
    assert whole[:2] == then[:2]
    assert whole[2].rows == then[2].rows
    outside = sum(n for (kind, _), n in whole[2].counts.items() if kind == "outside")
    assert outside == int((~seen).sum())
    for found in whole[1].values():
        assert max((*found.reference, *found.analysis), default=0) <= whole[0].cut
