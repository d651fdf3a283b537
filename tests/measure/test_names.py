"""Hostile and outsized names in predictions (faults 16 to 18)."""

import pyarrow as pa
import pytest

from tests.history.reading import write
from tests.history.test_names import BROKEN, NAMES, NFC, NFD, raw_names
from tests.history.test_sources import csv, ipc
from tests.measure.reading import log, read

SOUND = [n for n in NAMES if n != "__all__"]
HOSTILE = [
    *("<script>alert(1)</script>", "{{7*7}}", "\r\nBcc: a@b", "<!channel>", "=cmd()", '"} 1'),
    *("\x1b[31m", "\u202egnp.exe"),
]
WRITERS = [pytest.param(write, id="parquet"), pytest.param(ipc, id="ipc")]


@pytest.mark.parametrize("writer", WRITERS)
def test_every_utf8_name_stays_itself(writer, tmp_path):
    names = [*SOUND, *HOSTILE]
    table = log(len(names), model_id=names, class_id=names[::-1], tag=names)
    found = read(writer(tmp_path / "p", table))
    assert found.pairs == list(zip(names, names[::-1], strict=True))
    assert found.tag("tag") == names
    assert not found.account.counts
    assert [p.name for p in tmp_path.iterdir()] == ["p"]


def test_csv_keeps_the_names_that_csv_can_hold(tmp_path):
    names = [n for n in SOUND if "\0" not in n and n not in {"null", "nan"}]
    found = read(csv(tmp_path / "p.csv", log(len(names), model_id=names, example_id=names)))
    assert [m for m, _ in found.pairs] == names
    again = read(write(tmp_path / "p.parquet", log(len(names), example_id=names)))
    assert found.rows.example.tolist() == again.rows.example.tolist()


def test_composed_and_decomposed_twins_are_two_models_two_classes_and_two_examples(tmp_path):
    twins = [NFC, NFD]
    found = read(write(tmp_path / "p", log(2, model_id=twins, class_id=twins, example_id=twins)))
    assert found.pairs == [(NFC, NFC), (NFD, NFD)]
    assert found.rows.example[0] != found.rows.example[1]


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("column", ["model_id", "class_id"])
def test_ids_that_are_no_names_are_refused_row_by_row(column, writer, tmp_path):
    values = [*BROKEN, b"", b"x" * 1_025, b"y" * 65_536, b"m", b"x" * 1_024, None]
    table = log(10, **{column: raw_names(values)})
    found = read(writer(tmp_path / "p", table))
    assert found.counts() == {
        "id is not UTF-8": 4,
        "id longer than 1,024 bytes": 2,
        f"{column} is null or empty": 2,
    }
    assert len(found) == 2
    assert found.example("id is not UTF-8") == f"p, row 1: {column} = b'\\xff'"
    assert found.example(f"{column} is null or empty") == f"p, row 5: {column} = ''"
    assert len(found.example("id longer than 1,024 bytes")) < 150


@pytest.mark.parametrize("writer", WRITERS)
def test_tags_and_examples_of_every_kind_cost_no_row(writer, tmp_path):
    values = [b"\xff", b"x" * 65_536, b"", b"ok"]
    table = log(tag=raw_names(values), example_id=raw_names(values))
    found = read(writer(tmp_path / "p", table))
    assert found.tag("tag") == [None, None, None, "ok"]
    assert found.states == ["used"] * 4
    assert (found.rows.example >= 0).tolist() == [True, True, False, True]


def test_file_names_and_folders_of_every_kind_are_read_and_told(tmp_path):
    names = ["ü😀.parquet", "a b.parquet", "\u202etxt.parquet", "x\ny.parquet", "<b>.parquet"]
    for name in names:
        write(tmp_path / "p" / name, log(1))
    write(tmp_path / "p" / "model_id=..%2F..%2Fetc" / "a.parquet", log(1).drop(["model_id"]))
    found = read(tmp_path / "p")
    assert {f.name for f in found.predictions.files} >= set(names)
    assert sorted({m for m, _ in found.pairs}) == ["../../etc", "m"]


def test_a_folder_whose_name_is_no_id_refuses_its_rows(tmp_path):
    write(tmp_path / "p" / "good.parquet", log(1))
    home = tmp_path / "p" / "model_id=__HIVE_DEFAULT_PARTITION__"
    write(home / "a.parquet", log(3).drop(["model_id"]))
    found = read(tmp_path / "p")
    assert found.counts() == {"model_id is null or empty": 3}
    assert len(found) == 1


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_told_of_a_hostile_cell_is_inert_in_a_terminal(name, tmp_path):
    table = log(2, model_id=[name, name], class_id=["__all__", None])
    write(tmp_path / "p" / f"{len(name)}.parquet", table.append_column(name, pa.array(["t"] * 2)))
    write(tmp_path / "p" / "good.parquet", log())
    found = read(tmp_path / "p")
    told = "\n".join(found.account.told())
    assert found.account.rejected == 2
    assert not {"\x1b", "\r", "\u202e"} & set(told)
    assert "__all__" in told


def test_a_column_with_a_hostile_name_is_a_tag_like_any_other(tmp_path):
    names = ["a.b", "../x", "\x1b[2J", "", "tag:x", "<script>"]
    found = read(write(tmp_path / "p.parquet", log(**dict.fromkeys(names, ["v"] * 4))))
    assert found.predictions.tags == tuple(sorted(names))
    assert [found.tag(n) for n in names] == [["v"] * 4] * len(names)
