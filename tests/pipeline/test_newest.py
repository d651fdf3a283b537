"""The newest row of a history dates the night, whatever its type and file."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from calhard.history import History
from calhard.plan import AuditPlan

NOW = datetime(2026, 6, 1, tzinfo=UTC)
NEWEST = NOW - timedelta(days=1)
DAYS = [NEWEST - timedelta(days=d) for d in (3, 1, 0, 2)]


def us(instant):
    return round(instant.timestamp() * 1e6)


def newest(path, *, plan=None):
    return History.open(path, plan or AuditPlan()).newest_timestamp(us(NOW))


def write(path, timestamps, **options):
    size = len(timestamps)
    table = pa.table(
        {
            "model_id": pa.array(["m"] * size),
            "class_id": pa.array(["c"] * size),
            "timestamp": timestamps,
            "aece": pa.array(np.linspace(0.01, 0.02, size)),
        }
    )
    pq.write_table(table, path, **({"row_group_size": 2} | options))
    return path


def stamps(kind, days=DAYS):
    if pa.types.is_integer(kind):
        return pa.array([round(d.timestamp()) for d in days], kind)
    if pa.types.is_date(kind):
        return pa.array([d.date() for d in days], kind)
    return pa.array([d if kind.tz else d.replace(tzinfo=None) for d in days], kind)


KINDS = [
    pa.timestamp("s"),
    pa.timestamp("ms", "UTC"),
    pa.timestamp("us", "Asia/Tokyo"),
    pa.timestamp("us"),
    pa.timestamp("ns", "UTC"),
    pa.date32(),
    pa.date64(),
    pa.int32(),
    pa.int64(),
    pa.uint32(),
    pa.uint64(),
]


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("statistics", [True, False], ids=["told", "untold"])
def test_the_newest_row_is_the_same_with_and_without_statistics(kind, statistics, tmp_path):
    file = write(tmp_path / "h.parquet", stamps(kind), write_statistics=statistics)
    assert newest(file) == us(NEWEST)


def test_timestamps_of_96_bits_are_read(tmp_path):
    file = write(
        tmp_path / "h.parquet", stamps(pa.timestamp("ns")), use_deprecated_int96_timestamps=True
    )
    assert pq.read_metadata(file).schema.column(2).physical_type == "INT96"
    assert newest(file) == us(NEWEST)


def test_naive_timestamps_are_read_in_the_zone_of_the_plan(tmp_path):
    plan = AuditPlan.from_text('[calibration.hardening.windows]\ntimezone = "Asia/Tokyo"')
    file = write(tmp_path / "h.parquet", stamps(pa.timestamp("us")))
    assert newest(file, plan=plan) == us(NEWEST) - 9 * 3_600_000_000
    dates = write(tmp_path / "d.parquet", pa.array([date(2026, 5, 30)]))
    assert newest(dates, plan=plan) == us(datetime(2026, 5, 29, 15, tzinfo=UTC))


def test_the_hour_that_a_zone_skips_is_no_newest_row(tmp_path):
    plan = AuditPlan.from_text('[calibration.hardening.windows]\ntimezone = "Europe/Berlin"')
    skipped, sound = datetime(2026, 3, 29, 2, 30), datetime(2026, 3, 29, 1, 30)  # noqa: DTZ001
    file = write(tmp_path / "h.parquet", pa.array([sound, skipped], pa.timestamp("us")))
    assert newest(file, plan=plan) == us(datetime(2026, 3, 29, 0, 30, tzinfo=UTC))


@pytest.mark.parametrize("group", [1, 2, 4])
def test_rows_from_the_future_do_not_count_however_the_row_groups_fall(group, tmp_path):
    days = [*DAYS, NOW + timedelta(days=400), NOW + timedelta(hours=1)]
    kind = pa.timestamp("us", "UTC")
    file = write(tmp_path / "h.parquet", stamps(kind, days), row_group_size=group)
    assert newest(file) == us(NEWEST)


def test_times_that_no_microsecond_count_holds_do_not_wrap_into_the_past(tmp_path):
    far = pa.array([us(NEWEST) // 1_000, 2**62], pa.int64()).cast(pa.timestamp("ms", "UTC"))
    assert newest(write(tmp_path / "h.parquet", far)) == us(NEWEST)


def test_row_groups_without_any_timestamp_count_for_nothing(tmp_path):
    kind = pa.timestamp("us", "UTC")
    some = pa.concat_arrays([pa.nulls(2, kind), stamps(kind)])
    assert newest(write(tmp_path / "h.parquet", some)) == us(NEWEST)
    assert newest(write(tmp_path / "n.parquet", pa.nulls(3, kind))) is None


def test_zeros_and_wrong_units_are_nobodys_newest_row(tmp_path):
    assert newest(write(tmp_path / "zero.parquet", pa.array([0, 0], pa.int64()))) is None
    wrong = pa.array([us(d) // 1_000 for d in DAYS], pa.int64())
    assert newest(write(tmp_path / "ms.parquet", wrong)) is None


def test_the_newest_of_many_files_counts_and_other_formats_are_read(tmp_path):
    kind = pa.timestamp("us", "UTC")
    write(tmp_path / "a.parquet", stamps(kind, DAYS[:2]))
    lines = [f"m,c,{d:%Y-%m-%dT%H:%M:%SZ},0.01" for d in DAYS]
    (tmp_path / "b.csv").write_text("\n".join(["model_id,class_id,timestamp,aece", *lines]))
    assert newest(tmp_path) == us(NEWEST)
