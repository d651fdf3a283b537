"""Real worker processes that crash, hang, take all memory or are killed from outside."""

import os
import random
import signal
import threading

import pytest

from calhard.engines import Finished, LocalEngine, Policy, Quarantined
from calhard.engines.executor import Call, Kind
from calhard.engines.here import Here
from calhard.engines.loop import Loop
from calhard.engines.oom import Killings, system_killings
from calhard.engines.workers import Processes
from tests.engines import work

PATIENT = Policy(quarantine=True, fatal=())


def told(executor, function, task):
    """Return what comes of one call."""
    ticket = executor.start(Call(function, task))
    ((ended, outcome),) = executor.wait(None)
    assert ended == ticket
    return outcome


def test_a_worker_that_dies_is_replaced_and_the_others_go_on():
    with Processes(2) as executor:
        assert told(executor, work.die_at_three, 3).kind is Kind.CRASH
        first = told(executor, work.process, 0).value
        assert told(executor, work.process, 0).value == first
        os.kill(first, signal.SIGKILL)  # while it is idle: nobody's task fails
        executor._idle[0].process.join()
        assert told(executor, work.square, 5).value == 25


def test_every_death_has_its_kind_and_words_for_it():
    with Processes(1) as executor:
        left = told(executor, work.leave, 2)
        assert (left.kind, "exit code 3" in str(left.error)) == (Kind.CRASH, True)
        fault = told(executor, work.add_up, [13])
        assert (fault.kind, "SIGSEGV" in str(fault.error)) == (Kind.CRASH, True)
        wrong = told(executor, work.refuse_three, 3)
        assert (wrong.kind, type(wrong.error)) == (Kind.ERROR, ValueError)


def test_a_lack_of_memory_is_told_as_such_and_its_worker_is_not_used_again():
    with Processes(1) as executor:
        before = told(executor, work.process, 0).value
        hungry = told(executor, work.add_up, [77])
        assert (hungry.kind, type(hungry.error)) == (Kind.MEMORY, MemoryError)
        assert told(executor, work.process, 0).value != before
    with Here() as executor:
        assert told(executor, work.add_up, [77]).kind is Kind.MEMORY


def test_a_killing_is_the_systems_when_its_counter_has_risen(tmp_path):
    counter = tmp_path / "vmstat"
    counter.write_text("nr_free_pages 5\noom_kill 3\n")
    killings = Killings(counter)
    assert not killings.by_the_system()
    counter.write_text("nr_free_pages 5\noom_kill 4\n")
    assert killings.by_the_system()
    assert not killings.by_the_system()
    assert system_killings(tmp_path / "none") is None
    assert Killings(tmp_path / "none").by_the_system()


@pytest.mark.parametrize(("risen", "kind"), [(True, Kind.MEMORY), (False, Kind.CRASH)])
def test_a_sigkill_counts_as_lack_of_memory_only_if_the_system_says_so(monkeypatch, risen, kind):
    monkeypatch.setattr(Killings, "by_the_system", lambda self: risen)
    with Processes(1) as executor:
        assert told(executor, work.die, 0).kind is kind


def test_a_call_that_hangs_is_ended_by_cancelling_it():
    with Processes(1) as executor:
        ticket = executor.start(Call(work.add_up, [31]))
        assert executor.wait(0.0) == []
        executor.cancel(ticket)
        ((ended, outcome),) = executor.wait(None)
        assert (ended, outcome.kind) == (ticket, Kind.CANCELLED)
        executor.cancel(ticket)
        assert told(executor, work.add_up, [1]).value == 1


def test_leaving_ends_workers_that_hang():
    with Processes(2) as executor:
        pid = told(executor, work.process, 0).value
        executor.start(Call(work.add_up, [31]))
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_call_that_is_taken_back_is_not_computed_here():
    with Here() as executor:
        ticket = executor.start(Call(work.die, 0))
        executor.cancel(ticket)
        ((ended, outcome),) = executor.wait(None)
        assert (ended, outcome.kind) == (ticket, Kind.CANCELLED)


def test_a_task_whose_worker_dies_is_tried_again(tmp_path):
    tasks = [(str(tmp_path), index) for index in range(5)]
    assert list(LocalEngine(2).map(work.die_once, tasks)) == list(range(5))


def test_an_isolating_policy_computes_a_single_task_in_another_process():
    for workers in (1, 2):
        (done,) = LocalEngine(workers).run(work.process, [0], Policy(isolate=True))
        assert done.value != os.getpid()
        (done,) = LocalEngine(workers).run(work.process, [0], Policy())
        assert done.value == os.getpid()
    assert list(LocalEngine(1).run(work.process, [], Policy(isolate=True))) == []


def test_poison_is_split_off_and_everything_else_is_computed():
    tasks = [list(range(24)), [31], list(range(70, 82))]
    policy = Policy(attempts=2, timeout=2.0, quarantine=True, fatal=())
    settled = list(LocalEngine(3).run(work.add_up, tasks, policy, work.halves))
    assert [n for s in settled for n in s.task] == [n for task in tasks for n in task]
    given_up = {s.task[0]: s.reason for s in settled if isinstance(s, Quarantined)}
    assert set(given_up) == {13, 31, 77}
    assert "SIGSEGV" in given_up[13]
    assert given_up[31] == "a task took more than 2 s and was ended"
    assert given_up[77] == "out of memory"
    sums = sum(s.value for s in settled if isinstance(s, Finished))
    assert sums == sum(map(sum, tasks)) - 13 - 31 - 77


def test_what_kills_even_the_worker_that_splits_it_is_given_up_as_it_is():
    tasks = [[1, 13, 2], [3, 4]]
    settled = list(LocalEngine(2).run(work.add_up, tasks, PATIENT, work.halves_or_die))
    assert [type(s) for s in settled] == [Quarantined, Finished]
    assert settled[0].task == [1, 13, 2]


@pytest.mark.parametrize("seed", range(3))
def test_workers_killed_at_random_moments_change_no_result(seed):
    chance = random.Random(seed)
    policy = Policy(attempts=1_000)
    with Processes(3) as executor:
        loop = Loop(executor, work.slowly_squared, range(60), policy)
        stop = threading.Event()

        def kill():
            for _ in range(12):
                if stop.wait(chance.uniform(0.0, 0.03)):
                    return
                workers = [worker for _, worker in list(executor._busy.values())]
                if workers:
                    chance.choice(workers).process.kill()

        killer = threading.Thread(target=kill)
        killer.start()
        try:
            settled = list(loop.results())
        finally:
            stop.set()
            killer.join()
    assert [s.value for s in settled] == [x * x for x in range(60)]
