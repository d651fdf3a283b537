"""FAULTS 22 to 24: the disk breaks, or the process dies, at every step of a run."""

import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import calhard
import calhard_kernels
from calhard.errors import PublishError
from calhard.prepare.columns import ORIGIN
from calhard.store.staged import STAGING
from tests.faults.breaking import counted, failing, killed_at
from tests.prepare.made import content, prepare, rows, seen, small, write
from tests.prepare.test_same import bits

REMEDIES = {
    "EIO": "check the disk",
    "ENOSPC": "the disk is full; free some space",
    "EACCES": "write access, or choose another OUT",
    "EMFILE": r"too many open files; raise the limit \(ulimit -n\)",
}


@pytest.fixture(autouse=True, scope="module")
def tiny():
    with pytest.MonkeyPatch.context() as patch:
        small(patch, part=100, ranges=80, group=40, spill=70, task=200)
        yield


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A prepared folder, its history with another day of which a part is split, and the outcome."""
    folder = tmp_path_factory.mktemp("start")
    rng = np.random.default_rng(0)
    first = rows(rng, [f"m{i}" for i in range(8)], ["c"], size=200, sound=True)
    second = rows(rng, ["m1", "m2-0", "m2-1", "m2-2"], ["c"], size=150, sound=True)
    write(folder / "h" / "a.parquet", first)
    prepare(folder / "h", folder / "old")
    write(folder / "h" / "b.parquet", second)
    shutil.copytree(folder / "old", folder / "new")
    prepare(folder / "h", folder / "new")
    old, new = content(folder / "old"), content(folder / "new")
    assert len(set(new) - set(old)) >= 1  # a split part
    assert 1 < sum(new[n] != old[n] for n in old) < len(old)  # written again, and left alone
    return folder, old, new


def assert_readable(out, old, new):
    """Every part is old or new as a whole; no row of the old ones is missing."""
    found = {}
    for path in out.glob("*.parquet"):
        found[path.name] = path.read_bytes()
        assert found[path.name] in (old.get(path.name), new.get(path.name)), path.name
    if old:
        there, least = (multiset(out.glob("*.parquet")), multiset_of(old))
        assert least <= there
    return found


def multiset(paths):
    return set(bits(pa.concat_tables([pq.read_table(p) for p in paths]).drop_columns([ORIGIN])))


def multiset_of(old):
    tables = [pq.read_table(pa.BufferReader(v)) for n, v in old.items() if n.endswith(".parquet")]
    return set(bits(pa.concat_tables(tables).drop_columns([ORIGIN])))


def parts(found):
    return {name: data for name, data in found.items() if name.endswith(".parquet")}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_any_step_the_folder_is_readable_and_a_rerun_completes_it(tmp_path, start, after):
    folder, old, new = start

    def run(out):
        return prepare(folder / "h", out)

    whole = shutil.copytree(folder / "old", tmp_path / "whole")
    steps = counted(whole, lambda: run(whole))
    assert {"open", "write", "fsync", "rename", "mkdir", "unlink", "rmdir"} <= set(steps)
    states = set()
    for step in range(int(after), len(steps), 5):
        out = shutil.copytree(folder / "old", tmp_path / f"{step}")
        killed_at(step, out, lambda out=out: run(out), after=after)
        states.add(assert_readable(out, old, new) == parts(new))
        run(out)
        assert content(out) == new
        assert not (out / STAGING).exists()
    assert states == {False, True}


def test_killed_at_any_step_of_the_first_run_a_rerun_completes_it(tmp_path, start):
    folder, _, _ = start

    def run(out):
        return prepare(folder / "h", out)

    run(tmp_path / "whole")
    new = content(tmp_path / "whole")
    steps = counted(tmp_path / "0", lambda: run(tmp_path / "0"))
    for step in range(0, len(steps), 9):
        out = tmp_path / f"{step}"
        shutil.rmtree(out, ignore_errors=True)
        killed_at(step, out, lambda out=out: run(out), after=False)
        assert_readable(out, {}, new)
        run(out)
        assert content(out) == new


def test_killed_at_any_step_of_a_forced_run_no_row_that_is_there_still_is_missing(tmp_path, start):
    folder, _, new = start

    def run(out):
        return prepare(folder / "h", out, force=True)

    whole = shutil.copytree(folder / "new", tmp_path / "whole")
    steps = counted(whole, lambda: run(whole))
    left = content(whole)
    assert parts(left).keys().isdisjoint(parts(new))
    rows_there = multiset_of(new)
    for step in range(len(steps) // 2, len(steps), 6):
        out = shutil.copytree(folder / "new", tmp_path / f"{step}")
        killed_at(step, out, lambda out=out: run(out), after=False)
        assert multiset(out.glob("*.parquet")) == rows_there
        prepare(folder / "h", out)
        assert seen(out) == seen(whole)


@pytest.mark.parametrize("name", REMEDIES)
def test_any_step_may_fail_which_is_told_and_a_rerun_completes_it(tmp_path, start, name):
    """Each error at every fourth step, once and for good by turns: all together at every one."""
    folder, old, new = start
    whole = shutil.copytree(folder / "old", tmp_path / "whole")
    steps = counted(whole, lambda: prepare(folder / "h", whole))
    refused = 0
    for step in range(list(REMEDIES).index(name), len(steps), len(REMEDIES)):
        out = shutil.copytree(folder / "old", tmp_path / f"{step}")
        sticky = (step // len(REMEDIES)) % 2 == 1
        broken = failing(getattr(errno, name), step, out, sticky=sticky)
        told = failed(folder / "h", out, broken)
        refused += told is not None
        if told is None:
            assert parts(content(out)) == parts(new)
        elif "the prepared history is as it was" in str(told):
            assert pytest.raises(PublishError, match=REMEDIES[name]).matches(told)
            assert assert_readable(out, old, new) == parts(old)
        else:
            assert "mend the disk and run the same again" in str(told)
        assert_readable(out, old, new)
        prepare(folder / "h", out)
        assert content(out) == new
        assert not (out / STAGING).exists()
    assert refused > len(steps) / 2 / len(REMEDIES)


def failed(history, out, broken):
    """Return what a run tells of a disk that breaks, None if it came through."""
    with broken:
        try:
            prepare(history, out)
        except PublishError as e:
            return e
    return None


def test_a_process_that_is_really_killed_leaves_what_the_next_one_completes(tmp_path, start):
    folder, old, _ = start
    out = shutil.copytree(folder / "old", tmp_path / "out")
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(folder / "h"), str(out)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(ROOTS)},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    assert (out / STAGING).exists()
    assert assert_readable(out, old, old) == parts(old)
    prepare(folder / "h", out)
    assert seen(out) == seen(folder / "h")
    assert not (out / STAGING).exists()


ROOTS = [str(Path(package.__file__).parents[1]) for package in (calhard, calhard_kernels)]
KILLED = """
import os, signal, sys
from calhard.engines import LocalEngine
from calhard.plan import AuditPlan
from calhard.prepare import prepare_history

def die(stage, done, total, rows):
    if stage == "write" and done:
        os.kill(os.getpid(), signal.SIGKILL)

prepare_history(*sys.argv[1:], plan=AuditPlan(), engine=LocalEngine(1), progress=die)
"""
