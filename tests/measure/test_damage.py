"""Predictions that are cut, flipped or something else: refused as a whole, the others read."""

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from calhard.errors import InputError
from calhard.history import BadFile, RowAccount
from calhard.history.ids import Keys
from calhard.measure.predictions import Predictions, read_rows
from calhard.plan import AuditPlan
from tests.blocks import AS_OF
from tests.history.reading import write
from tests.history.test_damage import flips, footer_of
from tests.history.test_sources import csv, ipc
from tests.measure.reading import log, read, read_file

WRITERS = {"p.parquet": write, "p.arrow": ipc, "p.csv": csv}
GOOD = 4


def table(n=80):
    rng = np.random.default_rng(0)
    return log(
        n,
        model_id=pa.array(["a", "b"] * (n // 2)),
        score=rng.random(n),
        label=pa.array(rng.random(n) < 0.5, mask=rng.random(n) < 0.1),
        weight=pa.array(rng.random(n), pa.float32()),
        mask=pa.array([True, None] * (n // 2)),
        example_id=[f"example {i}" for i in range(n)],
        region=pa.array(["n", None] * (n // 2)),
    )


def content_of(name, home, **options):
    return WRITERS[name](home / name, table(), **options).read_bytes()


def beside_good(home, name, content):
    """Read a log of one good file and one of the given bytes."""
    home.mkdir(exist_ok=True)
    write(home / "good.parquet", log(GOOD, model_id=["other"] * GOOD))
    (home / name).write_bytes(content)
    found = read(home)
    assert found.pairs.count(("other", "c")) == GOOD
    return found


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"\0", b"PAR1", b"ARROW1", b"PAR1\0\0\0\0PAR1", bytes(range(256)) * 40),
        *(b"\xff" * 999, b"<html>sign in</html>\n", b"PK\x03\x04" + bytes(99)),
    ],
    ids=["empty", "nul", "PAR1", "ARROW1", "hollow", "ramp", "ones", "html", "zip"],
)
def test_what_is_no_such_file_is_refused_by_name_and_the_rest_read(name, content, tmp_path):
    found = beside_good(tmp_path / "p", name, content)
    reason, remedy = found.account.files[name]
    assert reason
    assert remedy
    assert "\n" not in reason
    assert len(found) == GOOD


@pytest.mark.parametrize("name", ["p.parquet", "p.arrow"])
def test_a_file_cut_anywhere_is_refused_as_a_whole(name, tmp_path):
    content = content_of(name, tmp_path)
    for part in range(64):
        found = beside_good(tmp_path / "p", name, content[: len(content) * part // 64])
        assert list(found.account.files) == [name], part
        assert found.account.files[name][1], part
        assert len(found) == found.account.rows == GOOD


def test_a_csv_cut_anywhere_gives_no_row_but_its_own(tmp_path):
    # The end of a line or of its last cell is no proof of a cut: a limit of CSV, not of the reader.
    content = content_of("p.csv", tmp_path)
    whole = read(tmp_path / "p.csv")
    refused = 0
    for part in range(64):
        cut = content[: len(content) * part // 64]
        found = beside_good(tmp_path / "p", "p.csv", cut)
        refused += bool(found.account.files)
        complete = max(cut.count(b"\n") - 1, 0)
        kept = len(found) - GOOD
        assert kept in {0, complete, complete + 1}
        sound = max(kept - 1, 0)
        assert found.rows.score[GOOD:][:sound].tolist() == whole.rows.score[:sound].tolist()
    assert refused > 30


@pytest.mark.parametrize("row_group_size", [17, 1_000])
def test_a_flipped_bit_in_a_page_is_refused_or_changes_nothing(row_group_size, tmp_path):
    content = content_of("p.parquet", tmp_path, row_group_size=row_group_size)
    expected = beside_good(tmp_path / "p", "p.parquet", content).told()
    assert len(expected) == GOOD + 80
    refused = 0
    for bit, changed in flips(content, 120, row_group_size, end=footer_of(content)):
        found = beside_good(tmp_path / "p", "p.parquet", changed)
        if found.account.files:
            refused += 1
            assert list(found.account.files) == ["p.parquet"], bit
            assert len(found) == GOOD
        else:
            assert found.told() == expected, bit
    assert refused > 80


def test_a_flipped_bit_in_a_footer_loses_no_row_without_saying_so(tmp_path):
    # No checksum guards a footer: a column's name may change, but never how many rows there are.
    content = content_of("p.parquet", tmp_path, row_group_size=30)
    refused = 0
    for bit, changed in flips(content, 200, 5, begin=footer_of(content)):
        found = beside_good(tmp_path / "p", "p.parquet", changed)
        refused += bool(found.account.files)
        counted = found.account.rows + found.account.rejected
        assert counted == GOOD + (0 if found.account.files else 80), bit
    assert refused > 60


@pytest.mark.parametrize("name", ["p.arrow", "p.csv"])
def test_a_flipped_bit_elsewhere_never_ends_the_process(name, tmp_path):
    content = content_of(name, tmp_path, **({"batch": 40} if name == "p.arrow" else {}))
    told = set()
    for _, changed in flips(content, 100, 8):
        told.add(bool(beside_good(tmp_path / "p", name, changed).account.files))
    assert told == {True, False}


def test_of_a_file_that_breaks_half_way_nothing_stays_and_its_good_row_groups_tell(tmp_path):
    content = bytearray(content_of("p.parquet", tmp_path, row_group_size=20, compression="none"))
    chunk = pq.read_metadata(tmp_path / "p.parquet").row_group(2).column(3)
    end = chunk.data_page_offset + chunk.total_compressed_size
    content[end - 64 : end] = bytes(64)
    found = beside_good(tmp_path / "p", "p.parquet", bytes(content))
    assert list(found.account.files) == ["p.parquet"]
    assert len(found) == found.account.rows == GOOD

    reading = Predictions.open(tmp_path / "p" / "p.parquet", AuditPlan()).reading(AS_OF)
    account = RowAccount()
    with pytest.raises(BadFile) as told:
        list(read_rows(reading, 0, Keys(), account))
    assert told.value.path == reading.files[0].path
    assert account == RowAccount()
    for group, rows in ((0, 20), (1, 20), (2, 0), (3, 20)):
        found, account = read_file(reading, 0, Keys(), (group,))
        assert sum(map(len, found)) == rows
        assert isinstance(account, RowAccount) == bool(rows)


def test_a_row_group_that_is_not_there_and_a_footer_that_is_gone_are_told(tmp_path):
    path = write(tmp_path / "p.parquet", table())
    reading = Predictions.open(path, AuditPlan()).reading(AS_OF)
    found, told = read_file(reading, 0, Keys(), (0, 1))
    assert found == []
    assert told.reason.startswith("holds 1 row groups now")
    assert "measure again" in told.remedy
    path.write_bytes(path.read_bytes()[:-4])
    found, told = read_file(reading, 0, Keys(), (0,))
    assert found == []
    assert "cannot be read" in told.reason
    path.unlink()
    _, told = read_file(reading, 0, Keys())
    assert "cannot be read" in told.reason
    assert told.remedy


def test_a_name_that_points_outside_of_its_dictionary_refuses_the_file(tmp_path):
    words = pa.array(["n"] * 8).dictionary_encode()
    path = ipc(tmp_path / "p.arrow", log(8, team=words), batch=8)
    raw = path.read_bytes()
    index = (0).to_bytes(4, "little") * 3
    damaged = [at for at in range(0, len(raw), 8) if raw[at : at + 12] == index]
    told = set()
    for at in damaged:
        changed = raw[:at] + (77).to_bytes(4, "little") + raw[at + 4 :]
        found = beside_good(tmp_path / "p", "p.arrow", changed)
        told |= {reason for reason, _ in found.account.files.values()}
    assert any("cannot be read" in reason for reason in told)


def test_without_checksums_a_flip_in_a_score_goes_unseen_unless_it_leaves_the_range(tmp_path):
    path = tmp_path / "p.parquet"
    pq.write_table(log(score=[0.5] * 4), path, compression="none", use_dictionary=["model_id"])
    raw = path.read_bytes()
    at = raw[: footer_of(raw)].rfind(np.float64(0.5).tobytes())
    states = set()
    for byte, bit in ((5, 0), (7, 6), (7, 7)):  # within the range, far above it, below it
        changed = bytearray(raw)
        changed[at + byte] ^= 1 << bit
        path.write_bytes(changed)
        states.add(read(path).states[-1])
    assert states == {"used", "out of range"}


def test_a_file_of_another_kind_than_its_name_says_is_refused(tmp_path):
    parquet, arrow = content_of("p.parquet", tmp_path), content_of("p.arrow", tmp_path)
    for name, content in (("x.arrow", parquet), ("y.parquet", arrow), ("z.csv", parquet)):
        assert name in beside_good(tmp_path / "p", name, content).account.files


def test_csv_that_breaks_in_the_middle_is_refused_with_the_cell(tmp_path):
    lines = [f"m,c,{1_700_000_000 + i},0.5,1" for i in range(300_000)]
    lines[290_000] = "m,c,1700290000,half,1"
    content = "model_id,class_id,timestamp,score,label\n" + "\n".join(lines) + "\n"
    found = beside_good(tmp_path / "p", "p.csv", content.encode())
    reason, remedy = found.account.files["p.csv"]
    assert reason == "row 290001: column \"score\" holds 'half', which is no number"
    assert remedy == "mend the cell or leave it empty"
    assert len(found) == found.account.rows == GOOD


def test_a_file_that_may_not_be_read_is_refused_by_name(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    write(tmp_path / "p" / "good.parquet", log())
    write(tmp_path / "p" / "shut.parquet", log()).chmod(0)
    assert list(read(tmp_path / "p").account.files) == ["shut.parquet"]


def test_when_every_file_is_damaged_nothing_is_read_and_each_is_named(tmp_path):
    for name in ("a.parquet", "b.parquet"):
        (tmp_path / name).write_bytes(b"PAR1 no PAR1")
    with pytest.raises(InputError, match=r"(?s)none of 2.*a\.parquet: .*b\.parquet: "):
        read(tmp_path)
