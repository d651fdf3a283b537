"""Bin files: which are read, what of them, and that damage is seen."""

import random
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest

from calhard.history.bin_rows import BadBins
from calhard.history.bins import BinFolder, named_span
from calhard.reliability import BinRows
from tests.reliability.bins import AS_OF_US, DAY, bin_rows, bins_of, labels, write_bins
from tests.reliability.nights import measured, write

GROUPS = [("broken", "churn"), ("steady", "churn")]


@pytest.fixture
def folder(tmp_path):
    write(tmp_path, *measured(days=10, models=("broken", "else", "steady")), row_group_size=60)
    return tmp_path


def opened(folder):
    return BinFolder.within(pafs.LocalFileSystem(), str(folder))


def read(folder, groups=GROUPS, since=0, until=2**60):
    parts = [*opened(folder).read(groups, since, until)]
    return BinRows.concatenate(parts) if parts else None


def content(bins):
    return [getattr(bins, name).tobytes() for name in BinRows.__slots__]


@pytest.mark.parametrize(
    ("name", "first", "end"),
    [
        ("_bins/2026-05.parquet", (2026, 5, 1), (2026, 6, 1)),
        ("2026-12.parquet", (2026, 12, 1), (2027, 1, 1)),
        ("2024-02.parquet", (2024, 2, 1), (2024, 3, 1)),
        ("2024-02-29.parquet", (2024, 2, 29), (2024, 3, 1)),
        ("_bins/2026-12-31.parquet", (2026, 12, 31), (2027, 1, 1)),
    ],
)
def test_a_file_is_named_by_its_month_or_day(name, first, end):
    instants = [round(datetime(*day, tzinfo=UTC).timestamp() * 1e6) for day in (first, end)]
    assert named_span(name) == tuple(instants)


@pytest.mark.parametrize(
    "name",
    ["2026-13.parquet", "2025-02-29.parquet", "part-0.parquet", "2026.parquet", "0000-01.parquet"],
)
def test_another_name_says_nothing(name):
    assert named_span(name) is None


def test_the_bins_of_some_groups_and_a_time_are_read_and_no_others(folder):
    bins = read(folder)
    assert set(bins.group.tolist()) == {0, 1}
    assert len(bins.group) == 2 * 10 * 24
    some = read(folder, GROUPS[1:], AS_OF_US - 3 * DAY, AS_OF_US - DAY)
    assert set(some.timestamp.tolist()) == {AS_OF_US - 3 * DAY, AS_OF_US - 2 * DAY}
    assert set(some.group.tolist()) == {0}
    assert some.count.sum() == 2 * 600


def test_a_group_that_has_none_is_empty(folder):
    bins = read(folder, [("nobody", "churn"), ("broken", "other")])
    assert bins is None or not len(bins.group)


def test_files_outside_of_the_time_are_not_opened(folder):
    (folder / "_bins" / "2026-04.parquet").write_bytes(b"nothing at all")
    (folder / "_bins" / "2025-01-01.parquet").write_bytes(b"nothing at all")
    found = read(folder, GROUPS, AS_OF_US - 10 * DAY, AS_OF_US)
    assert len(found.group) == 2 * 10 * 24
    with pytest.raises(BadBins, match=r"_bins/2025-01-01\.parquet"):
        read(folder)


def test_other_types_of_the_same_values_are_read_alike(folder):
    known = content(read(folder))
    path = folder / "_bins" / "2026-05.parquet"
    table = pq.read_table(path)
    types = {
        "model_id": pa.dictionary(pa.int32(), pa.string()),
        "class_id": pa.large_string(),
        "timestamp": pa.timestamp("ms", tz="UTC"),
        "bin": pa.int32(),
        "count": pa.uint32(),
        "merged_with": pa.int32(),
        "clamped": pa.int32(),
    }
    fields = [(f.name, types.get(f.name, f.type)) for f in table.schema]
    pq.write_table(table.cast(pa.schema(fields)), path)
    assert content(read(folder)) == known


def test_a_flag_of_clamping_counts_all_rows_of_its_bin(tmp_path):
    rng = np.random.default_rng(1)
    rows = bin_rows("m", "c", AS_OF_US, bins_of(*labels(rng, 600)))
    path = tmp_path / "_bins" / "x.parquet"
    write_bins(path, rows)
    table = pq.read_table(path)
    flags = pa.array([i < 2 for i in range(table.num_rows)])
    place = table.schema.get_field_index("clamped")
    pq.write_table(table.set_column(place, "clamped", flags), path)
    bins = read(tmp_path, [("m", "c")])
    assert bins.clamped.tolist()[:3] == [*bins.count[:2].tolist(), 0]


def test_a_folder_without_bins_is_none(tmp_path):
    assert opened(tmp_path) is None
    (tmp_path / "_bins").write_text("a file")
    assert opened(tmp_path) is None


def test_no_cut_and_no_flipped_bit_goes_unseen_or_ends_the_process(folder):
    path = folder / "_bins" / "2026-05.parquet"
    whole, known = path.read_bytes(), content(read(folder))
    for part in range(64):
        path.write_bytes(whole[: len(whole) * part // 64])
        with pytest.raises(BadBins):
            read(folder)
    rng = random.Random(2)
    seen = 0
    for _ in range(300):
        damaged = bytearray(whole)
        damaged[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        path.write_bytes(bytes(damaged))
        try:
            assert content(read(folder)) == known
        except BadBins:
            seen += 1
    assert seen > 50
