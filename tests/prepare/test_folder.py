"""Which folders `prepare` writes to, and who may write at a time."""

import fcntl
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from calhard.errors import ConfigError, HistoryInProgress, InputError, PublishError
from calhard.prepare.manifest import Manifest
from calhard.store.staged import LOCK, STAGING
from tests.prepare.made import MANIFEST, content, prepare, rows, seen, write


@pytest.fixture
def history(tmp_path):
    write(tmp_path / "h" / "a.parquet", rows(np.random.default_rng(0), sound=True))
    return tmp_path / "h"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_that_holds_something_else_is_refused_and_left_alone(tmp_path, history):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.parquet").write_bytes(b"mine")
    with pytest.raises(InputError, match=r"holds 'mine.parquet' and no _manifest.json"):
        prepare(history, out)
    assert names(out) == ["mine.parquet"]


def test_a_folder_that_measure_made_is_refused(tmp_path, history):
    out = tmp_path / "out"
    out.mkdir()
    (out / MANIFEST).write_text('{"schema_version": 1, "period": "1d"}')
    with pytest.raises(InputError, match="is not of a history that calhard prepared"):
        prepare(history, out)
    assert names(out) == [MANIFEST]


def test_a_file_that_was_not_prepared_is_named(tmp_path, history):
    prepare(history, tmp_path / "out")
    (tmp_path / "out" / "stray.parquet").write_bytes(b"")
    for force in (False, True):
        with pytest.raises(InputError, match=r"stray.parquet: was not prepared by calhard"):
            prepare(history, tmp_path / "out", force=force)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"kind": "prepared history"}'])
def test_a_damaged_manifest_is_told(tmp_path, history, text):
    prepare(history, tmp_path / "out")
    (tmp_path / "out" / MANIFEST).write_text(text)
    with pytest.raises(InputError, match=r"_manifest.json: is damaged"):
        prepare(history, tmp_path / "out")


def test_a_manifest_of_another_version_is_told(tmp_path, history):
    prepare(history, tmp_path / "out")
    place = tmp_path / "out" / MANIFEST
    place.write_text(place.read_text().replace('"schema_version": 1', '"schema_version": 9'))
    with pytest.raises(InputError, match="schema version 9, this calhard writes 1"):
        prepare(history, tmp_path / "out")


@pytest.mark.parametrize("how", ["missing", "cut"])
def test_a_part_that_is_not_as_it_was_written_is_told_and_force_mends_it(tmp_path, history, how):
    prepare(history, tmp_path / "out")
    (part,) = (tmp_path / "out").glob("*.parquet")
    if how == "missing":
        part.unlink()
    else:
        part.write_bytes(part.read_bytes()[:-9])
    with pytest.raises(InputError, match=r"(is missing|bytes).*prepare everything anew"):
        prepare(history, tmp_path / "out")
    prepare(history, tmp_path / "out", force=True)
    assert seen(tmp_path / "out") == seen(history)


def test_a_flipped_bit_in_an_old_part_is_found_before_it_spreads(tmp_path, history):
    prepare(history, tmp_path / "out")
    (part,) = (tmp_path / "out").glob("*.parquet")
    raw = bytearray(part.read_bytes())
    raw[len(raw) // 4] ^= 8
    part.write_bytes(raw)
    write(history / "b.parquet", rows(np.random.default_rng(1), sound=True))
    with pytest.raises(InputError, match=r"part-.*: cannot be read .*--force"):
        prepare(history, tmp_path / "out")
    assert part.read_bytes() == bytes(raw)


def test_out_among_the_history_is_refused(history):
    with pytest.raises(ConfigError, match="lies among the history"):
        prepare(history, history / "out")
    with pytest.raises(ConfigError, match="lies among the history"):
        prepare(history.as_uri(), history / "out")
    prepare(history, history / "_out")


def test_a_uri_is_refused(history):
    with pytest.raises(ConfigError, match="is written to a folder, not to a URI"):
        prepare(history, "s3://bucket/out")


def test_two_at_once_are_one(tmp_path, history):
    prepare(history, tmp_path / "out")
    with (tmp_path / "out" / LOCK).open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(HistoryInProgress) as told:
            prepare(history, tmp_path / "out")
    assert told.value.exit_code == 75
    assert "the prepared history" in str(told.value)


def test_no_row_at_all_is_told_and_leaves_no_part(tmp_path):
    table = rows(np.random.default_rng(0), sound=True)
    write(tmp_path / "h" / "a.parquet", table.slice(0, 0))
    with pytest.raises(InputError, match="no row can be placed"):
        prepare(tmp_path / "h", tmp_path / "out")
    assert names(tmp_path / "out") == [LOCK]


def test_an_interrupt_leaves_the_folder_as_it_was(tmp_path, history):
    prepare(history, tmp_path / "out")
    before = content(tmp_path / "out")
    write(history / "b.parquet", rows(np.random.default_rng(1), sound=True))

    def interrupt(stage, done, total, rows):
        if stage == "write" and done == total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(history, tmp_path / "out", progress=interrupt)
    assert content(tmp_path / "out") == before
    assert not (tmp_path / "out" / STAGING).exists()


def test_the_manifest_comes_back_as_it_was_written(tmp_path, history):
    prepare(history, tmp_path / "out")
    text = (tmp_path / "out" / MANIFEST).read_text()
    found = Manifest.parse(text, "")
    assert found.to_text() == text
    assert json.loads(text)["sources"][0]["name"] == "a.parquet"


def test_progress_counts_rows_of_every_stage(tmp_path, history):
    told = []
    prepare(history, tmp_path / "out", progress=lambda *now: told.append(now))
    assert told == [
        ("scatter", 0, 1, 0),
        ("scatter", 1, 1, 240),
        ("write", 0, 1, 0),
        ("write", 1, 1, 240),
    ]


def test_of_many_at_once_at_least_one_gets_through_and_the_others_say_in_progress(
    tmp_path, history
):
    def one(_):
        try:
            return prepare(history, tmp_path / "out").rows
        except HistoryInProgress:
            return "in progress"

    with ThreadPoolExecutor(6) as pool:
        told = list(pool.map(one, range(6)))
    assert 240 in told
    assert set(told) <= {240, "in progress"}
    assert seen(tmp_path / "out") == seen(history)
    assert not (tmp_path / "out" / STAGING).exists()


def test_a_folder_that_cannot_be_written_to_is_told(tmp_path, history):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(PublishError, match="a file stands where a folder is needed"):
        prepare(history, tmp_path / "file" / "out")
