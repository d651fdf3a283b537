"""FAULTS 22 and 36: a night that was ended goes on where it ended, with the same bytes."""

import os
import random
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from calhard.engines import LocalEngine
from calhard.engines.loop import Loop
from calhard.errors import CalhardError
from calhard.history import shards
from calhard.pipeline import run_audit, tasks
from calhard.pipeline.assessed import STAGE
from calhard.plan import AuditPlan
from calhard.store import list_nights
from calhard.store.layout import Layout
from tests.faults.breaking import tree
from tests.faults.fleets import NIGHT, audit, contents, coverage, write_history
from tests.faults.sick import SickEngine

ROOT = Path(__file__).parents[2]
NAMES = [(name, "c") for name in "abdeg"]


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    return write_history(tmp_path_factory.mktemp("fleet") / "history", NAMES)


@pytest.fixture(scope="module")
def sound(history, tmp_path_factory):
    """The files of an undisturbed night."""
    out = tmp_path_factory.mktemp("sound")
    audit(history, out)
    return contents(out)


@pytest.fixture(autouse=True)
def a_shard_for_each_model(monkeypatch):
    monkeypatch.setattr(
        "calhard.history.open.ordered_shards", partial(shards.ordered_shards, target=1)
    )


class Ended(BaseException):
    """The run ends here."""


def ended_at(stage, done):
    """Return a progress that ends the run."""

    def tell(now, so_far, total, rows):
        if (now, so_far) == (stage, done):
            raise Ended

    return tell


def end(history, out, stage, done, **more):
    """Audit up to some shard of a stage."""
    with pytest.raises(Ended):
        audit(history, out, progress=ended_at(stage, done), **more)
    assert list_nights(out) == []


def resumed(history, out, plan=None, **more):
    """Audit; return what was resumed, and how many shards were read to be assessed."""
    told, read = [], []
    real = tasks.read_blocks

    def reading(spec, *rest):
        read.append(spec)
        return real(spec, *rest)

    def tell(stage, done, total, rows):
        if stage == "resume":
            told.append((done, total))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasks, "read_blocks", reading)
        audit(history, out, plan, progress=tell, **more)
    return told, len(read)


def scratch(out):
    """The run folders that are left."""
    return sorted(Layout(out, NIGHT).scratch.glob("*"))


@pytest.mark.parametrize(
    ("stage", "done", "left"),
    [("assess", 1, 1), ("assess", 3, 3), ("judge", 2, 5), ("decide", 1, 5), ("series", 2, 5)],
)
def test_a_run_that_ended_is_gone_on_with(history, tmp_path, sound, stage, done, left):
    end(history, tmp_path, stage, done)
    assert resumed(history, tmp_path) == ([(left, 5)], 5 - left)
    assert contents(tmp_path) == sound
    assert not Layout(tmp_path, NIGHT).scratch.exists()


def test_a_run_that_never_ended_resumes_nothing(history, tmp_path, sound):
    assert resumed(history, tmp_path) == ([], 5)
    assert contents(tmp_path) == sound


def test_a_run_may_end_time_and_again(history, tmp_path, sound):
    for stage, done in [("assess", 2), ("assess", 4), ("judge", 1), ("judge", 4), ("series", 1)]:
        end(history, tmp_path, stage, done)
        assert len(scratch(tmp_path)) == 1
    assert resumed(history, tmp_path) == ([(5, 5)], 0)
    assert contents(tmp_path) == sound


def test_another_plan_moment_or_history_is_another_run_and_sweeps_the_first(tmp_path):
    history = write_history(tmp_path / "history", NAMES)
    out = tmp_path / "out"
    as_of = 1_780_272_000_000_000 - 3_600_000_000
    end(history, out, "assess", 3)
    (first,) = scratch(out)
    plan = AuditPlan.from_text("[calibration.hardening.regression]\nmin_effect_size = 0.9")
    end(history, out, "assess", 3, plan=plan)
    end(history, out, "assess", 3, as_of_us=as_of)
    os.utime(history / "history.parquet", ns=(1, 1))
    end(history, out, "assess", 3)
    (last,) = scratch(out)
    assert last != first
    assert resumed(history, out) == ([(3, 5)], 2)


def test_other_code_is_another_run(history, tmp_path, monkeypatch):
    end(history, tmp_path, "assess", 3)
    monkeypatch.setattr("calhard.pipeline.resume.code_version", lambda: "another")
    assert resumed(history, tmp_path) == ([], 5)


@pytest.mark.parametrize("kind", ["groups", "series", "judged"])
@pytest.mark.parametrize("damage", ["flip", "cut", "gone"])
def test_what_was_damaged_meanwhile_is_computed_again(history, tmp_path, sound, kind, damage):
    end(history, tmp_path, "judge", 4)
    (folder,) = scratch(tmp_path)
    file = min(folder.glob(f"*.{kind}.arrow"))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(content if damage == "flip" else content[: len(content) // 2])
    audit(history, tmp_path)
    assert contents(tmp_path) == sound


@pytest.mark.parametrize("content", [b"", b"ARROW1", b"{}"])
def test_a_mark_that_is_no_mark_counts_for_nothing(history, tmp_path, sound, content):
    end(history, tmp_path, "assess", 4)
    (folder,) = scratch(tmp_path)
    for mark in folder.glob(f"*.{STAGE}"):
        mark.write_bytes(content)
    assert resumed(history, tmp_path)[1] == 5
    assert contents(tmp_path) == sound


def test_a_run_whose_clock_is_not_known_starts_anew(history, tmp_path, sound):
    end(history, tmp_path, "assess", 4)
    (folder,) = scratch(tmp_path)
    (folder / "run.json").write_text("{")
    assert resumed(history, tmp_path) == ([], 5)
    assert contents(tmp_path) == sound


def test_the_first_clock_rejects_the_futures_rows_of_all_shards(tmp_path):
    history = write_history(tmp_path / "history", NAMES)
    as_of = 1_780_272_000_000_000 - 5 * 86_400_000_000
    early, late = (lambda: as_of / 1e6), (lambda: as_of / 1e6 + 1e8)
    audit(history, tmp_path / "whole", as_of_us=as_of, clock=early)
    end(history, tmp_path / "out", "assess", 2, as_of_us=as_of, clock=early)
    told, _ = resumed(history, tmp_path / "out", as_of_us=as_of, clock=late)
    assert told == [(2, 5)]
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert any(
        reason == "timestamp in the future" for _, reason, *_ in coverage(tmp_path / "out", "row")
    )


def test_what_a_dead_runs_worker_still_writes_does_no_harm(history, tmp_path, sound):
    """A worker that outlives its driver finishes shards while the next driver is at work."""
    late = []

    class Dying:
        name = "local"

        def run(self, function, given, *policy):
            late.append((function, list(given)))
            raise Ended

    with pytest.raises(Ended):
        run_audit(history, AuditPlan(), out=tmp_path, engine=Dying())
    function, given = late[0]
    assert not function.folder.exists()  # nothing was done, so nothing was kept

    def meanwhile(stage, done, total, rows):
        if stage in {"assess", "judge"} and done < total:
            for spec in given:
                function(spec)
                (function.folder / f"{spec.name}.{STAGE}").unlink()
                function(spec)

    audit(history, tmp_path, progress=meanwhile)
    assert contents(tmp_path) == sound


def test_a_poison_model_is_found_again_and_the_rest_is_not_computed_again(history, tmp_path):
    engine = SickEngine("AssessShard", ("d",), "error", workers=1)
    run_audit(history, AuditPlan(), out=tmp_path / "whole", engine=engine)
    with pytest.raises(Ended):
        run_audit(
            history,
            AuditPlan(),
            out=tmp_path / "out",
            engine=engine,
            progress=ended_at("judge", 2),
        )
    run_audit(history, AuditPlan(), out=tmp_path / "out", engine=engine)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_accumulators_that_were_judged_take_no_room_any_more(history, tmp_path):
    end(history, tmp_path, "judge", 2)
    (folder,) = scratch(tmp_path)
    assert len(list(folder.glob("*.series.arrow"))) == 3
    assert len(list(folder.glob("*.judged.arrow"))) == 2


def test_a_run_that_comes_to_another_ruling_judges_all_shards_anew(tmp_path):
    """The first try lost a model of a family whose prior it had changed."""
    names = [(f"m{i:02d}", "c") for i in range(24)]
    history = write_history(tmp_path / "history", names)
    audit(history, tmp_path / "whole")
    out = tmp_path / "out"
    with pytest.raises(Ended):
        run_audit(
            history,
            AuditPlan(),
            out=out,
            engine=SickEngine("AssessShard", ("m20",), "error", workers=1),
            progress=ended_at("judge", 15),
        )
    assert resumed(history, out) == ([(23, 24)], 1 + 15)  # the lost one, and those judged before
    assert contents(out) == contents(tmp_path / "whole")


def test_a_series_that_is_in_two_shards_fails_the_night(history, tmp_path, monkeypatch):
    from calhard.pipeline import stages

    real = stages.read_assessed
    found = []

    def twice(folder, spec):
        shard, counts = real(folder, spec)
        found.append(shard)
        return found[0], counts

    monkeypatch.setattr(stages, "read_assessed", twice)
    with pytest.raises(CalhardError, match="doubled"):
        audit(history, tmp_path)
    assert list_nights(tmp_path) == []


def test_rows_that_are_lost_fail_the_night(history, tmp_path, monkeypatch):
    from calhard.pipeline import stages

    real = stages.read_assessed

    def less(folder, spec):
        shard, counts = real(folder, spec)
        counts.account.rows -= 1
        return shard, counts

    monkeypatch.setattr(stages, "read_assessed", less)
    with pytest.raises(CalhardError, match=r"rows were accounted for of .* that the footers tell"):
        audit(history, tmp_path)
    assert list_nights(tmp_path) == []


# --- processes --------------------------------------------------------------------------------


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
    assert ready == "ready 5\n", ready + running.communicate()[1]
    return running


@pytest.mark.parametrize("stage", ["assess", "judge", "series"])
def test_a_run_whose_driver_was_killed_is_gone_on_with(history, tmp_path, sound, stage):
    running = stalled(history, tmp_path, 2, stage)
    running.kill()
    running.communicate(timeout=60)  # ends when no worker holds its output any more
    assert list_nights(tmp_path) == []
    ((done, total),), read = resumed(history, tmp_path)
    assert (total, read) == (5, 5 - done)
    assert done >= 1
    assert contents(tmp_path) == sound


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_stops_a_run_in_order_and_it_is_gone_on_with(history, tmp_path, sound, workers):
    running = stalled(history, tmp_path, workers, "assess")
    running.send_signal(signal.SIGTERM)
    _, errors = running.communicate(timeout=60)
    assert (running.returncode, errors) == (143, "")
    assert {name.split("/")[1] for name in tree(tmp_path)} == {
        f"scratch={NIGHT}",
        f"night={NIGHT}",  # the lock
    }
    assert not Layout(tmp_path, NIGHT).staging.exists()
    told, _ = resumed(history, tmp_path)
    assert told[0][1] == 5
    assert contents(tmp_path) == sound


class Stubborn:
    """Three workers, killed now and then; their tasks are tried again as often."""

    name = "local"

    def __init__(self, seed):
        self.chance, self.killed = random.Random(seed), 0

    def run(self, function, given, policy, split=None):
        engine, stop = LocalEngine(3), threading.Event()
        with engine.executor(function, len(given)) as executor:
            killer = threading.Thread(target=self.kill, args=(executor, stop))
            killer.start()
            try:
                patient = replace(policy, attempts=1_000)
                yield from Loop(executor, function, given, patient, split).results()
            finally:
                stop.set()
                killer.join()

    def kill(self, executor, stop):
        while self.killed < 6 and not stop.wait(self.chance.uniform(0.0, 0.1)):
            busy = [worker for _, worker in list(executor._busy.values())]
            if busy:
                self.chance.choice(busy).process.kill()
                self.killed += 1


@pytest.mark.parametrize("seed", range(2))
def test_workers_killed_at_random_moments_change_no_byte_of_a_night(
    history, tmp_path, sound, seed, monkeypatch
):
    monkeypatch.setattr("calhard.engines.oom.Killings.by_the_system", lambda self: False)
    engine = Stubborn(seed)
    run_audit(history, AuditPlan(), out=tmp_path, engine=engine)
    assert engine.killed
    assert contents(tmp_path) == sound


def test_two_workers_go_on_where_one_ended(history, tmp_path, sound):
    end(history, tmp_path, "assess", 2)
    run_audit(history, AuditPlan(), out=tmp_path, engine=LocalEngine(2))
    assert contents(tmp_path) == sound


def test_the_command_line_tells_that_it_resumes(tmp_path):
    history = write_history(tmp_path / "history", NAMES)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "calhard.cli.main", "audit", str(history), "--out", str(out)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("calhard.history.open.ordered_shards", shards.ordered_shards)
        with pytest.raises(Ended):
            run_audit(history, AuditPlan(), out=out, progress=ended_at("judge", 1))
    done = subprocess.run(
        [*command, "--workers", "1"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "event=resuming shards=1 of=1" in done.stderr
