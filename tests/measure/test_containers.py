"""Where predictions may lie and how they may be laid out: the same rows."""

import numpy as np
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest

from calhard.errors import InputError
from calhard.history.ids import Keys
from calhard.measure.predictions import Predictions
from calhard.plan import AuditPlan
from tests.blocks import AS_OF
from tests.history.reading import write
from tests.history.test_sources import csv, ipc
from tests.measure.reading import log, read, read_file


@pytest.fixture
def table():
    return log(
        12,
        model_id=["a", "b", "b"] * 4,
        class_id=["x", "y"] * 6,
        score=pa.array([0.5, None, 1.5, 0.25] * 3),
        label=pa.array([True, False, True, None] * 3),
        weight=[1.0, 2.0, 0.0] * 4,
        mask=pa.array([True, None, True, False] * 3),
        example_id=[f"e{i}" for i in range(12)],
        region=["n", None, "s"] * 4,
    )


@pytest.fixture
def expected(table, tmp_path):
    found = read(write(tmp_path / "expected" / "p.parquet", table))
    assert len(found) == 12
    return found.told()


@pytest.mark.parametrize(
    ("name", "writer"),
    [
        *((name, write) for name in ("p.parquet", "p.pq", "p")),
        *((name, ipc) for name in ("p.arrow", "p.feather", "p")),
        *((name, csv) for name in ("p.csv", "p")),
    ],
)
def test_every_container_gives_the_same_rows(name, writer, table, expected, tmp_path):
    assert read(writer(tmp_path / name, table)).told() == expected


def test_a_folder_of_mixed_containers_is_one_log(table, expected, tmp_path):
    home = tmp_path / "p"
    write(home / "a" / "deep.parquet", table[:5])
    ipc(home / "b.arrow", table[5:9])
    csv(home / "c.csv", table[9:])
    (home / "_SUCCESS").touch()
    assert read(home).told() == expected


def test_a_uri_and_a_filesystem_of_ones_own_are_read(table, expected, tmp_path):
    path = write(tmp_path / "p.parquet", table)
    assert read(path.as_uri()).told() == expected
    within = pafs.SubTreeFileSystem(str(tmp_path), pafs.LocalFileSystem())
    assert read("p.parquet", filesystem=within).told() == expected


def test_nothing_there_is_told(tmp_path):
    with pytest.raises(InputError, match="no such file or folder"):
        Predictions.open(tmp_path / "nowhere", AuditPlan())
    with pytest.raises(InputError, match="no Parquet, Arrow IPC or CSV file there"):
        Predictions.open(tmp_path, AuditPlan())


def test_a_file_without_rows_gives_none(table, tmp_path):
    for writer, name in ((write, "p.parquet"), (ipc, "p.arrow"), (csv, "p.csv")):
        found = read(writer(tmp_path / name, table[:0]))
        assert len(found) == 0
        assert not found.account.files
        assert not found.account.counts


@pytest.mark.parametrize("size", [1, 3, 5, 12])
def test_row_groups_are_read_apart_with_the_places_of_their_rows(size, table, expected, tmp_path):
    bad = table.set_column(
        table.schema.get_field_index("class_id"), "class_id", pa.array(["x", "y"] * 5 + ["", "y"])
    )
    path = write(tmp_path / "p.parquet", bad, row_group_size=size)
    reading = Predictions.open(path, AuditPlan()).reading(AS_OF)
    groups = range(pq.read_metadata(path).num_row_groups)
    whole, told = read_file(reading, 0, Keys())
    one_by_one = [read_file(reading, 0, Keys(), (g,)) for g in groups]
    stamps = [t for rows, _ in one_by_one for r in rows for t in r.timestamp.tolist()]
    assert stamps == [t for rows in whole for t in rows.timestamp.tolist()]
    assert len(stamps) == 11
    assert sum(account.rows for _, account in one_by_one) == told.rows == 11
    examples = [
        str(e)
        for _, account in one_by_one
        for (_, r), e in account.examples.items()
        if r == "class_id is null or empty"
    ]
    assert examples == ["p.parquet, row 11: class_id = ''"]


def test_row_groups_may_be_asked_for_in_any_order_and_with_gaps(table, tmp_path):
    path = write(tmp_path / "p.parquet", table, row_group_size=2)
    reading = Predictions.open(path, AuditPlan()).reading(AS_OF)
    stamps = np.array(table["timestamp"].cast(pa.int64()))[[0, 1, 2, 3, 8, 9]]
    found, told = read_file(reading, 0, Keys(), (4, 0, 1))
    assert np.concatenate([r.timestamp for r in found]).tolist() == stamps.tolist()
    assert told.rows == 6
    assert read_file(reading, 0, Keys(), ())[0] == []


CSV = "model_id,class_id,timestamp,score,label,mask\n"


def csv_of(tmp_path, *rows):
    path = tmp_path / "p.csv"
    path.write_text(CSV + "".join(f"m,c,2026-05-31T00:00:00Z,{row}\n" for row in rows))
    return read(path)


def test_flags_of_csv_may_be_words_or_numbers_and_are_empty_where_words_say_so(tmp_path):
    labels = ["1", "0", "true", "FALSE", "True", "0.25", "1e0", "", "NA", "null", "-", " 1", "NaN"]
    found = csv_of(tmp_path, *(f"0.5,{label}," for label in labels))
    used = found.rows.label.tolist()[:7]
    assert used == [1.0, 0.0, 1.0, 0.0, 1.0, 0.25, 1.0]
    assert found.states == ["used"] * 7 + ["unlabelled"] * 4 + ["used", "bad label"]
    masks = csv_of(tmp_path, "0.5,1,true", "0.5,1,0", "0.5,1,", "0.5,1,1", "0.5,,False")
    assert masks.states == ["used", "mismatch", "used", "used", "masked"]


@pytest.mark.parametrize("word", ["yes", "maybe", "1_0", "0x1", "tru"])
def test_a_cell_that_is_no_flag_refuses_the_file_with_its_place(word, tmp_path):
    (tmp_path / "h").mkdir()
    write(tmp_path / "h" / "good.parquet", log())
    rows = "".join(f"m,c,2026-05-31T00:00:00Z,0.5,{label},\n" for label in ("1", "0", word))
    (tmp_path / "h" / "p.csv").write_text(CSV + rows)
    found = read(tmp_path / "h")
    told = f"row 3: column \"label\" holds '{word}', which is no boolean and no number"
    assert found.account.files["p.csv"] == (told, "mend the cell or leave it empty")
    assert len(found) == 4


def test_a_late_cell_is_told_with_its_row_in_the_file(tmp_path):
    rows = ["m,c,1700000000,0.5,1,\n"] * 300_000
    rows[290_000] = "m,c,1700000000,0.5,perhaps,\n"
    (tmp_path / "h").mkdir()
    write(tmp_path / "h" / "good.parquet", log())
    (tmp_path / "h" / "p.csv").write_text(CSV + "".join(rows))
    reason, _ = read(tmp_path / "h").account.files["p.csv"]
    assert reason.startswith("row 290001: column \"label\" holds 'perhaps'")


def test_labels_that_come_late_in_a_csv_are_read_as_what_they_are(tmp_path):
    # The first megabyte tells pyarrow nothing of the type, or something else.
    for first, last in (("", "true"), ("1", "0.5"), ("true", "0.5"), ("0", "false")):
        rows = [f"m,c,1700000000,0.5,{first},\n"] * 60_000 + [f"m,c,1700000000,0.5,{last},\n"]
        (tmp_path / "p.csv").write_text(CSV + "".join(rows))
        found = read(tmp_path / "p.csv")
        assert found.states[-1] == "used"
        assert found.rows.label[-1] == {"true": 1.0, "0.5": 0.5, "false": 0.0}[last]
        assert found.states[0] == ("used" if first else "unlabelled")


def test_ids_of_csv_keep_their_zeros(tmp_path):
    (tmp_path / "p.csv").write_text(
        "model_id,class_id,timestamp,score,label,example_id,weight\n"
        "007,01,1700000000,1,1,0012,2\n007,01,1700000000,1,1,12,\n"
    )
    found = read(tmp_path / "p.csv")
    assert found.pairs == [("007", "01")] * 2
    assert found.rows.example[0] != found.rows.example[1]
    assert found.rows.weight.tolist() == [2.0, 1.0]
