"""Nights on disk: whole or not at all, checked when read, old revisions kept."""

import hashlib
import json
import shutil
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calhard.errors import CalhardError, ConfigError, InputError, NightInProgress, PublishError
from calhard.schema import HEALTH, SCHEMA_VERSION
from calhard.store import NightReader, NightWriter, list_nights, open_night, prune, published
from calhard.store.layout import Layout
from calhard.store.lock import held
from tests.faults.breaking import tree
from tests.store.nights import NIGHT, REPORT, files, health, write


def test_the_manifest_tells_name_size_hash_and_rows_of_every_file(tmp_path):
    night = write(tmp_path, models=5)
    entries = {entry["name"]: entry for entry in night.manifest["files"]}
    content = files(night)
    assert set(entries) == set(content) - {"manifest.json"}
    for name, entry in entries.items():
        assert entry["bytes"] == len(content[name])
        assert entry["sha256"] == hashlib.sha256(content[name]).hexdigest()
    assert entries["health.parquet"]["rows"] == 5
    assert entries["evidence.parquet"]["rows"] == 0
    assert "rows" not in entries[REPORT]


def test_the_manifest_names_night_revision_schema_version_and_what_the_caller_adds(tmp_path):
    manifest = write(tmp_path).manifest
    assert manifest["night"] == NIGHT
    assert manifest["schema_version"] == SCHEMA_VERSION
    assert (manifest["revision"], manifest["supersedes"]) == (1, None)
    assert manifest["fleet"] == "test"


def test_what_was_written_is_read_again(tmp_path):
    write(tmp_path, models=4)
    night = open_night(tmp_path)
    assert night.night == NIGHT
    assert night.table("health").equals(health(4))
    assert night.text(REPORT) == "4 models\n"
    assert night.summary == {"models": 4, "exit_code": 0}
    assert night.verify() == []


def test_the_same_content_gives_the_same_bytes(tmp_path):
    first, second = write(tmp_path / "a"), write(tmp_path / "b")
    assert files(first) == files(second)


def test_bytes_do_not_depend_on_how_rows_arrive(tmp_path):
    rows = health(70_000)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    with NightWriter(whole, NIGHT) as writer:
        writer.write_table("health", rows)
        one = writer.publish({})
    with NightWriter(parts, NIGHT) as writer:
        with writer.table("health") as sink:
            for start in range(0, 70_000, 9_999):
                for batch in rows.slice(start, 9_999).to_batches(max_chunksize=4_000):
                    sink.write(batch)
        many = writer.publish({})
    assert files(one) == files(many)
    assert pq.read_metadata(many.path / "health.parquet").num_row_groups == 2


def test_nothing_but_the_night_and_its_lock_is_left(tmp_path):
    write(tmp_path)
    outside = {n for n in tree(tmp_path) if not n.startswith(f"nights/night={NIGHT}/")}
    assert outside == {f".locks/night={NIGHT}"}


def test_leaving_without_publish_leaves_no_night(tmp_path):
    with NightWriter(tmp_path, NIGHT) as writer:
        writer.write_text(REPORT, "half")
        (writer.open_scratch("run") / "0.arrow").write_bytes(b"x")
        writer.resumable = False
    assert list_nights(tmp_path) == []
    assert set(tree(tmp_path)) == {f".locks/night={NIGHT}"}


def test_what_workers_left_stays_for_the_next_try_of_the_same_run_alone(tmp_path):
    with NightWriter(tmp_path, NIGHT) as writer:
        writer.write_text(REPORT, "half")
        (writer.open_scratch("run") / "0.arrow").write_bytes(b"x")
    left = f".staging/scratch={NIGHT}/run/0.arrow"
    assert set(tree(tmp_path)) == {f".locks/night={NIGHT}", left}
    with NightWriter(tmp_path, NIGHT) as writer:
        assert (writer.open_scratch("run") / "0.arrow").read_bytes() == b"x"
    with NightWriter(tmp_path, NIGHT) as writer:
        assert list(writer.open_scratch("another").iterdir()) == []
        assert len(list(writer.layout.scratch.iterdir())) == 1


def test_a_published_night_leaves_nothing_of_its_workers(tmp_path):
    with NightWriter(tmp_path, NIGHT) as writer:
        (writer.open_scratch("run") / "0.arrow").write_bytes(b"x")
        writer.publish({})
    assert not writer.layout.scratch.exists()


def test_a_table_that_breaks_off_leaves_the_error_as_it_was(tmp_path):
    def breaks_off():
        with NightWriter(tmp_path, NIGHT) as writer, writer.table("health") as sink:
            sink.write(health(3))
            raise ValueError("row 7")

    with pytest.raises(ValueError, match="row 7"):
        breaks_off()
    assert list_nights(tmp_path) == []
    assert set(tree(tmp_path)) == {f".locks/night={NIGHT}"}


def test_force_writes_a_revision_that_names_the_one_it_supersedes_and_keeps_it(tmp_path):
    first = write(tmp_path, models=3)
    before = files(first)
    second = write(tmp_path, models=8, force=True)
    assert second.revision == 2
    assert second.manifest["supersedes"] == hashlib.sha256(before["manifest.json"]).hexdigest()
    assert open_night(tmp_path).table("health").num_rows == 8
    kept = NightReader(Layout(tmp_path, NIGHT).revision(1))
    assert files(kept) == before
    assert kept.verify() == []


def test_every_revision_is_kept_and_the_chain_of_hashes_closes(tmp_path):
    for models in range(1, 5):
        write(tmp_path, models=models, force=True)
    layout = Layout(tmp_path, NIGHT)
    chain = [NightReader(layout.revision(n)) for n in (1, 2, 3)] + [open_night(tmp_path)]
    assert [night.summary["models"] for night in chain] == [1, 2, 3, 4]
    assert [night.revision for night in chain] == [1, 2, 3, 4]
    for older, newer in pairwise(chain):
        assert newer.manifest["supersedes"] == older.manifest_sha256
    assert all(night.verify() == [] for night in chain)


@pytest.mark.parametrize("links", [True, False], ids=["hard links", "no hard links"])
@pytest.mark.parametrize("exchange", [True, False], ids=["exchange", "no exchange"])
def test_superseding_works_on_every_file_system(tmp_path, monkeypatch, links, exchange):
    before = files(write(tmp_path, models=1))
    if not links:
        monkeypatch.setattr("os.link", _not_supported)
    if not exchange:
        monkeypatch.setattr("calhard.store.disk.exchange", lambda a, b: False)
    assert write(tmp_path, models=2, force=True).summary["models"] == 2
    assert files(NightReader(Layout(tmp_path, NIGHT).revision(1))) == before
    assert open_night(tmp_path).verify() == []
    assert not any(name.startswith(".staging/") for name in tree(tmp_path))


def _not_supported(*args, **options):
    raise OSError(95, "Operation not supported")


def test_a_published_night_is_not_written_over_without_force(tmp_path):
    before = files(write(tmp_path))
    with pytest.raises(PublishError, match="published already"):
        write(tmp_path, models=9)
    assert files(open_night(tmp_path)) == before


def test_a_night_whose_manifest_is_damaged_can_be_forced(tmp_path):
    first = write(tmp_path)
    (first.path / "manifest.json").write_bytes(b"{")
    with pytest.raises(InputError, match=r"manifest\.json: cannot be read.*--force"):
        _ = open_night(tmp_path).manifest
    again = write(tmp_path, force=True)
    assert again.verify() == []
    assert again.revision == 2
    assert again.manifest["supersedes"] == hashlib.sha256(b"{").hexdigest()


def test_a_folder_without_a_manifest_is_refused_and_left_alone(tmp_path):
    strange = Layout(tmp_path, NIGHT).published
    strange.mkdir(parents=True)
    (strange / "mine.txt").write_text("precious")
    with pytest.raises(PublishError, match=rf"night={NIGHT}: .*move it away"):
        write(tmp_path)
    assert (strange / "mine.txt").read_text() == "precious"
    assert list_nights(tmp_path) == []


# --- what was changed after it was published --------------------------------------------------


def flips(size, number=40):
    """Return places spread over a file, its ends among them."""
    return sorted({round(i * (size - 1) / (number - 1)) for i in range(number)})


@pytest.mark.parametrize("name", ["health.parquet", "evidence.parquet"])
def test_a_flipped_byte_of_a_table_is_found_by_verify_and_by_reading(tmp_path, name):
    night = write(tmp_path, models=50)
    file = night.path / name
    sound = file.read_bytes()
    for place in flips(len(sound)):
        broken = bytearray(sound)
        broken[place] ^= 0x10
        file.write_bytes(broken)
        fresh = NightReader(night.path)
        assert fresh.verify() == [f"{name} has changed since it was published"]
        with pytest.raises(InputError, match=f"{name} has changed.*--force"):
            fresh.table(file.stem)
    file.write_bytes(sound)
    assert NightReader(night.path).verify() == []


def test_page_checksums_are_on_so_that_a_flipped_value_is_found_without_the_manifest(tmp_path):
    night = write(tmp_path, models=5_000)
    file = night.path / "health.parquet"
    column = pq.read_metadata(file).row_group(0).column(0)
    broken = bytearray(file.read_bytes())
    broken[column.data_page_offset + column.total_compressed_size // 2] ^= 1
    file.write_bytes(broken)
    with pytest.raises(OSError, match="CRC"):
        pq.read_table(file, page_checksum_verification=True)


@pytest.mark.parametrize("name", [REPORT, "summary.json"])
def test_a_changed_text_is_found_by_verify_and_by_reading(tmp_path, name):
    night = write(tmp_path)
    (night.path / name).write_text("{}")
    fresh = NightReader(night.path)
    assert fresh.verify() == [f"{name} has changed since it was published"]
    with pytest.raises(InputError, match=f"{name} has changed"):
        fresh.text(name)
    if name == "summary.json":
        with pytest.raises(InputError, match="changed"):
            _ = fresh.summary


def test_missing_cut_and_strange_files_are_told_apart(tmp_path):
    night = write(tmp_path)
    (night.path / REPORT).unlink()
    table = night.path / "health.parquet"
    table.write_bytes(table.read_bytes()[:-1])
    (night.path / "notes.txt").write_text("who put this here")
    assert sorted(NightReader(night.path).verify()) == [
        "health.parquet has changed since it was published",
        "notes.txt is not in the manifest",
        f"{REPORT} is missing",
    ]
    with pytest.raises(InputError, match=f"{REPORT} is missing"):
        night.text(REPORT)
    with pytest.raises(InputError, match=r"actions\.parquet is not in the manifest"):
        night.table("actions")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\xff\xfe", '{"files": 3}', "{}"])
def test_a_manifest_that_is_no_manifest_is_an_error_for_a_person(tmp_path, text):
    night = write(tmp_path)
    (night.path / "manifest.json").write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=r"manifest\.json.*--force"):
        NightReader(night.path).verify()


# --- finding nights ---------------------------------------------------------------------------


def test_nights_are_listed_oldest_first_and_the_latest_is_opened(tmp_path):
    for night in ("2026-05-31", "2025-12-31", "2026-06-01"):
        write(tmp_path, night)
    assert list_nights(tmp_path) == ["2025-12-31", "2026-05-31", "2026-06-01"]
    assert open_night(tmp_path).night == "2026-06-01"
    assert open_night(tmp_path, "2025-12-31").night == "2025-12-31"


def test_what_is_no_night_is_not_listed(tmp_path):
    write(tmp_path)
    for name in ("night=today", "night=2026-13-01", "notes", "night=2026-06-01.bak"):
        shutil.copytree(Layout(tmp_path, NIGHT).published, tmp_path / "nights" / name)
    (tmp_path / "nights" / "night=2026-06-02").mkdir()
    assert list_nights(tmp_path) == [NIGHT]


def test_a_night_that_is_not_there_is_told_with_those_that_are(tmp_path):
    with pytest.raises(InputError, match=r"nowhere: no such folder; calhard audit HISTORY --out"):
        open_night(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no night is published there; calhard audit"):
        open_night(tmp_path)
    for day in range(1, 9):
        write(tmp_path, f"2026-06-0{day}")
    with pytest.raises(InputError) as told:
        open_night(tmp_path, "2026-05-30")
    assert "no night 2026-05-30; there are 3 earlier and 2026-06-04, " in str(told.value)


NO_DATES = ["", "today", "2026-5-1", "2026-02-30", "2026-13-01", "20260531", "2026-05-31 "]
NO_NIGHTS = ["2026-05-31\n", "../../etc", "2026-05-31/..", "٢٠٢٦-٠٥-٣١", "2026-W22-7", "0000-01-01"]


@pytest.mark.parametrize("name", NO_DATES + NO_NIGHTS)
def test_what_is_no_date_is_no_night(tmp_path, name):
    with pytest.raises(ConfigError, match="nights are dates") as told:
        Layout(tmp_path, name)
    assert told.value.exit_code == 2
    with pytest.raises(ConfigError):
        NightWriter(tmp_path, name)
    assert tree(tmp_path) == {}


@pytest.mark.parametrize("out", ["gs://bucket/nights", Path("s3://bucket"), "file:///srv/x"])
def test_a_uri_of_another_kind_is_refused_rather_than_made_a_folder(tmp_path, monkeypatch, out):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"not to a URI.*--out nights"):
        write(out)
    assert list(tmp_path.iterdir()) == []


@given(st.text(max_size=20))
def test_every_path_of_a_layout_lies_under_out(tmp_path_factory, name):
    out = tmp_path_factory.getbasetemp()
    try:
        layout = Layout(out, name)
    except ConfigError:
        return
    for path in (*layout.unpublished, layout.published, layout.lock, layout.revision(1)):
        assert out.resolve() in path.resolve().parents


# --- one writer at a time ---------------------------------------------------------------------


def test_a_second_writer_is_told_who_is_at_work(tmp_path):
    with NightWriter(tmp_path, NIGHT) as first:
        with pytest.raises(NightInProgress, match=r"being written by process \d+ on ") as told:
            NightWriter(tmp_path, NIGHT).__enter__()
        assert told.value.exit_code == 75
        first.write_text(REPORT, "undisturbed")
        assert first.publish({}).verify() == []


def test_two_nights_do_not_disturb_each_other(tmp_path):
    with NightWriter(tmp_path, NIGHT) as one, NightWriter(tmp_path, "2026-06-01") as other:
        one.write_text(REPORT, "one")
        other.write_text(REPORT, "other")
        other.publish({})
        one.publish({})
    assert [open_night(tmp_path, n).text(REPORT) for n in list_nights(tmp_path)] == ["one", "other"]


def test_a_lock_file_of_a_dead_process_does_not_block(tmp_path):
    lock = Layout(tmp_path, NIGHT).lock
    lock.parent.mkdir(parents=True)
    lock.write_text("process 999999 on a machine long gone, with a longer name than mine")
    assert write(tmp_path).verify() == []
    assert "999999" not in lock.read_text()


# --- pruning ----------------------------------------------------------------------------------


def nights_of_june(out):
    for day in (1, 5, 9, 10):
        write(out, f"2026-06-{day:02d}")


def test_prune_keeps_what_is_young_and_drops_the_rest_with_its_revisions(tmp_path):
    nights_of_june(tmp_path)
    write(tmp_path, "2026-06-01", force=True)
    write(tmp_path, "2026-06-10", force=True)
    assert prune(tmp_path, timedelta(days=5), dry_run=True) == ["2026-06-01"]
    assert len(list_nights(tmp_path)) == 4
    assert prune(tmp_path, timedelta(days=5)) == ["2026-06-01"]
    assert list_nights(tmp_path) == ["2026-06-05", "2026-06-09", "2026-06-10"]
    left = {name.split("/")[1] for name in tree(tmp_path) if name.startswith("revisions/")}
    assert left == {"night=2026-06-10"}
    assert prune(tmp_path, timedelta(days=5)) == []


def test_prune_never_drops_the_latest(tmp_path):
    nights_of_june(tmp_path)
    assert prune(tmp_path, timedelta(0)) == ["2026-06-01", "2026-06-05", "2026-06-09"]
    assert list_nights(tmp_path) == ["2026-06-10"]
    assert open_night(tmp_path).verify() == []
    assert prune(tmp_path / "nothing", timedelta(0)) == []


def test_prune_sweeps_what_a_dead_writer_left_and_not_what_one_is_writing(tmp_path):
    write(tmp_path)
    dead, alive = Layout(tmp_path, "2026-03-01"), Layout(tmp_path, "2026-03-02")
    for layout in (dead, alive):
        layout.scratch.mkdir(parents=True)
        (layout.scratch / "0.arrow").write_bytes(b"x" * 100)
    with held(alive.lock, alive.night):
        assert prune(tmp_path, timedelta(days=9)) == []
    assert not dead.scratch.exists()
    assert alive.scratch.exists()


def test_prune_does_not_drop_a_night_that_someone_writes(tmp_path):
    nights_of_june(tmp_path)
    with NightWriter(tmp_path, "2026-06-01", force=True), pytest.raises(NightInProgress):
        prune(tmp_path, timedelta(days=3))
    assert open_night(tmp_path, "2026-06-01").verify() == []


def test_a_file_where_a_folder_should_be_is_told_with_its_remedy(tmp_path):
    (tmp_path / "out").write_text("I am a file")
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "nights").write_text("so am I")
    for out in (tmp_path / "out", tmp_path / "half"):
        with pytest.raises(PublishError, match="a file stands where a folder is needed") as told:
            write(out)
        assert told.value.exit_code == 4
        assert list_nights(out) == []
    assert (tmp_path / "out").read_text() == "I am a file"


def test_every_error_of_calhard_has_an_exit_code_of_the_contract():
    def kinds(kind):
        return {kind}.union(*(kinds(k) for k in kind.__subclasses__()))

    codes = {kind.__name__: kind.exit_code for kind in kinds(CalhardError)}
    assert codes["ConfigError"] == 2
    assert codes["InputError"] == codes["PublishError"] == 4
    assert codes["NightInProgress"] == 75
    assert set(codes.values()) <= {2, 4, 5, 75}


def test_reading_does_not_take_columns_from_the_path(tmp_path):
    out = tmp_path / "fleet=a" / "model_id=b"
    write(out)
    assert open_night(out).table("health").schema.equals(HEALTH)
    assert json.loads((open_night(out).path / "manifest.json").read_text())["night"] == NIGHT
    assert isinstance(open_night(out).table("evidence"), pa.Table)


def test_published_is_none_where_there_is_nothing(tmp_path):
    assert published(tmp_path, NIGHT) is None
    assert published(tmp_path / "nowhere", NIGHT) is None
