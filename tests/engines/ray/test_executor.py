"""FAULTS 19 to 21 on a real Ray: what kills, stops or starves a worker is told as such."""

import os
import select
import signal
from contextlib import contextmanager
from pathlib import Path

import pytest

from calhard.engines import Finished, Policy, Quarantined
from calhard.engines.executor import Call, Kind
from calhard.engines.on_ray import RayEngine
from calhard.errors import CalhardError
from tests.engines import work
from tests.engines.ray import work as more
from tests.engines.ray.work import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("own_ray")]


@contextmanager
def executor(**options):
    with RayEngine(**options).executor() as entered:
        yield entered


def told(entered, *calls):
    """The outcomes of calls, in their order."""
    tickets = [entered.start(call) for call in calls]
    found = {}
    while len(found) < len(calls):
        found.update(entered.wait(None))
    return [found[ticket] for ticket in tickets]


def test_results_come_in_the_order_of_the_tasks():
    engine = RayEngine()
    assert list(engine.map(work.square, range(40))) == [x * x for x in range(40)]
    assert list(engine.map(work.square, [])) == []
    assert engine.name == "ray"


def test_a_function_travels_once_whatever_it_holds():
    function = more.Heavy()
    found = list(RayEngine().map(function, range(20)))
    assert function.pickled == 1
    assert {times for _, times in found} == {1}
    assert len({process for process, _ in found}) <= 2


def test_workers_have_one_thread_no_card_and_the_drivers_folder():
    assert set(RayEngine().map(more.threads, range(4))) == {(1, "1", "")}
    assert set(RayEngine().map(more.folder, range(4))) == {str(Path.cwd())}


def test_an_error_of_a_task_is_told_as_it_was_raised():
    with executor() as entered:
        wrong, memory, odd = told(
            entered,
            Call(work.refuse_three, 3),
            Call(more.hungry, 0),
            Call(work.return_what_cannot_travel, 0),
        )
    assert (wrong.kind, type(wrong.error)) == (Kind.ERROR, ValueError)
    assert str(wrong.error) == "task 3 cannot be done"
    assert "In a worker process" in wrong.error.__notes__[0]
    assert (memory.kind, str(memory.error)) == (Kind.MEMORY, "too many rows")
    assert odd.kind is Kind.ERROR


def test_a_worker_that_dies_is_told_as_a_crash_and_nothing_of_ray_reaches_stdout(capfd):
    with executor() as entered:
        died, sound = told(entered, Call(work.die, 0), Call(work.square, 3))
    assert (died.kind, sound.value) == (Kind.CRASH, 9)
    assert str(died.error).startswith("a worker process died on Ray; nothing was published")
    assert capfd.readouterr().out == ""


def test_a_worker_that_is_killed_amid_its_work_loses_nothing(tmp_path):
    tasks = [(str(tmp_path), index) for index in range(6)]
    results = RayEngine().run(more.tell_and_wait, tasks, Policy())
    pid = tmp_path / "pid"
    with executor() as entered:  # what it shares with the loop's is the cluster
        ticket = entered.start(Call(more.tell_and_wait, tasks[0]))
        wait_for(pid)
        os.kill(int(pid.read_text()), signal.SIGKILL)
        ((ended, outcome),) = entered.wait(None)
    assert (ended, outcome.kind) == (ticket, Kind.CRASH)
    assert [settled.value for settled in results] == list(range(6))


def test_a_task_that_crashes_once_is_tried_again(tmp_path):
    tasks = [(str(tmp_path), index) for index in range(3)]
    assert list(RayEngine().map(work.die_once, tasks)) == [0, 1, 2]


def test_what_crashes_stops_or_starves_every_worker_is_narrowed_down_to_it():
    tasks = [list(range(10)), [11, 12, 13], [31], [77], [90]]
    policy = Policy(attempts=1, timeout=3.0, quarantine=True)
    settled = list(RayEngine().run(work.add_up, tasks, policy, work.halves))
    good = sum(s.value for s in settled if isinstance(s, Finished))
    bad = {s.task[0]: s.reason for s in settled if isinstance(s, Quarantined)}
    assert good == sum(range(10)) + 11 + 12 + 90
    assert bad == {
        13: "a worker process died on Ray",
        31: "a task took more than 3 s and was ended",
        77: "out of memory",
    }


def test_a_call_that_is_cancelled_ends_though_it_hangs(tmp_path):
    with executor() as entered:
        waits = entered.start(Call(wait_for, tmp_path / "never"))
        stops = entered.start(Call(more.stop, tmp_path / "stopped"))
        assert entered.wait(0) == []
        wait_for(tmp_path / "stopped")
        while not more.is_stopped((tmp_path / "stopped").read_text()):
            pass
        entered.cancel(waits)
        entered.cancel(stops)
        entered.cancel(stops)
        found = []
        while len(found) < 2:
            found += entered.wait(None)
        assert {ticket: outcome.kind for ticket, outcome in found} == {
            waits: Kind.CANCELLED,
            stops: Kind.CANCELLED,
        }
        entered.cancel(waits)  # told already: nothing changes
        assert told(entered, Call(work.square, 5))[0].value == 25


def test_a_straggler_gets_a_copy_and_is_cancelled_when_that_is_faster(tmp_path):
    tasks = [(str(tmp_path), index) for index in range(6)]
    policy = Policy(speculate=3.0, speculate_after=0.5)
    settled = RayEngine().run(more.hang_the_first_time, tasks, policy)
    assert [s.value for s in settled] == list(range(6))


def test_what_is_left_behind_is_ended(tmp_path):
    results = RayEngine().map(more.tell_and_wait, [(str(tmp_path), i) for i in (1, 0)])
    assert next(results) == 1
    wait_for(tmp_path / "pid")
    worker = os.pidfd_open(int((tmp_path / "pid").read_text()))
    results.close()
    assert select.select([worker], [], [], 60)[0] == [worker]
    os.close(worker)


# --- cards ------------------------------------------------------------------------------------


def test_an_actor_holds_the_card_and_computes_all_calls():
    found = list(RayEngine(gpus=1.0).map(more.card, range(6)))
    assert len({process for process, _ in found}) == 1
    assert {cards for _, cards in found} == {"0"}


def test_two_halves_of_a_card_are_two_actors():
    with executor(gpus=0.5) as entered:
        assert entered.slots == 2
        found = told(entered, *[Call(more.card, i) for i in range(2)])
    assert len({outcome.value[0] for outcome in found}) == 2
    assert {outcome.value[1] for outcome in found} == {"0"}


def test_an_actor_that_dies_is_replaced_and_one_that_hangs_is_killed(tmp_path):
    with executor(gpus=1.0) as entered:
        assert [o.kind for o in told(entered, Call(work.die, 0))] == [Kind.CRASH]
        hangs = entered.start(Call(wait_for, tmp_path / "never"))
        entered.cancel(hangs)
        assert [(t, o.kind) for t, o in entered.wait(None)] == [(hangs, Kind.CANCELLED)]
        assert [o.kind for o in told(entered, Call(more.hungry, 0))] == [Kind.MEMORY]
        assert told(entered, Call(work.square, 4))[0].value == 16


def test_more_cards_than_there_are_is_told_at_once():
    with pytest.raises(CalhardError, match="no node of the Ray cluster has 1 CPU and 2 GPU"):
        list(RayEngine(gpus=2.0).map(work.square, [1]))


# --- versions ---------------------------------------------------------------------------------


def test_workers_with_another_calhard_are_refused_before_any_work(monkeypatch):
    other = {"calhard": "9.9 (abc)", "python": "3.11"}
    monkeypatch.setattr("calhard.engines.on_ray.nodes.versions", lambda: other)
    with pytest.raises(CalhardError, match=r"on node 127\S+ have calhard .* instead of 9.9 \(abc"):
        list(RayEngine().map(work.square, [1]))


def test_a_node_that_joins_later_is_checked_with_its_first_task(monkeypatch):
    other = {"calhard": "9.9 (abc)", "python": "3.11"}
    monkeypatch.setattr("calhard.engines.on_ray.engine.versions", lambda: other)
    with pytest.raises(CalhardError, match=r"instead of 9.9 \(abc\).*; put one and the same wheel"):
        list(RayEngine().map(work.square, [1]))
