"""Files that are cut, flipped or something else: refused by name, or exactly what was written."""

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from calhard.errors import InputError
from calhard.history import batches
from tests.blocks import AS_OF
from tests.history.reading import UTC_US, hours, read, rows, write
from tests.history.test_sources import csv, ipc


def table(n=20):
    rng = np.random.default_rng(0)
    size = 4 * n
    return rows(
        n=n,
        aece=rng.random(size),
        alpha=pa.array(rng.random(size), mask=rng.random(size) < 0.1),
        total_samples=rng.integers(0, 100, size),
        region=pa.array(["n", None] * (size // 2)),
    )


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    home = tmp_path_factory.mktemp("good")
    write(home / "good.parquet", rows(("other",)))
    return home


def beside_good(home, name, content):
    """Read a history of one good file and one of the given bytes."""
    home.mkdir(exist_ok=True)
    write(home / "good.parquet", rows(("other",)))
    (home / name).write_bytes(content)
    return read(home)


WRITERS = {"h.parquet": write, "h.arrow": ipc, "h.csv": csv}


def content_of(name, tmp_path, **options):
    return WRITERS[name](tmp_path / name, table(), **options).read_bytes()


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize(
    "content",
    [
        *(
            b"",
            b"\0",
            b"PAR1",
            b"ARROW1",
            b"PAR1\0\0\0\0PAR1",
            bytes(range(256)) * 40,
            b"\xff" * 999,
        ),
        *(b"<html>sign in</html>\n", b"PK\x03\x04" + bytes(99), b"\x1f\x8b" + bytes(60)),
    ],
    ids=["empty", "nul", "PAR1", "ARROW1", "hollow", "ramp", "ones", "html", "zip", "gzip"],
)
def test_what_is_no_such_file_is_refused_by_name_and_the_rest_read(name, content, tmp_path):
    found = beside_good(tmp_path / "h", name, content)
    reason, remedy = found.account.files[name]
    assert reason
    assert remedy
    assert "\n" not in reason
    assert found.account.rows == 8


@pytest.mark.parametrize("name", ["h.parquet", "h.arrow"])
def test_a_file_cut_anywhere_is_refused(name, tmp_path):
    content = content_of(name, tmp_path)
    for part in range(64):
        found = beside_good(tmp_path / "h", name, content[: len(content) * part // 64])
        assert list(found.account.files) == [name], part
        assert found.account.rows == 8


def test_a_csv_cut_anywhere_gives_no_row_but_its_own(tmp_path):
    # The end of a line or of its last cell is no proof of a cut: a limit of CSV, not of the reader.
    columns = ["model_id", "class_id", "timestamp", "region", "total_samples", "alpha", "aece"]
    content = csv(tmp_path / "h.csv", table().select(columns)).read_bytes()
    whole = read(tmp_path / "h.csv").groups
    refused = 0
    for part in range(64):
        cut = content[: len(content) * part // 64]
        found = beside_good(tmp_path / "h", "h.csv", cut)
        refused += bool(found.account.files)
        complete = max(cut.count(b"\n") - 1, 0)
        assert found.account.rows - 8 in {0, complete, complete + 1}
        for key, group in found.groups.items():
            if key[0] != "other":
                assert group.timestamp == whole[key].timestamp[: len(group.timestamp)]
                assert group.of("aece")[:-1] == whole[key].of("aece")[: len(group.timestamp) - 1]
    assert refused > 40
    assert "cut" in batches._csv_batches.__doc__


def flips(content, count, seed, begin=0, end=None):
    """The same bytes with one bit flipped, over and over."""
    rng = np.random.default_rng(seed)
    end = len(content) if end is None else end
    for bit in rng.integers(begin * 8, end * 8, count).tolist():
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << (bit % 8)
        yield bit, bytes(changed)


def footer_of(content):
    return len(content) - 8 - int.from_bytes(content[-8:-4], "little")


@pytest.mark.parametrize("row_group_size", [17, 1_000])
def test_a_flipped_bit_in_a_page_is_refused_or_changes_nothing(row_group_size, tmp_path):
    content = content_of("h.parquet", tmp_path, row_group_size=row_group_size)
    expected = beside_good(tmp_path / "h", "h.parquet", content)
    refused = 0
    for bit, changed in flips(content, 150, row_group_size, end=footer_of(content)):
        found = beside_good(tmp_path / "h", "h.parquet", changed)
        if found.account.files:
            refused += 1
            assert list(found.account.files) == ["h.parquet"], bit
            assert found.groups["other", "x"] == expected.groups["other", "x"]
        else:
            assert found.groups == expected.groups, bit
    assert refused > 100


def test_a_flipped_bit_in_a_footer_loses_no_row_without_saying_so(tmp_path):
    # No checksum guards a footer: a column's name may change, but never how many rows there are.
    content = content_of("h.parquet", tmp_path, row_group_size=30)
    refused = 0
    for bit, changed in flips(content, 300, 5, begin=footer_of(content)):
        found = beside_good(tmp_path / "h", "h.parquet", changed)
        refused += bool(found.account.files)
        assert found.account.files or found.total == 80 + 8, bit
    assert refused > 100


@pytest.mark.parametrize("name", ["h.arrow", "h.csv"])
def test_a_flipped_bit_elsewhere_never_ends_the_process(name, tmp_path):
    content = content_of(name, tmp_path)
    told = set()
    for _, changed in flips(content, 100, 8):
        found = beside_good(tmp_path / "h", name, changed)
        told.add(bool(found.account.files))
        assert found.groups["other", "x"].timestamp == hours(4)
    assert told == {True, False}


def test_a_zeroed_page_is_refused(tmp_path):
    content = bytearray(content_of("h.parquet", tmp_path, compression="none"))
    chunk = pq.read_metadata(tmp_path / "h.parquet").row_group(0).column(3)
    end = chunk.data_page_offset + chunk.total_compressed_size
    content[end - 64 : end] = bytes(64)
    found = beside_good(tmp_path / "h", "h.parquet", bytes(content))
    assert "h.parquet" in found.account.files


def test_without_checksums_a_flip_in_a_value_goes_unseen_and_that_is_written_down(tmp_path):
    path = tmp_path / "h.parquet"
    pq.write_table(rows(aece=[0.5] * 16), path, compression="none", use_dictionary=["model_id"])
    raw = path.read_bytes()
    at = raw[: footer_of(raw)].rfind(np.float64(0.5).tobytes())
    changed = bytearray(raw)
    changed[at + 5] ^= 1
    path.write_bytes(changed)
    assert read(path).groups["b", "y"].of("aece")[-1] != 0.5
    assert "Without them a flipped bit" in batches.open_parquet.__doc__


def test_a_name_that_points_outside_of_its_dictionary_refuses_the_file(tmp_path):
    path = ipc(tmp_path / "h.arrow", rows(region=pa.array(["n"] * 16).dictionary_encode()))
    raw = path.read_bytes()
    index = (0).to_bytes(4, "little") * 3
    damaged = [at for at in range(0, len(raw), 8) if raw[at : at + 12] == index]
    assert damaged
    told = set()
    for at in damaged:
        changed = raw[:at] + (77).to_bytes(4, "little") + raw[at + 4 :]
        found = beside_good(tmp_path / "h", "h.arrow", changed)
        told |= {reason for reason, _ in found.account.files.values()}
    assert any("cannot be read" in reason for reason in told)


def test_a_file_of_another_kind_than_its_name_says_is_refused(tmp_path):
    parquet, arrow = content_of("h.parquet", tmp_path), content_of("h.arrow", tmp_path)
    for name, content in (("x.arrow", parquet), ("y.parquet", arrow), ("z.csv", parquet)):
        assert name in beside_good(tmp_path / "h", name, content).account.files


def test_csv_that_breaks_in_the_middle_is_refused_with_the_cell(tmp_path):
    lines = [f"a,x,{1_700_000_000 + i},0.5" for i in range(100_000)]
    lines[90_000] = "a,x,1700090000,half"
    content = "model_id,class_id,timestamp,aece\n" + "\n".join(lines) + "\n"
    found = beside_good(tmp_path / "h", "h.csv", content.encode())
    reason, remedy = found.account.files["h.csv"]
    assert reason == "row 90001: column \"aece\" holds 'half', which is no number"
    assert remedy == "mend the cell or leave it empty"
    assert found.account.rows == 8


def test_csv_that_is_not_utf8_is_refused(tmp_path):
    content = b"model_id,class_id,timestamp,aece\nm\xff,x,1700000000,0.5\n"
    assert "UTF8" in beside_good(tmp_path / "h", "h.csv", content).account.files["h.csv"][0]


def test_a_header_alone_has_no_rows_and_no_fault(tmp_path):
    found = beside_good(tmp_path / "h", "h.csv", b"model_id,class_id,timestamp,aece\n")
    assert not found.account.files
    assert found.account.rows == 8


def test_a_file_that_may_not_be_read_is_refused_by_name(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    write(tmp_path / "h" / "good.parquet", rows())
    shut = write(tmp_path / "h" / "shut.parquet", rows(("b",)))
    shut.chmod(0)
    assert list(read(tmp_path / "h").account.files) == ["shut.parquet"]


def test_when_every_file_is_damaged_nothing_is_read_and_each_is_named(tmp_path):
    for name in ("a.parquet", "b.parquet"):
        (tmp_path / name).write_bytes(b"PAR1 no PAR1")
    with pytest.raises(InputError, match=r"(?s)none of 2.*a\.parquet: .*b\.parquet: "):
        read(tmp_path)


def test_the_sanity_bounds_see_a_wild_instant(tmp_path):
    column = pa.array([AS_OF, AS_OF ^ (1 << 60)], UTC_US)
    found = read(write(tmp_path / "h.parquet", rows(("a",), ("x",), 2, timestamp=column)))
    assert found.account.rejected == 1
