"""FAULTS 22 to 24: the disk breaks, or the process dies, at every step of a run."""

import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import calhard
import calhard_kernels
from calhard.errors import PublishError
from calhard.measure.folder import BINS, STAGING
from tests.faults.breaking import counted, failing, killed_at
from tests.measure.logs import (
    MANIFEST,
    content,
    days_of,
    measure,
    predictions,
    without_labels,
    write,
)

REMEDIES = {
    "EIO": "check the disk",
    "ENOSPC": "the disk is full; free some space",
    "EACCES": "write access, or choose another --history",
    "EMFILE": r"too many open files; raise the limit \(ulimit -n\)",
}


@pytest.fixture(autouse=True)
def no_sync(monkeypatch):
    """Every step is taken; the machine's own disk need not be waited for."""
    monkeypatch.setattr("os.fsync", lambda handle: None)


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A history of one month, its log with late labels and another month, and the new history."""
    folder = tmp_path_factory.mktemp("start")
    second, third, fourth = days_of(predictions(rows=10))[1:4]
    write(folder / "log", a=second, b=without_labels(third))
    measure(folder / "log", folder / "old")
    shutil.copytree(folder / "old", folder / "new")
    write(folder / "log", b=third.slice(0, 35), c=fourth, d=third.slice(35))
    measure(folder / "log", folder / "new")
    old, new = (content(folder / name, manifest=True) for name in ("old", "new"))
    assert set(new) - set(old) == {"2026-05.parquet", f"{BINS}/2026-05.parquet"}
    assert {name for name in old if old[name] == new[name]} == set()
    return folder, old, new


def parts(found):
    return {name: data for name, data in found.items() if name.endswith(".parquet")}


def there(history):
    """The parts and bins that a reader sees, each of which must be whole."""
    found = {}
    for path in [*history.glob("*.parquet"), *(history / BINS).glob("*.parquet")]:
        pq.read_table(path)
        found[path.relative_to(history).as_posix()] = path.read_bytes()
    return found


def assert_old_or_new(history, old, new):
    """Every part is old or new as a whole, and nothing else is there."""
    for name, data in there(history).items():
        assert data in (old.get(name), new.get(name)), name


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_any_step_the_history_is_readable_and_a_rerun_completes_it(
    tmp_path, start, after
):
    folder, old, new = start

    def run(history):
        return measure(folder / "log", history)

    whole = shutil.copytree(folder / "old", tmp_path / "whole")
    steps = counted(whole, lambda: run(whole))
    assert {"open", "write", "fsync", "rename", "mkdir", "unlink", "rmdir"} <= set(steps)
    states = set()
    for step in range(0, len(steps), 2):  # after a step is before the next one
        history = shutil.copytree(folder / "old", tmp_path / f"{step}")
        killed_at(step, history, lambda history=history: run(history), after=after)
        assert_old_or_new(history, old, new)
        states.add(there(history) == parts(new))
        run(history)
        assert content(history, manifest=True) == new
        assert not (history / STAGING).exists()
    assert states == {False, True}


def test_killed_at_any_step_of_the_first_run_a_rerun_completes_it(tmp_path, start):
    folder, _, _ = start

    def run(history, **more):
        return measure(folder / "log", history, **more)

    run(tmp_path / "whole")
    new = content(tmp_path / "whole", manifest=True)
    steps = counted(tmp_path / "0", lambda: run(tmp_path / "0"))
    for step in range(0, len(steps), 9):
        history = tmp_path / f"{step}"
        shutil.rmtree(history, ignore_errors=True)
        killed_at(step, history, lambda history=history: run(history), after=False)
        assert_old_or_new(history, {}, new)
        run(history)
        assert content(history, manifest=True) == new


def test_killed_at_any_step_of_a_forced_run_that_drops_a_part_a_rerun_completes_it(tmp_path, start):
    folder, _, new = start
    log = write(tmp_path / "log", c=days_of(predictions(rows=10))[3])

    def run(history):
        return measure(log, history, force=True)

    whole = shutil.copytree(folder / "new", tmp_path / "whole")
    steps = counted(whole, lambda: run(whole))
    left = content(whole, manifest=True)
    assert set(new) - set(left) == {"2026-04.parquet", f"{BINS}/2026-04.parquet"}
    for step in range(len(steps) // 2, len(steps), 2):
        history = shutil.copytree(folder / "new", tmp_path / f"{step}")
        killed_at(step, history, lambda history=history: run(history), after=False)
        assert_old_or_new(history, new, left)
        run(history)
        assert content(history, manifest=True) == left


def test_killed_again_while_a_decided_commit_is_finished_it_is_finished_still(tmp_path, start):
    folder, old, new = start

    def run(history):
        return measure(folder / "log", history)

    whole = shutil.copytree(folder / "old", tmp_path / "whole")
    steps = counted(whole, lambda: run(whole))
    decided = steps.index("rename") + 1
    history = shutil.copytree(folder / "old", tmp_path / "dead")
    killed_at(decided, history, lambda: run(history), after=False)
    assert (history / STAGING / "commit" / MANIFEST).exists()
    again = counted(shutil.copytree(history, tmp_path / "again"), lambda: run(tmp_path / "again"))
    assert content(tmp_path / "again", manifest=True) == new
    for step in range(0, len(again), 2):
        copy = shutil.copytree(history, tmp_path / f"{step}")
        killed_at(step, copy, lambda copy=copy: run(copy), after=True)
        assert_old_or_new(copy, old, new)
        run(copy)
        assert content(copy, manifest=True) == new


@pytest.mark.parametrize("name", REMEDIES)
def test_any_step_may_fail_which_is_told_and_a_rerun_completes_it(tmp_path, start, name):
    """Each error at every fourth step, once and for good by turns: all together at every one."""
    folder, old, new = start
    whole = shutil.copytree(folder / "old", tmp_path / "whole")
    steps = counted(whole, lambda: measure(folder / "log", whole))
    refused = 0
    first = list(REMEDIES).index(name)
    for step in range(first, len(steps), len(REMEDIES)):
        history = shutil.copytree(folder / "old", tmp_path / f"{step}")
        sticky = (step // len(REMEDIES)) % 2 == 1
        told = failed(
            folder / "log", history, failing(getattr(errno, name), step, history, sticky=sticky)
        )
        refused += told is not None
        if told is None:
            assert there(history) == parts(new)
        elif "the history is as it was" in str(told):
            assert pytest.raises(PublishError, match=REMEDIES[name]).matches(told)
            assert there(history) == parts(old)
        else:
            assert "mend the disk and run the same again" in str(told)
        assert_old_or_new(history, old, new)
        measure(folder / "log", history)
        assert content(history, manifest=True) == new
        assert not (history / STAGING).exists()
    assert refused > len(steps) / 2 / len(REMEDIES)


def failed(log, history, broken):
    """Return what a run tells of a disk that breaks, None if it came through."""
    with broken:
        try:
            measure(log, history)
        except PublishError as e:
            return e
    return None


def test_a_process_that_is_really_killed_leaves_what_the_next_one_completes(tmp_path, start):
    folder, old, new = start
    history = shutil.copytree(folder / "old", tmp_path / "history")
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(folder / "log"), str(history)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(ROOTS)},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    assert (history / STAGING).exists()
    assert_old_or_new(history, old, new)
    measure(folder / "log", history)
    assert content(history, manifest=True) == new
    assert not (history / STAGING).exists()


ROOTS = [str(Path(package.__file__).parents[1]) for package in (calhard, calhard_kernels)]
KILLED = """
import os, signal, sys
from calhard.engines import LocalEngine
from calhard.measure.run import measure_history
from calhard.plan import AuditPlan

def die(stage, done, total, rows):
    if stage == "merge":
        os.kill(os.getpid(), signal.SIGKILL)

measure_history(*sys.argv[1:], plan=AuditPlan(), engine=LocalEngine(1), progress=die)
"""
