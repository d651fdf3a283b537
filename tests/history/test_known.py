"""Rows that tell when they became known: none is read before, whatever the column's type."""

from datetime import UTC, date, datetime

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from calhard.errors import InputError
from calhard.history import History
from calhard.measure.predictions import Predictions
from calhard.plan import AuditPlan
from tests.blocks import AS_OF, DAY, HOUR
from tests.history.known import NOT_YET, periods, series
from tests.history.reading import UTC_US, hours, plan_of, read, write
from tests.history.test_sources import ipc

SECOND = 1_000_000
OSLO = '[calibration.hardening.windows]\ntimezone = "Europe/Oslo"'
NIGHTS = [AS_OF - DAY * i for i in range(4, 0, -1)]
"""The starts of four days; the last one is over at AS_OF."""


def us(*parts):
    """A UTC instant, µs."""
    return round(datetime(*parts, tzinfo=UTC).timestamp()) * SECOND


def kept(found):
    """The timestamps that were read."""
    group = found.groups.get(("a", "x"))
    return group.timestamp if group else []


@pytest.mark.parametrize(("hour", "days"), [(-1, 3), (0, 4), (1, 4), (23, 4)])
def test_a_row_is_read_from_the_end_of_its_day(hour, days, tmp_path):
    path = write(tmp_path / "h.parquet", periods(DAY, 4))
    found = read(path, as_of=AS_OF + hour * HOUR, now=AS_OF + 2 * DAY)
    assert kept(found) == NIGHTS[:days]
    assert found.counts() == ({} if days == 4 else {NOT_YET: 1})


def test_what_is_not_yet_known_is_outside_and_told_with_its_place(tmp_path):
    found = read(write(tmp_path / "h.parquet", periods(DAY, 4)), as_of=AS_OF - 1)
    (row,) = [r for r in found.account.coverage() if r["outcome"] != "audited"]
    assert (row["outcome"], row["reason"], row["count"]) == ("outside", NOT_YET, 1)
    assert row["example"] == "h.parquet, row 4: ingested_at = '2026-06-01 00:00:00+00:00'"
    assert row["remedy"] == "nothing to mend: a later audit reads them"
    assert found.account.rejected == 0


def test_a_row_that_is_known_only_in_the_future_is_an_unfinished_period_and_no_fault(tmp_path):
    path = write(tmp_path / "h.parquet", periods(DAY, 4, end=AS_OF + DAY))
    found = read(path, as_of=AS_OF + 9 * DAY, now=AS_OF)
    assert found.account.counts == {("outside", NOT_YET): 1}
    assert found.account.rows == 3


def test_a_timestamp_in_the_future_stays_a_fault_whenever_it_is_known(tmp_path):
    path = write(tmp_path / "h.parquet", series([AS_OF - DAY, AS_OF + HOUR], [AS_OF, AS_OF + DAY]))
    found = read(path, as_of=AS_OF, now=AS_OF)
    assert found.account.counts == {("rejected", "timestamp in the future"): 1}


def test_a_row_is_never_known_before_its_timestamp_and_a_null_is_known_at_it(tmp_path):
    table = series([AS_OF, AS_OF + 1, AS_OF, AS_OF + 1], [None, None, 0, AS_OF - DAY])
    table = table.set_column(1, "class_id", pa.array(["x", "x", "y", "y"]))
    found = read(write(tmp_path / "h.parquet", table), now=AS_OF + DAY)
    assert {key: group.timestamp for key, group in found.groups.items()} == {
        ("a", "x"): [AS_OF],
        ("a", "y"): [AS_OF],
    }
    assert found.counts() == {"after as_of": 2}


def test_without_the_column_a_row_is_known_at_its_timestamp(tmp_path):
    found = read(write(tmp_path / "h.parquet", series(NIGHTS)), as_of=NIGHTS[-1])
    assert kept(found) == NIGHTS
    assert not found.counts()


def test_a_column_full_of_nulls_tells_as_much_as_none(tmp_path):
    table = series(NIGHTS, ingested_at=pa.nulls(4))
    for place in (write(tmp_path / "h.parquet", table), ipc(tmp_path / "h.arrow", table)):
        assert kept(read(place, as_of=NIGHTS[-1])) == NIGHTS


def test_the_columns_name_may_be_another(tmp_path):
    table = periods(DAY, 4).rename_columns(["model_id", "class_id", "timestamp", "aece", "seen"])
    path = write(tmp_path / "h.parquet", table)
    plan = plan_of('[calibration.hardening.columns]\ningested_at = "seen"')
    assert kept(read(path, plan, as_of=AS_OF - HOUR)) == NIGHTS[:3]
    assert kept(read(path, as_of=AS_OF - HOUR)) == NIGHTS


KNOWN = [t + DAY for t in NIGHTS]
DATES = [date(2026, 5, 29), date(2026, 5, 30), date(2026, 5, 31), date(2026, 6, 1)]
TYPES = [
    *(
        pa.array(KNOWN, UTC_US).cast(pa.timestamp(unit, zone))
        for unit in ("s", "ms", "us", "ns")
        for zone in ("UTC", "Asia/Tokyo")
    ),
    pa.array(KNOWN, pa.timestamp("us")),
    pa.array(KNOWN, pa.timestamp("us")).dictionary_encode(),
    pa.array([t // SECOND for t in KNOWN], pa.int32()),
    pa.array([t // SECOND for t in KNOWN], pa.uint64()),
    pa.array(DATES, pa.date32()),
    pa.array(DATES, pa.date64()),
]


@pytest.mark.parametrize("column", TYPES, ids=lambda c: str(c.type))
def test_every_type_of_instant_tells_the_same(column, tmp_path):
    table = series(NIGHTS, ingested_at=column)
    for place in (write(tmp_path / "h.parquet", table), ipc(tmp_path / "h.arrow", table)):
        assert kept(read(place, as_of=AS_OF - 1)) == NIGHTS[:3]
        assert kept(read(place, as_of=AS_OF)) == NIGHTS
        assert History.open(place, AuditPlan()).moment(AS_OF + DAY) == AS_OF


CELLS = {
    "zoned": ["2026-05-30T00:00:00Z", "2026-05-31T00:00:00Z", "2026-06-01T00:00:00Z"],
    "naive": ["2026-05-30 00:00:00", "2026-05-31 00:00:00", "2026-06-01 00:00:00"],
    "dates": ["2026-05-30", "2026-05-31", "2026-06-01"],
    "seconds": [str(t // SECOND) for t in KNOWN[1:]],
}


@pytest.mark.parametrize("cells", CELLS.values(), ids=CELLS)
@pytest.mark.parametrize("empty", ["", "null", "NA"])
def test_a_csv_tells_it_too_and_an_empty_cell_tells_nothing(cells, empty, tmp_path):
    stamps = ["2026-05-28T00:00:00Z", "2026-05-29T00:00:00Z", "2026-05-30T00:00:00Z"]
    stamps.append("2026-05-31T00:00:00Z")
    lines = [f"a,x,{t},0.02,{k}" for t, k in zip(stamps, [empty, *cells], strict=True)]
    path = tmp_path / "h.csv"
    path.write_text("\n".join(["model_id,class_id,timestamp,aece,ingested_at", *lines]))
    assert kept(read(path, as_of=AS_OF - 1)) == NIGHTS[:3]
    assert kept(read(path, as_of=AS_OF)) == NIGHTS
    assert read(path).history.plans[0].tags == ()


def test_a_csv_may_begin_with_a_mebibyte_of_empty_cells(tmp_path):
    stamps = [AS_OF - DAY - HOUR * i for i in range(30_000, -1, -1)]
    table = series(stamps, [*([None] * 30_000), AS_OF])
    pacsv.write_csv(table, tmp_path / "h.csv")
    assert (tmp_path / "h.csv").stat().st_size > 2**20
    found = read(tmp_path / "h.csv", as_of=AS_OF - 1, days=2_000)
    assert found.counts() == {NOT_YET: 1}
    assert found.account.rows == 30_000


@pytest.mark.parametrize(
    ("column", "told"),
    [
        (pa.array(["soon"] * 4), "holds string; expected timestamps, dates or integer seconds"),
        (pa.array([1.0] * 4), "holds double; expected timestamps, dates or integer seconds"),
        (pa.array([t // 1_000 for t in KNOWN]), "are no seconds since 1970 (they look like milli"),
    ],
    ids=["text", "float", "milliseconds"],
)
def test_a_column_that_tells_no_instants_refuses_its_file_by_name(column, told, tmp_path):
    write(tmp_path / "h" / "good.parquet", periods(DAY, 4, model="b"))
    write(tmp_path / "h" / "odd.parquet", series(NIGHTS, ingested_at=column))
    found = read(tmp_path / "h")
    reason, remedy = found.account.files["odd.parquet"]
    assert reason.startswith('column "ingested_at"')
    assert told in reason
    assert remedy
    assert found.account.rows == 4


def test_a_csv_cell_that_is_no_instant_is_told_with_its_row(tmp_path):
    path = tmp_path / "h.csv"
    lines = ["a,x,2026-05-28T00:00:00Z,0.02,2026-05-29", "a,x,2026-05-29T00:00:00Z,0.02,later"]
    path.write_text("\n".join(["model_id,class_id,timestamp,aece,ingested_at", *lines]))
    with pytest.raises(InputError, match=r'"ingested_at".*row 2 holds .later., which is no ISO'):
        read(path)


def test_naive_instants_are_of_the_plans_zone(tmp_path):
    local = pa.array([us(2026, 6, 1, 0)], pa.timestamp("us"))
    path = write(tmp_path / "h.parquet", series([us(2026, 5, 30, 22)], ingested_at=local))
    midnight = us(2026, 5, 31, 22)
    assert kept(read(path, plan_of(OSLO), as_of=midnight - 1)) == []
    assert len(kept(read(path, plan_of(OSLO), as_of=midnight))) == 1
    assert kept(read(path, as_of=AS_OF - 1)) == []


@pytest.mark.parametrize(
    ("local", "known"),
    [
        ((2025, 10, 26, 2, 30), (2025, 10, 26, 1, 30)),  # twice: the later one
        ((2026, 3, 29, 2, 30), (2026, 3, 29, 1, 30)),  # never: half an hour after it should be 2:00
        ((2026, 3, 29, 3, 0), (2026, 3, 29, 1, 0)),
        ((2025, 10, 26, 3, 0), (2025, 10, 26, 2, 0)),
    ],
)
@pytest.mark.parametrize("unit", ["s", "ns"])
def test_where_a_zone_leaves_it_open_a_row_is_known_no_earlier_than_it_can_be(
    local, known, unit, tmp_path
):
    column = pa.array([us(*local)], pa.timestamp("us")).cast(pa.timestamp(unit))
    stamp = us(*local[:3]) - DAY
    for given in (column, column.dictionary_encode()):
        path = write(tmp_path / "h.parquet", series([stamp], ingested_at=given))
        assert kept(read(path, plan_of(OSLO), as_of=us(*known) - 1)) == []
        assert kept(read(path, plan_of(OSLO), as_of=us(*known))) == [stamp]


@pytest.mark.parametrize("extreme", [2**63 - 1, -(2**63), (AS_OF + 2**64) // SECOND])
@pytest.mark.parametrize("zone", ["", OSLO])
def test_instants_beyond_the_range_of_microseconds_do_not_wrap_around(extreme, zone, tmp_path):
    column = pa.array([extreme] * 4, pa.timestamp("s"))
    found = read(ipc(tmp_path / "h.arrow", series(NIGHTS, ingested_at=column)), plan_of(zone))
    assert found.counts() == ({NOT_YET: 4} if extreme > 0 else {})


def test_rows_that_agree_count_once_whenever_they_became_known(tmp_path):
    early = series(NIGHTS, [t + DAY for t in NIGHTS])
    late = series(NIGHTS, [t + 2 * DAY for t in NIGHTS])
    path = write(tmp_path / "h.parquet", pa.concat_tables([early, late]))
    assert read(path, as_of=AS_OF).groups == read(path, as_of=AS_OF + DAY, days=1_101).groups


def test_a_correction_makes_a_conflict_only_once_it_is_known(tmp_path):
    late = series(NIGHTS[:1], [AS_OF]).set_column(3, "aece", pa.array([0.5]))
    path = write(tmp_path / "h.parquet", pa.concat_tables([periods(DAY, 4), late]))
    assert not read(path, as_of=AS_OF - 1).groups["a", "x"].conflicting
    assert read(path, as_of=AS_OF).groups["a", "x"].conflicting


def test_the_moment_is_when_the_newest_row_became_known(tmp_path):
    path = write(tmp_path / "h.parquet", periods(DAY, 4))
    history = History.open(path, AuditPlan())
    assert history.moment(AS_OF + 9 * DAY) == AS_OF
    assert history.moment(AS_OF - 5 * 60 * SECOND) == AS_OF  # the clock's skew
    assert history.moment(AS_OF - 5 * 60 * SECOND - 1) == AS_OF - DAY


def test_an_unfinished_period_sets_no_moment_and_one_alone_is_told_as_such(tmp_path):
    path = write(tmp_path / "h.parquet", periods(DAY, 4, end=AS_OF + 4 * DAY))
    with pytest.raises(InputError, match=f"nothing to audit\n  1 row.s.: {NOT_YET}; h.parquet"):
        History.open(path, AuditPlan()).moment(AS_OF + HOUR)
    assert History.open(path, AuditPlan()).moment(AS_OF + DAY) == AS_OF + DAY


def test_a_late_row_sets_the_moment_though_its_timestamp_is_old(tmp_path):
    late = series([AS_OF - 9 * DAY], [AS_OF + HOUR])
    write(tmp_path / "h" / "a.parquet", periods(DAY, 4))
    write(tmp_path / "h" / "b.parquet", late)
    assert History.open(tmp_path / "h", AuditPlan()).moment(AS_OF + DAY) == AS_OF + HOUR


def test_a_row_that_is_refused_sets_no_moment_however_late_it_became_known(tmp_path):
    table = series(NIGHTS, KNOWN, total_samples=pa.array([1, 1, 1, -1]))
    table = table.set_column(0, "model_id", pa.array(["a", "a", None, "a"]))
    history = History.open(write(tmp_path / "h.parquet", table), AuditPlan())
    assert history.moment(AS_OF + DAY) == AS_OF - 2 * DAY


def test_files_with_and_without_the_column_are_one_history(tmp_path):
    write(tmp_path / "h" / "new.parquet", periods(HOUR, 4))
    write(tmp_path / "h" / "old.parquet", series(hours(4), model="b"))
    found = read(tmp_path / "h", as_of=AS_OF - 1)
    assert found.groups["a", "x"].timestamp == [AS_OF - HOUR * i for i in (4, 3, 2)]
    assert found.groups["b", "x"].timestamp == hours(4)[:-1]
    assert found.counts() == {NOT_YET: 1, "after as_of": 1}


def test_the_column_is_read_of_96_bit_timestamps_too(tmp_path):
    path = tmp_path / "h.parquet"
    pq.write_table(periods(DAY, 4), path, use_deprecated_int96_timestamps=True)
    assert kept(read(path, as_of=AS_OF - 1)) == NIGHTS[:3]


def test_what_predictions_say_of_their_arrival_is_not_read(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text(
        "model_id,class_id,timestamp,score,label,ingested_at\na,x,2026-05-28,0.5,1,soon"
    )
    assert Predictions.open(path, AuditPlan()).account.files == {}
