"""Nights on an object store: the files of a folder, the manifest last, one writer a night."""

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier, Event

import pytest

from calhard.cli.main import cli
from calhard.errors import ConfigError, InputError, NightInProgress, PublishError
from calhard.store import list_nights, night_writer, open_night, prune, published
from calhard.store.claim import Claim, claimed
from calhard.store.layout import Layout
from calhard.store.place import place_of
from calhard.store.reader import NightReader
from calhard.store.staging import staging_root
from tests.faults.breaking import tree
from tests.store.nights import NIGHT, REPORT, health, write

LATER = "2026-07-31"
PLACE = f"out/nights/night={NIGHT}"


@pytest.fixture
def out(bucket):
    """A place for nights on the store."""
    return bucket.uri("out")


def test_a_night_is_of_the_same_bytes_on_a_store_and_in_a_folder(bucket, out, tmp_path):
    write(tmp_path / "folder", models=5)
    write(out, models=5)
    there = {
        name: content for name, content in tree(tmp_path / "folder").items() if "lock" not in name
    }
    assert bucket.tree("out") == there


def test_what_was_published_is_read_again(out):
    night = write(out, models=4)
    assert str(night.path).endswith(f"/{PLACE}")
    assert "?" not in str(night.path)
    found = open_night(out)
    assert found.night == NIGHT
    assert found.table("health").equals(health(4))
    assert found.rows("health", model_id="m2").num_rows == 1
    assert found.text(REPORT) == "4 models\n"
    assert found.verify() == []


def test_the_manifest_goes_after_everything_else_was_put_and_read_back(bucket, out):
    write(out)
    mine = [
        line.partition("/")[0].strip() + " " + line.rpartition("/")[2]
        for line in bucket.gate.seen
        if f"/{PLACE}/" in line
    ]
    last = mine.index("PUT manifest.json")
    assert mine.count("PUT manifest.json") == 1
    for name in ("evidence.parquet", "health.parquet", "summary.json", REPORT):
        assert mine.index(f"PUT {name}") < mine.index(f"GET {name}") < last
    assert not [line for line in mine[last + 1 :] if line.startswith(("PUT", "POST"))]


def test_nothing_is_left_in_the_staging_folder_but_its_lock_and_name(out, tmp_path):
    write(out)
    left = {name.split("/", 2)[2] for name in tree(tmp_path / "temporary")}
    assert left == {f".locks/night={NIGHT}", f".owners/night={NIGHT}"}


def test_without_its_manifest_a_night_exists_for_no_reader(bucket, out, capsys):
    write(out)
    write(out, LATER)
    bucket.filesystem.delete_file(f"{bucket.name}/out/nights/night={LATER}/manifest.json")
    assert list_nights(out) == [NIGHT]
    assert published(out, LATER) is None
    assert open_night(out).night == NIGHT
    for command in (["report", out], ["explain", out, "m1"]):
        code = cli.main(args=[*command, "--night", LATER], prog_name="calhard")
        assert (code, f"no night {LATER}; there are {NIGHT}" in capsys.readouterr().err) == (
            4,
            True,
        )
    assert prune(out, timedelta(days=1)) == []
    assert not [name for name in bucket.tree("out") if LATER in name]


def test_a_damaged_file_is_told_by_name(bucket, out):
    write(out)
    bucket.put(f"{PLACE}/{REPORT}", b"9 models\n")
    bucket.put(f"{PLACE}/strange.txt", b"")
    night = open_night(out)
    assert night.verify() == [
        f"{REPORT} has changed since it was published",
        "strange.txt is not in the manifest",
    ]
    with pytest.raises(InputError, match=f"{REPORT} has changed"):
        night.text(REPORT)


def test_force_writes_a_revision_and_keeps_the_old_one(bucket, out):
    first = write(out, models=3)
    before, supersedes = bucket.tree(PLACE), first.manifest_sha256
    second = write(out, models=7, force=True)
    assert (second.revision, second.manifest["supersedes"]) == (2, supersedes)
    assert bucket.tree(f"out/revisions/night={NIGHT}/rev=1") == before
    kept = NightReader(Layout(place_of(out), NIGHT).revision(1))
    assert kept.verify() == second.verify() == []
    assert open_night(out).table("health").num_rows == 7
    with pytest.raises(PublishError, match="is published already; force writes a revision"):
        write(out)
    assert write(out, models=2, force=True).revision == 3


def test_files_that_a_new_revision_does_not_have_are_gone(bucket, out):
    with night_writer(out, NIGHT) as writer:
        writer.write_text("more.txt", "more")
        writer.publish({})
    write(out, force=True)
    assert f"{PLACE}/more.txt" not in bucket.tree()
    assert f"out/revisions/night={NIGHT}/rev=1/more.txt" in bucket.tree()


def test_large_files_are_put_in_parts_and_copied_in_pieces(bucket, out, monkeypatch):
    text = "0123456789abcde\n" * 700_000
    with night_writer(out, NIGHT) as writer:
        writer.write_text("large.txt", text)
        writer.publish({})
    assert sum("PUT" in line and line.endswith("large.txt") for line in bucket.gate.seen) > 1
    monkeypatch.setattr("calhard.store.objects.COPIED_WHOLE", 2**20)
    write(out, force=True)
    kept = NightReader(Layout(place_of(out), NIGHT).revision(1))
    assert kept.verify() == []
    assert kept.text("large.txt") == text


def test_what_reads_back_otherwise_is_not_published(bucket, out):
    for name in (REPORT, "summary.json"):
        bucket.gate.spoil = name
        with pytest.raises(PublishError, match=r"reads back otherwise.*; nothing was published"):
            write(out)
        assert list_nights(out) == []
    bucket.gate.open()
    assert write(out).verify() == []


def test_a_manifest_that_reads_back_otherwise_is_taken_back(bucket, out):
    with night_writer(out, NIGHT) as writer:
        bucket.gate.spoil = "manifest.json"
        with pytest.raises(PublishError, match="reads back otherwise"):
            writer.publish({"what": "models"})
    assert published(out, NIGHT) is None


def test_prune_drops_old_nights_with_their_revisions_and_sweeps_what_the_dead_left(bucket, out):
    for night in ("2026-03-01", NIGHT, LATER):
        write(out, night)
    write(out, force=True)
    bucket.put("out/nights/night=2026-07-01/health.parquet", b"half")
    bucket.put(f"out/revisions/night={LATER}/rev=1/health.parquet", b"half")
    before = bucket.tree()
    assert prune(out, timedelta(days=30), dry_run=True) == ["2026-03-01", NIGHT]
    assert bucket.tree() == before
    assert prune(out, timedelta(days=30)) == ["2026-03-01", NIGHT]
    assert all(name.startswith(f"out/nights/night={LATER}/") for name in bucket.tree())
    assert open_night(out).verify() == []


# --- one writer a night -----------------------------------------------------------------------


def test_a_second_writer_of_this_machine_is_told_who_is_at_work(out):
    with (
        night_writer(out, NIGHT),
        pytest.raises(NightInProgress, match=r"written by process \d+ on") as told,
        night_writer(out, NIGHT),
    ):
        pass
    assert told.value.exit_code == 75
    assert write(out).verify() == []


def test_a_second_writer_of_another_machine_is_told_who_is_at_work(out, tmp_path):
    with night_writer(out, NIGHT):
        with pytest.raises(
            NightInProgress, match=r"by process \d+ on .*15 minutes.*\.locks/"
        ) as told:
            write(out, scratch=str(tmp_path / "other machine"))
        assert told.value.exit_code == 75
        assert write(out, LATER, scratch=str(tmp_path / "other machine")).verify() == []
    assert write(out, scratch=str(tmp_path / "other machine")).verify() == []


def test_of_writers_that_begin_at_the_same_time_one_publishes_and_the_others_give_way(
    out, tmp_path
):
    count = 4
    ready, lost = Barrier(count), [Event() for _ in range(count - 1)]

    def publish(number):
        ready.wait()
        try:
            with night_writer(out, NIGHT, scratch=str(tmp_path / str(number))) as writer:
                assert all(event.wait(60) for event in lost)
                writer.write_json("summary.json", {"by": number})
                writer.publish({})
        except NightInProgress:
            next(event for event in lost if not event.is_set()).set()
            return None
        return number

    with ThreadPoolExecutor(count) as pool:
        ended = list(pool.map(publish, range(count)))
    assert ended.count(None) == count - 1
    assert open_night(out).summary["by"] in ended


def test_the_claim_of_a_dead_writer_is_no_hindrance_to_the_next_with_its_staging_folder(
    bucket, out
):
    writer = night_writer(out, NIGHT)
    with writer:
        content = bucket.tree(f"out/.locks/night={NIGHT}")
    ((name, claim),) = content.items()
    assert json.loads(claim)["state"] == "holds"
    bucket.put(f"out/.locks/night={NIGHT}/{name}", claim)
    assert write(out).verify() == []
    assert not bucket.tree("out/.locks")


def test_the_claim_of_another_that_died_holds_for_a_lease_and_no_longer(bucket, out, monkeypatch):
    bucket.put(f"out/.locks/night={NIGHT}/0.json", b'{"state": "holds", "who": "process 1 on x"}')
    with pytest.raises(NightInProgress, match="process 1 on x right now; if that has died"):
        write(out)
    assert list(bucket.tree("out/.locks")) == [f"night={NIGHT}/0.json"]
    monkeypatch.setattr("calhard.store.claim.LEASE", timedelta(seconds=-1))
    assert write(out).verify() == []
    assert not bucket.tree("out/.locks")


def test_who_was_taken_over_publishes_nothing(bucket, out):
    with night_writer(out, NIGHT) as writer:
        (name,) = bucket.tree("out/.locks")
        bucket.filesystem.delete_file(f"{bucket.name}/out/.locks/{name}")
        writer.write_json("summary.json", {})
        with pytest.raises(PublishError, match="another may have taken the night over"):
            writer.publish({})
    assert list_nights(out) == []


def test_a_claim_is_renewed_only_while_it_is_there(bucket, out):
    folder = place_of(out) / "locks"
    with claimed(folder, NIGHT, "a"):
        claim = Claim(folder, NIGHT, "a")
        assert claim.renew()
        claim.drop()
        assert not claim.renew()
        assert not bucket.tree("out/locks")


# --- what is refused --------------------------------------------------------------------------


def test_a_night_is_staged_in_a_folder_of_this_user_alone(out, tmp_path):
    base = staging_root(place_of(out), None).parent
    assert base.parent == tmp_path / "temporary"
    assert stat.S_IMODE(base.stat().st_mode) == 0o700
    base.chmod(0o755)
    with pytest.raises(PublishError, match=r"not a folder of this user alone; .*scratch = "):
        write(out)
    base.rmdir()
    base.symlink_to(tmp_path)
    with pytest.raises(PublishError, match="not a folder of this user alone"):
        write(out)


def test_two_places_never_share_a_staging_folder(bucket, out):
    other = place_of(f"{bucket.uri('out')}&endpoint_override=localhost%3A1&scheme=http")
    roots = {staging_root(place, "/x") for place in (place_of(out), place_of(out) / "more", other)}
    assert len(roots) == 3


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("s3://", "names no bucket"),
        ("s3://bucket/out?foo=1", "foo"),
        ("s3://bucket/out?request_timeout=soon", "request_timeout=soon"),
        ("gs://bucket/out", "or to s3://BUCKET/PATH"),
        (Path("s3://bucket/out"), r"\(as text\)"),
    ],
)
def test_a_place_that_cannot_be_is_refused_before_anything_is_done(uri, told, bucket, tmp_path):
    with pytest.raises(ConfigError, match=told) as error:
        write(uri)
    assert error.value.exit_code == 2
    assert tree(tmp_path) == {}
