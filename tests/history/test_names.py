"""Hostile and outsized names (faults 16 and 17)."""

import pyarrow as pa
import pytest

from calhard.history import History
from calhard.plan import AuditPlan
from calhard.schema import WHOLE_MODEL
from tests.history.reading import read, rows, write
from tests.history.test_sources import csv, ipc

NFC, NFD = "caf\u00e9", "cafe\u0301"
NAMES = [
    *(
        "../../etc/passwd",
        "/absolute",
        "C:\\evil",
        ".",
        "..",
        "a/b",
        "-rf",
        "~",
        "%2e%2e",
        " ",
        "\t",
    ),
    *("nul\0within", "line\nend", "\x1b[31mred", "\u202egnp.exe", "a\u200bb", "\ufeffbom"),
    *("😀", "日本語", NFC, NFD, "a" * 300, "a" * 1_024, "é" * 512, WHOLE_MODEL, "null", "nan", "0"),
    *("<script>", "{{7*7}}", "=cmd()", '"}', "key=value", "\U0010ffff", "\ue000"),
]


@pytest.mark.parametrize("writer", [write, ipc], ids=["parquet", "ipc"])
def test_every_utf8_name_stays_itself(writer, tmp_path):
    found = read(writer(tmp_path / "h", rows(NAMES, classes=("x",), n=2)))
    assert {m for m, _ in found.groups} == set(NAMES)
    assert all(len(g.timestamp) == 2 for g in found.groups.values())
    assert not found.account.counts
    assert [p.name for p in tmp_path.iterdir()] == ["h"]


def test_names_of_classes_and_tags_stay_themselves_too(tmp_path):
    table = rows(("m",), classes=sorted(NAMES), n=1, tag=sorted(NAMES))
    found = read(write(tmp_path / "h.parquet", table))
    assert {c: g.tags["tag"] for (_, c), g in found.groups.items()} == {n: n for n in NAMES}


def test_csv_keeps_the_names_that_csv_can_hold(tmp_path):
    names = [n for n in NAMES if "\0" not in n and n not in {"null", "nan"}]
    found = read(csv(tmp_path / "h.csv", rows(names, classes=("x",), n=1)))
    assert {m for m, _ in found.groups} == set(names)


def test_composed_and_decomposed_twins_are_two_models(tmp_path):
    found = read(write(tmp_path / "h.parquet", rows((NFC, NFD), classes=("x",))))
    assert list(found.groups) == [(NFD, "x"), (NFC, "x")]


def raw_names(values):
    return pa.array(values, pa.binary()).view(pa.string())


BROKEN = [b"\xff", b"\xed\xa0\x80", b"ok\xc3", b"\xc0\xaf"]


@pytest.mark.parametrize("writer", [write, ipc], ids=["parquet", "ipc"])
@pytest.mark.parametrize("column", ["model_id", "class_id"])
def test_names_that_are_not_utf8_are_refused_row_by_row(column, writer, tmp_path):
    bad = {column: raw_names([*BROKEN, *[b"m"] * 4])}
    path = writer(tmp_path / "h", rows(("a",), ("x", "y"), **bad))
    found = read(path)
    assert found.counts() == {"id is not UTF-8": 4}
    assert found.account.rows == 4
    example = str(found.account.examples["rejected", "id is not UTF-8"])
    assert example.endswith(f", row 1: {column} = b'\\xff'")


def test_a_tag_that_is_not_utf8_is_no_tag_and_costs_no_row(tmp_path):
    tags = raw_names([b"ok", b"\xff", b"\xff", b"\xff"])
    found = read(write(tmp_path / "h.parquet", rows(("a",), ("x",), tag=tags)))
    assert found.groups["a", "x"].tags == {"tag": "ok"}
    assert found.account.rows == 4


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()], ids=str)
@pytest.mark.parametrize("writer", [write, ipc], ids=["parquet", "ipc"])
def test_ids_of_64_kb_are_refused_and_counted(writer, kind, tmp_path):
    names = pa.array([*(f"{i:07d}" * 9_363 for i in range(10)), *["m"] * 6]).cast(kind)
    assert len(names[0].as_py()) > 65_500
    found = read(writer(tmp_path / "h", rows(model_id=names)))
    assert found.counts()["id longer than 1,024 bytes"] == 10
    assert {m for m, _ in found.groups} == {"m"}
    assert len(str(found.account.examples["rejected", "id longer than 1,024 bytes"])) < 150


def test_file_names_of_every_kind_are_read_and_told(tmp_path):
    names = ["ü😀.parquet", "a b.parquet", "%41.parquet", "\u202etxt.parquet", "x\ny.parquet"]
    for number, name in enumerate(names):
        write(tmp_path / "h" / name, rows((f"m{number}",)))
    found = read(tmp_path / "h")
    assert found.account.rows == 8 * len(names)
    assert {f.name for f in found.history.files} == set(names)


def test_folders_do_not_lead_out_of_the_history(tmp_path):
    write(tmp_path / "h" / "model_id=..%2F..%2Fetc" / "a.parquet", rows().drop(["model_id"])[:4])
    write(tmp_path / "outside.parquet", rows())
    found = read(tmp_path / "h")
    assert list(found.groups) == [("../../etc", "x")]


def test_a_column_with_a_hostile_name_is_a_tag_like_any_other(tmp_path):
    names = ["a.b", "../x", "\x1b[2J", "", "tag:x", "model id"]
    found = read(write(tmp_path / "h.parquet", rows(**dict.fromkeys(names, ["v"] * 16))))
    assert found.history.tags == tuple(sorted(names))
    assert set(found.groups["a", "x"].tags.values()) == {"v"}


def test_a_mapped_column_may_have_a_dot_in_its_name(tmp_path):
    plan = AuditPlan.from_text('[calibration.hardening.columns]\nmodel_id = "model.id"')
    table = rows().rename_columns(["model.id", "class_id", "timestamp", "aece"])
    path = write(tmp_path / "h.parquet", table)
    assert read(path, plan).account.rows == 16
    assert all(s.ordered for s in History.open(path, plan).plan_shards())
