"""The engine of one machine: order, errors, workers that die."""

import multiprocessing
import os
from pathlib import Path
from pickle import PicklingError

import pytest

from calhard.engines import LocalEngine
from calhard.engines.local import usable_cores
from calhard.errors import CalhardError
from tests.engines import work

BOTH = pytest.mark.parametrize("workers", [1, 2])


@BOTH
def test_results_come_in_the_order_of_the_tasks(workers):
    assert list(LocalEngine(workers).map(work.square, range(9))) == [x * x for x in range(9)]


def test_a_slow_first_task_does_not_change_the_order(tmp_path):
    tasks = [(str(tmp_path), index) for index in range(3)]
    assert list(LocalEngine(2).map(work.first_waits, tasks)) == [0, 1, 2]


@BOTH
def test_no_task_gives_no_result(workers):
    assert list(LocalEngine(workers).map(work.square, [])) == []


@BOTH
def test_a_task_that_raises_ends_the_iteration_with_that_error(workers):
    done = []
    with pytest.raises(ValueError, match="task 3 cannot be done"):
        done.extend(LocalEngine(workers).map(work.refuse_three, range(9)))
    assert done in ([], [0, 1, 2])
    results = LocalEngine(workers).map(work.refuse_three, range(9))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="task 3"):
        next(results)
    assert list(results) == []


def test_one_worker_computes_in_this_process_and_more_do_not():
    assert set(LocalEngine(1).map(work.process, range(3))) == {os.getpid()}
    assert os.getpid() not in set(LocalEngine(2).map(work.process, range(3)))


def test_one_task_needs_no_process():
    assert list(LocalEngine(2).map(work.process, [0])) == [os.getpid()]


def test_a_worker_that_is_killed_is_an_error_with_a_remedy():
    with pytest.raises(CalhardError, match=r"killed \(SIGKILL\).*--workers 1") as told:
        list(LocalEngine(2).map(work.die_at_three, range(9)))
    assert told.value.exit_code == 4


def test_a_worker_that_ends_by_itself_is_an_error_that_names_the_usual_cause():
    with pytest.raises(CalhardError, match=r"ended by itself \(exit code 3\).*__main__"):
        list(LocalEngine(2).map(work.leave, range(9)))


def test_an_error_tells_where_in_the_worker_it_came_from():
    with pytest.raises(ValueError, match="task 3") as told:
        list(LocalEngine(2).map(work.refuse_three, range(9)))
    assert "in refuse_three" in told.value.__notes__[0]


def test_what_cannot_travel_between_processes_is_told_in_words():
    with pytest.raises(CalhardError, match="a worker failed with Stubborn: 0 and more"):
        list(LocalEngine(2).map(work.raise_what_cannot_travel, range(4)))
    with pytest.raises((AttributeError, PicklingError), match="pickle"):
        list(LocalEngine(2).map(work.return_what_cannot_travel, range(4)))


def test_large_results_come_through_whole():
    found = list(LocalEngine(2).map(work.large, range(6)))
    assert [len(part) for part in found] == [1_000_000 + x for x in range(6)]


def test_a_worker_that_is_killed_while_it_sends_is_an_error_and_no_hang():
    with pytest.raises(CalhardError, match="was killed"):
        list(LocalEngine(2).map(work.die_in_sending, range(6)))


def test_no_worker_outlives_the_work_whatever_ends_it():
    before = set(multiprocessing.active_children())
    results = LocalEngine(2).map(work.process, range(50))
    workers = {next(results)}
    results.close()  # as an interrupt does
    for function in (work.refuse_three, work.die_at_three):
        with pytest.raises((ValueError, CalhardError)):
            list(LocalEngine(2).map(function, range(9)))
    workers |= set(LocalEngine(2).map(work.process, range(4)))
    assert set(multiprocessing.active_children()) == before
    assert [pid for pid in workers if Path(f"/proc/{pid}").exists()] == []


def test_all_usable_cores_are_the_default():
    assert LocalEngine().workers is None
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)
    assert LocalEngine().name == "local"
