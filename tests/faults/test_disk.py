"""FAULTS 22 and 23: the disk breaks, or the process dies, at every single step of a publish."""

import errno
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from calhard.errors import CalhardError, PublishError
from calhard.store import list_nights, open_night, published
from calhard.store.layout import Layout
from calhard.store.reader import NightReader
from tests.faults.breaking import counted, failing, killed_at, tree
from tests.store.nights import NIGHT, files, write

ROOT = Path(__file__).parents[2]
FIRST, SECOND = 3, 7
NUMBERS = {name: getattr(errno, name) for name in ("EIO", "ENOSPC", "EACCES", "EMFILE")}
REMEDIES = {
    "EIO": "check the disk",
    "ENOSPC": "the disk is full; free some space",
    "EACCES": "permission denied; give the user of the audit write access",
    "EMFILE": r"too many open files; raise the limit \(ulimit -n\)",
}


def publish(out):
    return write(out, models=FIRST)


def supersede(out):
    return write(out, models=SECOND, force=True)


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """A published night to start from, and its files."""
    out = tmp_path_factory.mktemp("old")
    return out, files(publish(out))


@pytest.fixture(scope="module")
def new(tmp_path_factory, old):
    """The files of its second revision."""
    out = tmp_path_factory.mktemp("new") / "out"
    shutil.copytree(old[0], out)
    return files(supersede(out))


@pytest.fixture(autouse=True)
def no_sync(monkeypatch):
    """Every step is taken; the machine's own disk need not be waited for."""
    monkeypatch.setattr("os.fsync", lambda handle: None)


@pytest.fixture
def no_exchange(monkeypatch):
    """As on a system that cannot swap two folders in one step."""
    monkeypatch.setattr("calhard.store.disk._swap", lambda a, b: errno.EINVAL)


@pytest.fixture(params=["exchange", "no exchange"])
def either(request):
    """With and without such a system."""
    if request.param == "no exchange":
        request.getfixturevalue("no_exchange")


def seen(out):
    """What a reader sees: the files of the night, whole; None without a night."""
    night = published(out, NIGHT)
    assert list_nights(out) == ([] if night is None else [NIGHT])
    if night is None:
        return None
    assert night.verify() == []
    return files(open_night(out))


def finished(out, content):
    """A re-run completes to the same bytes and leaves nothing else."""
    assert seen(out) == content
    assert not [name for name in tree(out) if name.startswith(".staging/")]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_any_step_of_a_publish_no_night_or_the_whole_night_is_there(tmp_path, old, after):
    steps = counted(tmp_path / "0", lambda: publish(tmp_path / "0"))
    assert {"open", "write", "fsync", "rename", "mkdir", "rmdir"} <= set(steps)
    there = []
    for step in range(len(steps)):
        out = tmp_path / f"{step}"
        shutil.rmtree(out, ignore_errors=True)
        killed_at(step, out, lambda out=out: publish(out), after=after)
        content = seen(out)
        assert content in (None, old[1])
        there.append(content is not None)
        if content is None:
            publish(out)
        else:
            supersede(out)
            assert files(NightReader(Layout(out, NIGHT).revision(1))) == old[1]
        assert not [name for name in tree(out) if name.startswith(".staging/")]
    assert there == sorted(there), "once published, it stays"
    assert True in there
    assert False in there


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_any_step_of_superseding_the_old_or_the_new_night_is_there(
    tmp_path, old, new, after, either
):
    def copy(name):
        return shutil.copytree(old[0], tmp_path / name)

    out = copy("whole")
    steps = counted(out, lambda: supersede(out))
    states = []
    for step in range(len(steps)):
        out = copy(f"{step}")
        killed_at(step, out, lambda out=out: supersede(out), after=after)
        content = seen(out)
        assert content in (old[1], new)
        states.append(content == new)
        if content == old[1]:
            supersede(out)
            finished(out, new)
        assert files(NightReader(Layout(out, NIGHT).revision(1))) == old[1]
    assert states == sorted(states)
    assert set(states) == {False, True}


@pytest.mark.parametrize("sticky", [False, True], ids=["once", "sticky"])
@pytest.mark.parametrize("name", NUMBERS)
def test_any_step_of_a_publish_may_fail_and_nothing_partial_is_published(
    tmp_path, old, name, sticky
):
    steps = counted(tmp_path / "whole", lambda: publish(tmp_path / "whole"))
    refused = 0
    for step in range(len(steps)):
        out = tmp_path / f"{step}"
        refused += fails(out, publish, (name, step, sticky), before=None, content=old[1])
    assert refused > len(steps) / 2


@pytest.mark.parametrize("sticky", [False, True], ids=["once", "sticky"])
@pytest.mark.parametrize("name", ["EIO", "ENOSPC"])
def test_any_step_of_superseding_may_fail_and_the_old_night_or_the_new_one_is_there(
    tmp_path, old, new, name, sticky
):
    superseding_fails_at_every_step(tmp_path, old, new, name, sticky)


@pytest.mark.usefixtures("no_exchange")
@pytest.mark.parametrize("sticky", [False, True], ids=["once", "sticky"])
@pytest.mark.parametrize("name", ["EACCES", "EMFILE"])
def test_any_step_of_superseding_may_fail_where_no_system_swaps_folders(
    tmp_path, old, new, name, sticky
):
    superseding_fails_at_every_step(tmp_path, old, new, name, sticky)


def superseding_fails_at_every_step(tmp_path, old, new, name, sticky):
    whole = shutil.copytree(old[0], tmp_path / "whole")
    steps = counted(whole, lambda: supersede(whole))
    refused = 0
    for step in range(len(steps)):
        out = shutil.copytree(old[0], tmp_path / f"{step}")
        refused += fails(out, supersede, (name, step, sticky), before=old[1], content=new)
        kept = Layout(out, NIGHT).revision(1)
        assert files(NightReader(kept)) == old[1]
    assert refused > len(steps) / 2


def fails(out, work, fault, *, before, content):
    """Let one step fail; return whether that was told. Then a re-run completes."""
    name, step, sticky = fault
    told = None
    with failing(NUMBERS[name], step, out, sticky=sticky):
        try:
            work(out)
        except PublishError as e:
            told = e
    there = seen(out)
    if told is None or "is published, but" in str(told):
        assert there == content  # a failure to tidy up, or to confirm, is no failure to publish
    else:
        assert there == before
        assert told.exit_code == 4
        assert "nothing was published: " in str(told)
        assert pytest.raises(PublishError, match=REMEDIES[name]).matches(told)
    if there == before:
        work(out)
        finished(out, content)
    return told is not None


def test_a_process_that_is_really_killed_leaves_the_old_or_the_new_night(tmp_path, old, new):
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.killed", str(old[0]), str(tmp_path)],
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'kernels'}", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    steps = json.loads(done.stdout)
    assert len(steps["publish"]) > 5
    assert len(steps["supersede"]) > 7
    for step in steps["publish"]:
        out = tmp_path / f"publish-{step}"
        assert seen(out) in (None, old[1])
        if seen(out) is None:
            publish(out)
            finished(out, old[1])
    for step in steps["supersede"]:
        out = tmp_path / f"supersede-{step}"
        assert seen(out) in (old[1], new)
        if seen(out) == old[1]:
            supersede(out)
            finished(out, new)
        assert files(NightReader(Layout(out, NIGHT).revision(1))) == old[1]


def test_a_refusal_that_no_remedy_is_known_for_is_told_all_the_same(tmp_path):
    broken = failing(errno.EDOM, 5, tmp_path / "out", sticky=False)
    told = pytest.raises(CalhardError, match="nothing was published: check the disk")
    with broken, told as caught:
        publish(tmp_path / "out")
    assert caught.value.exit_code == 4
