"""What an audit sees of a prepared history is what it sees of the history, whatever its layout."""

import struct
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calhard.errors import InputError
from calhard.history import History
from calhard.plan import AuditPlan
from calhard.prepare.columns import ORIGIN
from calhard.schema import CANONICAL
from tests.measure.logs import days_of, measure, predictions
from tests.measure.logs import write as logged
from tests.prepare.made import KEYS, lay_out, prepare, rows, seen, small, streams, table_of, write


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.booleans())
def test_any_order_files_and_types_are_seen_as_the_same_series(tmp_path_factory, seed, files, tiny):
    rng = np.random.default_rng(seed)
    home = tmp_path_factory.mktemp("h")
    history = lay_out(rng, rows(rng), home / "history", files)
    with pytest.MonkeyPatch.context() as patch:
        if tiny:
            small(patch, *(int(n) for n in rng.integers(4, 60, 5)))
        report = prepare(history, home / "out")
    assert seen(home / "out") == seen(history)
    assert streams(home / "out")
    assert report.rows == report.account.rows == table_of(home / "out").num_rows
    assert report.account.rejected > 0
    assert report.account.rows + report.account.rejected == 240


def bits(table):
    """Return rows as tuples in which floats are their bits."""
    columns = []
    for column in table.columns:
        cells = column.to_pylist()
        if pa.types.is_floating(column.type):
            cells = [None if c is None else struct.pack("d", c) for c in cells]
        columns.append(cells)
    return sorted(map(repr, zip(*columns, strict=True)))


def test_every_value_of_every_row_is_kept_bit_by_bit(tmp_path, monkeypatch):
    rng = np.random.default_rng(1)
    table = rows(rng, sound=True)
    noise = rng.integers(0, 2**63, table.num_rows).view(np.float64)
    table = table.append_column("noise", pa.array(noise))
    table = table.append_column("list", pa.array([[1, None], None] * (table.num_rows // 2)))
    table = table.append_column("raw", pa.array([b"\xff", None] * (table.num_rows // 2)))
    table = table.append_column("when", pa.array([7, None] * (table.num_rows // 2), pa.date32()))
    write(tmp_path / "h" / "a.parquet", table.slice(0, 100))
    write(tmp_path / "h" / "b.parquet", table.slice(100))
    small(monkeypatch)
    prepare(tmp_path / "h", tmp_path / "out")
    found = table_of(tmp_path / "out").drop_columns([ORIGIN])
    assert found.schema.remove_metadata() == table.schema
    assert bits(found) == bits(table)
    assert streams(tmp_path / "out")


def test_rows_of_one_key_stay_all_in_the_order_of_their_files(tmp_path):
    rng = np.random.default_rng(2)
    one = rows(rng, sound=True, size=10).slice(0, 1)
    for number in range(3):
        at = one.schema.get_field_index("build")
        write(tmp_path / "h" / f"{number}.parquet", one.set_column(at, "build", pa.array([number])))
    prepare(tmp_path / "h", tmp_path / "out")
    assert table_of(tmp_path / "out")["build"].to_pylist() == [0, 1, 2]
    assert seen(tmp_path / "out") == seen(tmp_path / "h")


def test_rows_without_a_place_are_told_by_file_row_and_reason(tmp_path):
    table = rows(np.random.default_rng(3), sound=True)
    model = table["model_id"].to_pylist()
    model[5], model[77] = None, ""
    table = table.set_column(0, "model_id", pa.array(model))
    write(tmp_path / "h" / "log.parquet", table)
    report = prepare(tmp_path / "h", tmp_path / "out")
    assert report.account.counts == {("rejected", "model_id is null or empty"): 2}
    (example,) = report.account.examples.values()
    assert str(example) == "log.parquet, row 6: model_id = null"
    assert report.account.rows == report.rows == table.num_rows - 2
    assert report.exit_code == 0
    assert report.coverage == pytest.approx(1 - 2 / table.num_rows)


def test_more_than_a_hundredth_without_a_place_ends_with_3(tmp_path):
    table = rows(np.random.default_rng(3), sound=True)
    nulls = pa.array([None] * 10 + table["class_id"].to_pylist()[10:])
    write(tmp_path / "h" / "log.parquet", table.set_column(1, "class_id", nulls))
    assert prepare(tmp_path / "h", tmp_path / "out").exit_code == 3


def test_a_damaged_file_is_left_out_and_told_and_the_others_are_prepared(tmp_path, monkeypatch):
    small(monkeypatch)
    table = rows(np.random.default_rng(4), sound=True)
    write(tmp_path / "h" / "good.parquet", table.slice(0, 100))
    write(tmp_path / "alone" / "good.parquet", table.slice(0, 100))
    bad = tmp_path / "h" / "bad.parquet"
    pq.write_table(table, bad, write_page_checksum=True, row_group_size=20, compression="none")
    raw = bytearray(bad.read_bytes())
    raw[raw.find(b"eu")] ^= 1
    bad.write_bytes(raw)
    (tmp_path / "h" / "torn.parquet").write_bytes(raw[:100])
    report = prepare(tmp_path / "h", tmp_path / "out")
    assert sorted(report.account.files) == ["bad.parquet", "torn.parquet"]
    assert report.exit_code == 3
    assert seen(tmp_path / "out") == seen(tmp_path / "alone")


def test_folders_that_are_columns_become_columns(tmp_path):
    table = rows(np.random.default_rng(5), sound=True)
    home = tmp_path / "h"
    for model in ("a", "b", "m-9"):
        part = table.filter(pc.equal(table["model_id"], model)).drop_columns(["model_id"])
        for region in ("eu", "x%2Fy", "__HIVE_DEFAULT_PARTITION__"):
            path = home / f"model_id={model}" / f"area={region}" / "rows.parquet"
            write(path, part.slice(len(region) % 3 * 5, 9))
    prepare(home, tmp_path / "out")
    assert seen(tmp_path / "out") == seen(home)
    assert set(table_of(tmp_path / "out")["area"].to_pylist()) == {"eu", "x/y", None}
    assert streams(tmp_path / "out")


NAMES = """
[calibration.hardening.columns]
model_id = "model"
class_id = "label"
timestamp = "at"
aece = "err"
ingested_at = "known"
[calibration.hardening.windows]
timezone = "Europe/Berlin"
"""


def test_own_names_a_zone_and_instants_of_arrival_are_kept_under_the_same_configuration(tmp_path):
    plan = AuditPlan.from_text(NAMES)
    table = rows(np.random.default_rng(6), sound=True)
    naive = table["timestamp"].cast(pa.timestamp("us"))
    table = table.set_column(2, "timestamp", naive).append_column("known", naive)
    names = ["model", "label", "at", "err", *table.schema.names[4:]]
    write(tmp_path / "h" / "a.parquet", table.rename_columns(names))
    prepare(tmp_path / "h", tmp_path / "out", plan=plan)
    found = table_of(tmp_path / "out")
    assert found.schema.names == [*names, ORIGIN]
    assert {str(found.schema.field(n).type) for n in ("at", "known")} == {"timestamp[us, tz=UTC]"}
    assert seen(tmp_path / "out", plan) == seen(tmp_path / "h", plan)


def test_a_prepared_folder_can_be_prepared_again(tmp_path, monkeypatch):
    small(monkeypatch)
    rng = np.random.default_rng(7)
    lay_out(rng, rows(rng), tmp_path / "h")
    prepare(tmp_path / "h", tmp_path / "once")
    prepare(tmp_path / "once", tmp_path / "twice")
    assert seen(tmp_path / "twice") == seen(tmp_path / "once")
    once, twice = (table_of(tmp_path / n).drop_columns([ORIGIN]) for n in ("once", "twice"))
    assert bits(once) == bits(twice)


def test_a_giant_has_its_files_for_itself_and_small_models_share(tmp_path, monkeypatch):
    small(monkeypatch, part=100, ranges=50, group=32)
    rng = np.random.default_rng(8)
    many = [f"m{i:03d}" for i in range(60)]
    table = pa.concat_tables(
        [
            rows(rng, ["giant"], size=600, sound=True),
            rows(rng, many, size=400, sound=True),
            rows(rng, ["zz"], size=20, sound=True),
        ]
    )
    lay_out(rng, table, tmp_path / "h", kinds=("parquet",))
    prepare(tmp_path / "h", tmp_path / "out")
    assert streams(tmp_path / "out")
    held = [
        set(pq.read_table(path)["model_id"].to_pylist())
        for path in sorted((tmp_path / "out").glob("*.parquet"))
    ]
    assert sum(held.count(models) for models in [{"giant"}]) >= 5
    assert all(models == {"giant"} for models in held if "giant" in models)
    assert max(map(len, held)) > 5
    small_ones = [models - {"giant"} for models in held]
    assert sum(map(len, small_ones)) == 61  # no other model is cut


def test_row_groups_begin_with_a_model_but_within_a_larger_one(tmp_path, monkeypatch):
    small(monkeypatch, part=10**6, ranges=10**6, group=40)
    rng = np.random.default_rng(9)
    table = rows(rng, [f"m{i:03d}" for i in range(40)], size=500, sound=True)
    lay_out(rng, table, tmp_path / "h")
    prepare(tmp_path / "h", tmp_path / "out")
    (path,) = (tmp_path / "out").glob("*.parquet")
    opened = pq.ParquetFile(path)
    groups = [
        opened.read_row_group(g, columns=["model_id"])["model_id"].to_pylist()
        for g in range(opened.num_row_groups)
    ]
    assert all(len(group) <= 40 for group in groups)
    whole = [a[-1] != b[0] for a, b in pairwise(groups)]
    assert sum(whole) >= len(whole) - 4  # the skewed first model spans some


def test_pages_have_checksums_and_only_text_has_dictionaries(tmp_path):
    write(tmp_path / "h" / "a.parquet", rows(np.random.default_rng(10), sound=True))
    prepare(tmp_path / "h", tmp_path / "out")
    (path,) = (tmp_path / "out").glob("*.parquet")
    group = pq.ParquetFile(path).metadata.row_group(0)
    chunks = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    assert {c.compression for c in chunks.values()} == {"LZ4"}
    dictionaries = {name for name, c in chunks.items() if c.has_dictionary_page}
    assert dictionaries == {"model_id", "class_id", "model_version", "region", ORIGIN}
    raw = bytearray(path.read_bytes())
    raw[chunks["aece"].data_page_offset + 200] ^= 4
    path.write_bytes(raw)
    with pytest.raises(OSError, match=r"(?i)crc|checksum"):
        pq.read_table(path, page_checksum_verification=True)


def test_a_model_named_with_odd_characters_keeps_its_place(tmp_path, monkeypatch):
    small(monkeypatch)
    rng = np.random.default_rng(11)
    names = ["a\0", "a", "a\0b", "../x", "\U0010ffff", "ab", "\r\n", "e\u0301", "é", "x" * 1024]
    lay_out(rng, rows(rng, names, sound=True, size=400), tmp_path / "h", kinds=("parquet", "arrow"))
    prepare(tmp_path / "h", tmp_path / "out")
    assert seen(tmp_path / "out") == seen(tmp_path / "h")
    assert streams(tmp_path / "out")
    assert all(set(p.name) <= set("part-0123456789.quet") for p in (tmp_path / "out").glob("p*"))


def test_workers_change_no_byte(tmp_path, monkeypatch):
    rng = np.random.default_rng(12)
    lay_out(rng, rows(rng, size=2_000), tmp_path / "h", files=9)
    for workers in (1, 2):
        prepare(tmp_path / "h", tmp_path / f"{workers}", workers=workers)
    found = [{p.name: p.read_bytes() for p in (tmp_path / f"{n}").glob("[!_]*")} for n in (1, 2)]
    assert found[0] == found[1] != {}


def test_columns_that_no_type_holds_both_are_refused_by_name(tmp_path):
    table = rows(np.random.default_rng(13), sound=True)
    write(tmp_path / "h" / "a.parquet", table)
    other = table.set_column(7, "region", pa.array(range(table.num_rows)))
    write(tmp_path / "h" / "b.parquet", other)
    with pytest.raises(InputError, match=r'"region" holds string in a.parquet and int64 in b.par'):
        prepare(tmp_path / "h", tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.parquet"))


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [
        (pa.int16(), pa.int64(), pa.int64()),
        (pa.int64(), pa.float32(), pa.float64()),
        (pa.null(), pa.bool_(), pa.bool_()),
        (pa.timestamp("s"), pa.timestamp("ns"), pa.timestamp("ns")),
        (pa.decimal128(9, 2), pa.int32(), pa.float64()),
        (pa.binary(), pa.large_binary(), pa.large_binary()),
        (pa.large_string(), pa.dictionary(pa.int8(), pa.string()), pa.string()),
    ],
)
def test_columns_of_other_types_are_joined_without_loss(tmp_path, first, second, both):
    table = rows(np.random.default_rng(14), sound=True, size=20)
    for name, kind in (("a", first), ("b", second)):
        more = table.append_column("extra", pa.nulls(table.num_rows, kind))
        write(tmp_path / "h" / f"{name}.parquet", more)
    prepare(tmp_path / "h", tmp_path / "out")
    assert table_of(tmp_path / "out").schema.field("extra").type == both
    assert seen(tmp_path / "out") == seen(tmp_path / "h")
    assert History.open(tmp_path / "out", AuditPlan()).metrics == ("aece", "dece")
    assert [n for n in KEYS if n not in table_of(tmp_path / "out").schema.names] == []


def bins_of(folder):
    return {p.name: p.read_bytes() for p in (folder / "_bins").iterdir()}


def test_the_bins_of_a_measured_history_go_with_it(tmp_path, monkeypatch):
    small(monkeypatch)
    log, history, out = (tmp_path / name for name in ("log", "h", "out"))
    days = days_of(predictions(days=10, rows=20))
    logged(log, **{f"d{i}": day for i, day in enumerate(days[:3])})
    measure(log, history)
    prepare(history, out)
    assert len(bins_of(out)) == 1
    assert bins_of(out) == bins_of(history)
    logged(log, **{f"d{i}": day for i, day in enumerate(days)})
    measure(log, history)
    prepare(history, out)
    assert len(bins_of(out)) == 2
    assert bins_of(out) == bins_of(history)
    assert seen(out) == seen(history)
    assert streams(out)
    assert prepare(history, out).idle


BERLIN = '[calibration.hardening.windows]\ntimezone = "Europe/Berlin"\n'


def test_hours_that_a_clock_skips_or_repeats_are_left_out_as_an_audit_would(tmp_path):
    plan = AuditPlan.from_text(BERLIN)
    table = rows(np.random.default_rng(15), sound=True, size=20).slice(0, 6)
    moments = ["2025-10-26T02:30", "2026-03-29T02:30", "2025-10-26T01:59", "2025-10-26T03:00"]
    naive = pa.array(np.array([*moments, "2026-03-29T03:00", None], "M8[us]"))
    late = pa.array(np.array([None, None, "2025-10-26T02:30", None, None, None], "M8[us]"))
    at = table.schema.get_field_index("timestamp")
    table = table.set_column(at, "timestamp", naive).append_column("ingested_at", late)
    write(tmp_path / "h" / "a.parquet", table)
    report = prepare(tmp_path / "h", tmp_path / "out", plan=plan)
    assert {reason: n for (_, reason), n in report.account.counts.items()} == {
        "timestamp in an hour that the clock repeats": 1,
        "timestamp in an hour that its zone skips": 1,
        "timestamp is null": 1,
    }
    assert seen(tmp_path / "out", plan) == seen(tmp_path / "h", plan)
    known = table_of(tmp_path / "out")["ingested_at"].drop_null().cast(pa.string()).to_pylist()
    assert known == ["2025-10-26 01:30:00.000000Z"]  # the second of the two half past two


def test_text_that_is_no_utf8_stays_as_it_is(tmp_path):
    table = rows(np.random.default_rng(16), sound=True, size=20)
    raw = pa.array([b"\xff\xfe", b"eu", None, b"u"] * 5 + [b"x"] * 4, pa.binary())
    at = table.schema.get_field_index("region")
    write(tmp_path / "h" / "a.parquet", table.set_column(at, "region", raw.view(pa.string())))
    prepare(tmp_path / "h", tmp_path / "out")
    assert seen(tmp_path / "out") == seen(tmp_path / "h")
    kept = table_of(tmp_path / "out")["region"].combine_chunks().cast(pa.binary()).to_pylist()
    assert sorted(filter(None, kept)) == sorted(filter(None, raw.to_pylist()))


def test_a_uri_is_read_as_its_folder_is(tmp_path):
    rng = np.random.default_rng(17)
    lay_out(rng, rows(rng), tmp_path / "h")
    prepare((tmp_path / "h").as_uri(), tmp_path / "out")
    assert seen(tmp_path / "out") == seen(tmp_path / "h")
    assert prepare(tmp_path / "h", tmp_path / "out").idle


OWN = '[calibration.hardening.columns]\nmodel_id = "model"\naece = "err"\n'


@pytest.mark.parametrize("first", ["own", "measured"])
def test_measured_rows_and_rows_under_own_names_come_together(tmp_path, first):
    plan = AuditPlan.from_text(OWN)
    table = rows(np.random.default_rng(18), sound=True)
    parts = {
        "own": table.rename_columns(
            ["model", "class_id", "timestamp", "err", *table.schema.names[4:]]
        ),
        "measured": table.slice(0, 60).replace_schema_metadata(CANONICAL),
    }
    second = next(name for name in parts if name != first)
    for name in (first, second):
        write(tmp_path / "h" / f"{name}.parquet", parts[name])
        prepare(tmp_path / "h", tmp_path / "out", plan=plan)
        assert seen(tmp_path / "out", plan) == seen(tmp_path / "h", plan)
    assert table_of(tmp_path / "out").num_rows == table.num_rows + 60


def test_two_columns_that_would_get_one_name_are_refused(tmp_path):
    plan = AuditPlan.from_text(OWN)
    table = rows(np.random.default_rng(19), sound=True)
    names = ["model", "class_id", "timestamp", "err", *table.schema.names[4:]]
    write(tmp_path / "h" / "own.parquet", table.rename_columns(names))
    measured = table.append_column("model", pa.array(["x"] * table.num_rows))
    path = tmp_path / "h" / "measured.parquet"
    write(path, measured.replace_schema_metadata(CANONICAL))
    with pytest.raises(InputError, match=r'measured.parquet: columns "model_id" and "model" would'):
        prepare(tmp_path / "h", tmp_path / "out", plan=plan)
