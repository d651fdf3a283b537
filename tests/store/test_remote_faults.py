"""FAULTS 22 and 23 on an object store: it refuses, or goes away, at any request that changes it."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from calhard.errors import CalhardError, PublishError
from calhard.store import list_nights, open_night, published
from calhard.store.layout import Layout
from calhard.store.place import place_of
from calhard.store.reader import NightReader
from tests.faults.breaking import tree
from tests.store.nights import NIGHT, write
from tests.store.remote import DENIED, DOWN, FAILS, LOST, is_change

ROOT = Path(__file__).parents[2]
FIRST, SECOND = 3, 7
PLACE, KEPT = f"out/nights/night={NIGHT}", f"out/revisions/night={NIGHT}/rev=1"
REMEDIES = {
    DOWN: "the server ended the connection; run again when it is up",
    FAILS: "the server failed or is overloaded; run again later",
    DENIED: r"access denied; give credentials that may do this \(AWS_ACCESS_KEY_ID",
}


@pytest.fixture(autouse=True)
def no_sync(monkeypatch):
    """The machine's own disk need not be waited for."""
    monkeypatch.setattr("os.fsync", lambda handle: None)


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    """The files of the first and of the second revision."""
    out = tmp_path_factory.mktemp("folder")
    revisions = []
    for models in (FIRST, SECOND):
        night = write(out, models=models, force=True)
        revisions.append(tree(night.path))
    return revisions


def changes(bucket, work):
    """Return how many requests change the store when nothing is refused."""
    bucket.gate.open()
    work()
    return sum(map(is_change, bucket.gate.seen))


def refusing(bucket, how, first, *, sticky):
    """Refuse a request that changes something, by number; if sticky, all that follow as well."""
    seen = []

    def which(number, request):
        if sticky and len(seen) > first:
            return True
        if is_change(request):
            seen.append(number)
        return is_change(request) and len(seen) == first + 1

    return bucket.refusing(how, which)


def whole(out):
    """Return what a reader sees of the night, which must be whole; None without a night."""
    night = published(out, NIGHT)
    assert list_nights(out) == ([] if night is None else [NIGHT])
    if night is None:
        return None
    assert night.verify() == []
    return {name: (night.path / name).read_bytes() for name in (*night.files, "manifest.json")}


@pytest.mark.parametrize(
    ("how", "sticky", "stride"),
    [(DOWN, True, 1), (FAILS, False, 2), (DENIED, False, 3)],
    ids=["down", "fails", "denied"],
)
def test_whatever_put_is_refused_no_night_or_the_whole_one_is_there_and_a_rerun_completes(
    bucket, content, how, sticky, stride
):
    count = changes(bucket, lambda: write(bucket.uri("whole"), models=FIRST))
    assert count > 6
    steps, told = range(0, count, stride), 0
    for step in steps:
        out = bucket.uri(f"{step}")
        error = None
        with refusing(bucket, how, step, sticky=sticky):
            try:
                write(out, models=FIRST)
            except PublishError as e:
                error = e
        there = whole(out)
        if error is None:
            assert there == content[0]  # what could not be done was to tidy up
            continue
        told += 1
        assert pytest.raises(PublishError, match=REMEDIES[how]).matches(error)
        assert there is None
        assert write(out, models=FIRST).verify() == []
        assert bucket.tree(f"{step}/nights/night={NIGHT}") == content[0]
        assert not [name for name in bucket.tree(f"{step}") if not name.startswith("nights/")]
    assert told > len(steps) / 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "sticky", "first"), [(DOWN, True, 0), (FAILS, False, 1)], ids=["down", "fails"]
)
def test_whatever_put_of_a_new_revision_is_refused_the_old_night_or_the_new_one_is_there(
    bucket, content, how, sticky, first
):
    def old(name):
        write(bucket.uri(name), models=FIRST)
        return bucket.uri(name)

    place = old("whole")
    count = changes(bucket, lambda: write(place, models=SECOND, force=True))
    assert count > 12
    steps, told = range(first, count, 3), 0
    for step in steps:
        out, error = old(f"{step}"), None
        with refusing(bucket, how, step, sticky=sticky):
            try:
                write(out, models=SECOND, force=True)
            except PublishError as e:
                error = e
        there = whole(out)
        assert there == content[0 if error else 1]
        if error is not None:
            told += 1
            assert re.search("earlier revision stays|nothing was|whether the night", str(error))
            assert write(out, models=SECOND, force=True).revision == 2
            assert whole(out) == content[1]
        kept = NightReader(Layout(place_of(out), NIGHT).revision(1))
        assert kept.verify() == []
        assert bucket.tree(f"{step}/revisions/night={NIGHT}/rev=1") == content[0]
        assert set(bucket.tree(f"{step}/nights/night={NIGHT}")) == set(content[1])
    assert told > len(steps) / 2


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["claim", "file", "copy", "manifest"])
def test_a_process_that_is_really_killed_leaves_the_old_night_and_the_next_one_completes(
    bucket, content, moment
):
    out = bucket.uri("out")
    write(out, models=FIRST)
    last = {
        "claim": "json",
        "file": f"{PLACE}/health.parquet",
        "copy": f"{KEPT}/health.parquet",
        "manifest": f"{PLACE}/manifest.json",
    }[moment]
    died = []

    def kill(number, request):
        if not died and request.startswith("PUT") and request.endswith(last):
            process.kill()
            died.append(process.wait())
        return bool(died)

    with bucket.refusing(DOWN, kill):
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.store.remote_mortal", out, str(SECOND), "force"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'kernels'}"},
        )
        process.wait(60)
    assert died == [-signal.SIGKILL]
    assert whole(out) == content[0]
    assert bool(bucket.tree("out/.locks")) == (moment != "claim")
    assert write(out, models=SECOND, force=True).revision == 2
    assert whole(out) == content[1]
    assert bucket.tree(KEPT) == content[0]
    assert not bucket.tree("out/.locks")


def test_where_the_store_goes_away_with_the_manifest_it_says_that_nobody_knows(bucket):
    out = bucket.uri("out")
    with (
        bucket.refusing(
            DOWN, lambda number, request: is_manifest(request) or is_manifest_put(bucket)
        ),
        pytest.raises(PublishError, match="whether the night is published shows when the store"),
    ):
        write(out)
    assert published(out, NIGHT) is None
    assert write(out).verify() == []


def is_manifest(request):
    return request.startswith("PUT") and request.endswith("/manifest.json")


def is_manifest_put(bucket):
    """Whether the manifest was put, or tried to be."""
    return any(map(is_manifest, bucket.gate.seen))


def test_an_answer_that_is_lost_is_looked_up_and_found_published(bucket, content):
    """The manifest is there; only the store's answer never came."""
    out = bucket.uri("out")
    lost = []

    def lose(number, request):
        if is_manifest(request) and not lost:
            lost.append(request)
            return True
        return False

    with bucket.refusing(LOST, lose):
        night = write(out, models=FIRST)
    assert lost
    assert night.verify() == []
    assert whole(out) == content[0]


def test_a_reader_is_told_that_the_store_is_down_and_not_that_the_night_is_damaged(bucket):
    out = bucket.uri("out")
    night = write(out)
    with bucket.refusing(DOWN, lambda number, request: True):
        for ask in (lambda: open_night(out), lambda: list_nights(out), night.verify):
            with pytest.raises(CalhardError, match=r"run again when it is up") as told:
                ask()
            assert "restore it" not in str(told.value)
    with (
        bucket.refusing(DENIED, lambda number, request: True),
        pytest.raises(CalhardError, match="access denied; give credentials"),
    ):
        open_night(out)
