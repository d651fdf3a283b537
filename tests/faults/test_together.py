"""FAULTS 25 and 36: audits beside one another, interrupted ones, workers that die."""

import fcntl
import multiprocessing
import os
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from calhard.engines import LocalEngine
from calhard.engines.workers import CONTEXT
from calhard.errors import CalhardError, NightInProgress
from calhard.pipeline import run_audit
from calhard.plan import AuditPlan
from calhard.store import NightReader, list_nights, open_night
from calhard.store.layout import Layout
from tests.engines import work
from tests.faults.actors import meet, race
from tests.faults.breaking import tree
from tests.faults.fleets import NIGHT, audit, contents, write_history

ROOT = Path(__file__).parents[2]
DAY = 86_400_000_000


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    return write_history(tmp_path_factory.mktemp("fleet") / "history")


@pytest.fixture(scope="module")
def sound(history, tmp_path_factory):
    """The files of an undisturbed night."""
    out = tmp_path_factory.mktemp("sound")
    audit(history, out)
    return contents(out)


# --- side by side -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def six():
    """Six processes that begin at the same moment."""
    context = multiprocessing.get_context(CONTEXT)
    if CONTEXT == "forkserver":
        context.set_forkserver_preload(["tests.faults.actors"])
    with ProcessPoolExecutor(
        6, mp_context=context, initializer=meet, initargs=(context.Barrier(6),)
    ) as pool:
        yield pool


def test_of_six_audits_of_one_night_exactly_one_publishes(history, tmp_path, sound, six):
    told = Counter(six.map(race, [(history, tmp_path, False)] * 6))
    assert told["published", 0] == 1
    assert told["in progress", 75] + told["there", 0] == 5
    assert open_night(tmp_path).revision == 1
    assert contents(tmp_path) == sound
    assert not [name for name in tree(tmp_path) if name.startswith(".staging/")]


def test_of_six_forced_audits_every_one_publishes_a_revision_or_says_in_progress(
    history, tmp_path, sound, six
):
    audit(history, tmp_path)
    told = Counter(six.map(race, [(history, tmp_path, True)] * 6))
    published = told["published", 0]
    assert published >= 1
    assert published + told["in progress", 75] == 6
    assert open_night(tmp_path).revision == published + 1
    assert contents(tmp_path) == sound
    layout = Layout(tmp_path, NIGHT)
    for number in range(1, published + 1):
        kept = NightReader(layout.revision(number))
        assert kept.revision == number
        assert kept.verify() == []


def test_a_second_audit_of_the_same_night_is_refused_while_the_first_is_at_work(
    history, tmp_path, sound
):
    refused = []

    def second(stage, done, total, rows):
        if done == 0:
            with pytest.raises(NightInProgress, match="being written by process") as told:
                audit(history, tmp_path)
            refused.append((stage, told.value.exit_code))

    audit(history, tmp_path, progress=second)
    assert refused[0] == ("assess", 75)
    assert {code for _, code in refused} == {75}
    assert len(refused) > 2
    assert contents(tmp_path) == sound


def test_an_audit_of_another_night_is_not_disturbed(history, tmp_path, sound):
    nights = []

    def other(stage, done, total, rows):
        if (stage, done) == ("judge", 0):
            report = audit(history, tmp_path, as_of_us=latest - DAY)
            nights.append((report.night, report.fresh))

    latest = 1_780_272_000_000_000
    audit(history, tmp_path, progress=other)
    assert nights == [("2026-05-30", True)]
    assert list_nights(tmp_path) == ["2026-05-30", NIGHT]
    told, alone = contents(tmp_path), dict(sound)
    page, _ = told.pop("report.html"), alone.pop("report.html")
    assert told == alone
    assert b"2026-05-30" in page  # the night before, published meanwhile, is what it compares with
    assert open_night(tmp_path, "2026-05-30").verify() == []


def test_a_night_published_between_the_look_and_the_lock_is_not_written_again(
    history, tmp_path, monkeypatch, sound
):
    real, faster = fcntl.flock, []

    def flock(handle, operation):
        if not faster:
            faster.append(True)
            assert audit(history, tmp_path).fresh
        return real(handle, operation)

    monkeypatch.setattr("fcntl.flock", flock)
    late = audit(history, tmp_path)
    assert not late.fresh
    assert open_night(tmp_path).revision == 1
    assert contents(tmp_path) == sound


def test_a_lock_file_of_a_dead_process_does_not_block_an_audit(history, tmp_path, sound):
    lock = Layout(tmp_path, NIGHT).lock
    lock.parent.mkdir(parents=True)
    lock.write_text("process 4194304 on a machine that was switched off")
    assert audit(history, tmp_path).fresh
    assert contents(tmp_path) == sound


# --- interrupted ------------------------------------------------------------------------------


def stalled(history, out, workers, stage):
    """Start an audit and return it when it has done one shard of a stage and waits."""
    running = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.stalled", history, out, str(workers), stage],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'kernels'}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    ready = running.stdout.readline()
    assert ready == "ready 3\n", ready + running.communicate()[1]
    return running


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupt_leaves_nothing_published_and_what_was_done_to_go_on_with(
    history, tmp_path, sound, workers
):
    running = stalled(history, tmp_path, workers, "judge")
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=60)  # ends when no worker holds its output any more
    assert running.returncode != 0
    assert errors.rstrip().endswith("KeyboardInterrupt")
    left = set(tree(tmp_path)) - {f".locks/night={NIGHT}"}
    assert left
    assert {name.split("/")[1] for name in left} == {f"scratch={NIGHT}"}
    assert audit(history, tmp_path).fresh
    assert contents(tmp_path) == sound


def test_an_audit_that_is_killed_takes_its_workers_along_and_nothing_stays_after_the_next_run(
    history, tmp_path, sound
):
    running = stalled(history, tmp_path, 2, "assess")
    running.kill()
    running.communicate(timeout=60)  # ends when no worker holds its output any more
    assert running.returncode == -signal.SIGKILL
    assert list_nights(tmp_path) == []
    assert any(name.startswith(".staging/") for name in tree(tmp_path))
    assert audit(history, tmp_path).fresh
    assert contents(tmp_path) == sound
    assert not [name for name in tree(tmp_path) if name.startswith(".staging/")]


@dataclass(frozen=True)
class Deadly:
    """Two workers, and whatever they compute kills them."""

    name = "local"

    def run(self, function, tasks, policy, split=None):
        return LocalEngine(2).run(work.die, [*tasks, *tasks], policy, work.die)


def test_workers_that_are_all_killed_end_the_audit_with_a_remedy_and_nothing_published(
    history, tmp_path
):
    with pytest.raises(CalhardError, match=r"nothing was published\. Try fewer workers"):
        run_audit(history, AuditPlan(), out=tmp_path, engine=Deadly())
    assert list_nights(tmp_path) == []
    assert set(tree(tmp_path)) == {f".locks/night={NIGHT}"}
