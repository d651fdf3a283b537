"""The folder ``series/`` of a published night: its parts on disk, and how they are read."""

import errno
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from calhard.errors import InputError, PublishError
from calhard.schema import series_schema
from calhard.store import NightReader, NightWriter, open_night, prune, published
from calhard.store.layout import Layout
from tests.faults.breaking import counted, failing, killed_at, tree
from tests.store.nights import NIGHT, files

SCHEMA = series_schema(["aece", "alpha"])
GROUPS, SLOTS, PART, ROWS = 25, 20, 128, 32
HOSTILE = ["../../etc/passwd", "a' OR '1'='1", "/abs", "nul\0", "ünï", "null", "x" * 300]


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr("calhard.store.parts.PART_ROWS", PART)
    monkeypatch.setattr("calhard.store.tables.ROW_GROUP", ROWS)
    monkeypatch.setattr("os.fsync", lambda handle: None)


def values(names=None, slots=SLOTS):
    """Rows of one class for each model, sorted."""
    names = sorted(names or (f"m{i:02d}" for i in range(GROUPS)))
    rng, size = np.random.default_rng(4), len(names) * slots
    stamps = np.tile(np.arange(slots) * 3_600_000_000, len(names))
    columns = {
        "model_id": pa.array(np.repeat(names, slots).tolist(), pa.string()),
        "class_id": pa.array(["c"] * size, pa.string()),
        "timestamp": pa.array(stamps).cast(SCHEMA.field("timestamp").type),
        "aece": pa.array(rng.normal(size=size), mask=rng.random(size) < 0.1),
        "alpha": pa.array(np.where(rng.random(size) < 0.1, np.nan, rng.normal(size=size))),
        "total_samples": pa.nulls(size, pa.float64()),
        "model_version": pa.array(["7"] * size, pa.string()),
    }
    return pa.table(columns, schema=SCHEMA)


def write(out, table=None, *, batches=(1_000,), force=False, night=NIGHT):
    """Publish a night of a series and a summary; the series arrives in batches of these sizes."""
    table = values() if table is None else table
    with NightWriter(out, night, force=force) as writer:
        with writer.parts("series", SCHEMA) as sink:
            place = turn = 0
            while place < table.num_rows:
                size = batches[turn % len(batches)]
                sink.write(table.slice(place, size))
                place, turn = place + size, turn + 1
        writer.write_json("summary.json", {"exit_code": 0})
        return writer.publish({"fleet": "test"})


def same(a, b):
    """Equal with NaN equal to NaN and to nothing else."""
    rows = [sorted((k, str(v)) for k, v in row.items()) for t in (a, b) for row in t.to_pylist()]
    return a.schema.equals(b.schema) and rows[: a.num_rows] == rows[a.num_rows :]


def of(table, model):
    return table.filter(pa.array([m == model for m in table["model_id"].to_pylist()]))


@pytest.mark.parametrize("batches", [(1,), (PART,), (7, 33, 500), (31, 1, PART + 1)], ids=str)
def test_parts_have_the_same_bytes_whatever_the_batches(batches, tmp_path):
    whole = files(write(tmp_path / "whole"))
    assert files(write(tmp_path / "batches", batches=batches)) == whole


def test_every_part_but_the_last_has_as_many_rows_and_all_are_in_the_manifest(tmp_path):
    night = write(tmp_path)
    told = {e["name"]: e for e in night.manifest["files"] if e["name"].startswith("series/")}
    assert list(told) == [f"series/part-0000{i}.parquet" for i in range(4)]
    assert [entry["rows"] for entry in told.values()] == [128, 128, 128, 116]
    for name, entry in told.items():
        content = (night.path / name).read_bytes()
        assert (len(content), len(entry["sha256"])) == (entry["bytes"], 64)
        metadata = pq.read_metadata(night.path / name)
        assert metadata.num_rows == entry["rows"]
        assert metadata.row_group(0).num_rows == ROWS
    assert night.verify() == []


def test_a_part_that_is_just_full_is_followed_by_no_empty_one(tmp_path):
    night = write(tmp_path, values().slice(0, 2 * PART))
    assert [p.name for p in sorted((night.path / "series").iterdir())] == [
        "part-00000.parquet",
        "part-00001.parquet",
    ]


def test_the_parts_together_are_what_was_written_and_keep_nan_apart_from_null(tmp_path):
    night, table = write(tmp_path), values()
    found = pa.concat_tables(pq.read_table(p) for p in sorted((night.path / "series").iterdir()))
    assert same(found, table)
    assert found["aece"].null_count > 0
    assert found["alpha"].null_count == 0
    assert np.isnan(found["alpha"].to_numpy()).any()


@pytest.mark.parametrize("model", ["m00", "m06", "m12", "m24"])
def test_a_series_is_read_whole_even_over_the_ends_of_parts(model, tmp_path):
    night = write(tmp_path)
    found = night.series(model, "c")
    assert found.num_rows == SLOTS
    assert same(found, of(values(), model))
    assert same(night.series(model), found)


def test_what_was_not_kept_is_an_empty_table_of_the_same_columns(tmp_path):
    night = write(tmp_path)
    for found in (night.series("m99"), night.series("m00", "other"), night.series("\udc80", "c")):
        assert found.num_rows == 0
        assert found.schema.equals(SCHEMA)


def test_a_night_of_which_no_series_is_kept_has_a_part_without_rows(tmp_path):
    night = write(tmp_path, SCHEMA.empty_table())
    assert [e["rows"] for e in night.manifest["files"] if "series/" in e["name"]] == [0]
    assert night.series("m00").schema.equals(SCHEMA)


def test_names_are_values_and_never_paths_or_expressions(tmp_path):
    table = values(HOSTILE)
    night = write(tmp_path / "model_id=oops" / "class_id=too", table)
    for name in HOSTILE:
        assert same(night.series(name, "c"), of(table, name))
    assert {p.split("/")[-1] for p in tree(night.path)} == {
        *(f"part-0000{i}.parquet" for i in range(2)),
        "summary.json",
        "manifest.json",
    }


def damage(file, group):
    """Change a byte in the values of a row group."""
    chunk = pq.read_metadata(file).row_group(group).column(3)
    content = bytearray(file.read_bytes())
    content[chunk.data_page_offset + chunk.total_compressed_size - 3] ^= 0xFF
    file.write_bytes(content)


def test_only_the_row_groups_that_hold_a_series_are_read_and_their_checksums_verified(tmp_path):
    night = write(tmp_path)
    damage(night.path / "series" / "part-00001.parquet", 3)
    assert same(night.series("m00"), of(values(), "m00"))
    with pytest.raises(InputError, match=r"series: cannot be read .*--force"):
        night.series(values()["model_id"][2 * PART - 1].as_py())
    assert night.verify() == ["series/part-00001.parquet has changed since it was published"]


def test_a_missing_or_cut_part_is_told_by_name(tmp_path):
    night = write(tmp_path)
    last = night.path / "series" / "part-00003.parquet"
    last.write_bytes(last.read_bytes()[:-10])
    with pytest.raises(InputError, match=r"series/part-00003\.parquet has changed"):
        night.series("m00")
    last.unlink()
    with pytest.raises(InputError, match=r"series/part-00003\.parquet is missing"):
        night.series("m00")
    assert night.verify() == ["series/part-00003.parquet is missing"]


def test_a_strange_file_in_the_folder_is_told_and_never_read(tmp_path):
    night = write(tmp_path)
    (night.path / "series" / "part-00004.parquet").write_bytes(b"not Parquet")
    assert night.verify() == ["series/part-00004.parquet is not in the manifest"]
    assert night.series("m00").num_rows == SLOTS


def test_a_night_without_the_folder_says_so(tmp_path):
    with NightWriter(tmp_path, NIGHT) as writer:
        writer.write_json("summary.json", {})
        night = writer.publish({})
    with pytest.raises(InputError, match="holds no series/"):
        night.series("m00")


def test_an_error_amid_the_writing_publishes_nothing(tmp_path):
    def work():
        with NightWriter(tmp_path, NIGHT) as writer, writer.parts("series", SCHEMA) as sink:
            sink.write(values())
            raise RuntimeError("a worker died")

    with pytest.raises(RuntimeError, match="a worker died"):
        work()
    assert published(tmp_path, NIGHT) is None
    assert not any("part-" in name for name in tree(tmp_path))


@pytest.mark.parametrize("sticky", [False, True], ids=["once", "sticky"])
def test_any_step_may_fail_and_no_part_is_published_alone(sticky, tmp_path):
    table = values().slice(0, PART + 10)
    whole = files(write(tmp_path / "whole", table))
    steps = counted(tmp_path / "again", lambda: write(tmp_path / "again", table))
    told = 0
    for step in range(len(steps)):
        out = tmp_path / f"{step}"
        try:
            with failing(errno.ENOSPC, step, out, sticky=sticky):
                write(out, table)
        except PublishError as e:
            told += "free some space" in str(e)
        found = published(out, NIGHT)
        assert found is None or files(found) == whole
        assert found is None or found.verify() == []
    assert told > len(steps) / 2


def test_killed_at_any_step_no_night_or_all_of_its_parts_are_there(tmp_path):
    table = values().slice(0, PART + 10)
    whole = files(write(tmp_path / "whole", table))
    steps = counted(tmp_path / "again", lambda: write(tmp_path / "again", table))
    assert steps.count("fsync") > 4
    for step in range(len(steps)):
        out = tmp_path / f"{step}"
        killed_at(step, out, lambda out=out: write(out, table), after=False)
        found = published(out, NIGHT)
        assert found is None or files(found) == whole
        if found is None:
            assert files(write(out, table)) == whole


def test_the_parts_and_their_folder_are_brought_to_the_disk_before_the_night_is_published(
    tmp_path, monkeypatch
):
    order = []
    monkeypatch.setattr("calhard.store.disk.sync", order.append)
    rename = "calhard.store.disk.os.rename"
    monkeypatch.setattr(rename, lambda a, b: order.append("rename") or a.replace(b))
    write(tmp_path)
    series = Layout(tmp_path, NIGHT).staging / "series"
    last = {path: place for place, path in enumerate(order[: order.index("rename")])}
    parts = [last[series / f"part-0000{i}.parquet"] for i in range(4)]
    assert max(parts) < last[series] < last[series.parent]


def test_a_superseded_revision_keeps_its_series_and_pruning_drops_them_with_the_night(tmp_path):
    first = files(write(tmp_path))
    write(tmp_path, values(slots=SLOTS - 1), force=True)
    kept = NightReader(Layout(tmp_path, NIGHT).revision(1))
    assert files(kept) == first
    assert kept.verify() == []
    assert kept.series("m03").num_rows == SLOTS
    assert open_night(tmp_path).series("m03").num_rows == SLOTS - 1
    write(tmp_path, night="2026-07-31")
    assert prune(tmp_path, timedelta(days=7)) == [NIGHT]
    assert all("night=2026-07-31" in name for name in tree(tmp_path) if "part-" in name)
