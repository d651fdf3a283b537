"""The loop that owns policy, on an executor that fails as it is told to."""

import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calhard.engines import Finished, Policy, Quarantined
from calhard.engines.loop import Loop
from calhard.errors import CalhardError
from calhard.uri import StorageFailed
from tests.engines import work
from tests.engines.fake import Clock, Fake

GIVEN_UP = Policy(quarantine=True, timeout=10.0)
TOLERANT = Policy(quarantine=True, timeout=10.0, fatal=())


def carried(tasks, policy=GIVEN_UP, *, function=work.square, split=None, slots=3, **more):
    """Return what came of tasks, and the executor."""
    clock = Clock()
    with Fake(clock, slots, splitter=split, **more) as fake:
        return list(Loop(fake, function, tasks, policy, split, clock).results()), fake


def values(settled):
    return [s.value for s in settled]


RECOVERABLE = st.lists(st.sampled_from(["crash", "memory", "lost", "hang", "slow"]), max_size=2)


@settings(deadline=None, max_examples=200)
@given(st.data(), st.integers(1, 5), st.integers(0, 12), st.sampled_from([None, 1.5, 4.0]))
def test_faults_short_of_the_last_attempt_change_no_result(data, slots, size, speculate):
    faults = {task: data.draw(RECOVERABLE) for task in range(size)}
    policy = Policy(timeout=60.0, speculate=speculate)
    settled, fake = carried(range(size), policy, slots=slots, faults=faults)
    assert [s.task for s in settled] == list(range(size))
    assert values(settled) == [x * x for x in range(size)]
    assert fake.most <= slots
    assert len(fake.started) <= size + sum(map(len, faults.values())) + len(fake.cancelled)


NUMBERS = tuple(range(24))
HURT = st.lists(st.sampled_from(["crash", "memory", "lost", "hang", "error"]), max_size=3)


@settings(deadline=None, max_examples=200)
@given(st.data(), st.integers(1, 4))
def test_whatever_is_split_and_given_up_nothing_is_lost_and_nothing_doubled(data, slots):
    cuts = sorted(data.draw(st.sets(st.integers(1, 23), max_size=4)))
    edges = zip([0, *cuts], [*cuts, 24], strict=True)
    tasks = [NUMBERS[a:b] for a, b in edges]
    poison = data.draw(st.sets(st.sampled_from(NUMBERS), max_size=3))
    faults = {task: data.draw(HURT) for task in tasks}
    faults |= {(n,): data.draw(HURT) for n in NUMBERS}

    def deadly(numbers):
        if poison & set(numbers):
            raise MemoryError
        return sum(numbers)

    settled, _ = carried(
        tasks, TOLERANT, function=deadly, split=work.halves, slots=slots, faults=faults
    )
    assert [n for s in settled for n in s.task] == list(NUMBERS)
    for s in settled:
        if isinstance(s, Finished):
            assert s.value == sum(s.task)
        else:
            assert len(s.task) == 1
            told = faults[s.task]
            assert s.task[0] in poison or told
    assert poison <= {s.task[0] for s in settled if isinstance(s, Quarantined)}


def test_a_task_that_fails_for_good_is_raised_in_its_turn_and_those_before_it_are_not_lost():
    clock, done = Clock(), []
    faults = {2: ["crash"] * 3, 0: ["slow"]}
    with Fake(clock, 2, faults) as fake:
        results = Loop(fake, work.square, range(9), Policy(), None, clock).results()
        with pytest.raises(CalhardError, match="crash; in truth"):
            done.extend(s.value for s in results)
    assert done == [0, 1]
    assert fake.started.count(2) == 3


def test_no_task_after_a_failed_one_is_begun_but_those_before_it_are_tried_again():
    clock = Clock()
    faults = {1: ["error"], 0: ["crash", "crash"]}
    with Fake(clock, 2, faults) as fake:
        results = Loop(fake, work.square, range(9), Policy(), None, clock).results()
        assert next(results).value == 0
        with pytest.raises(ValueError, match="wrong"):
            next(results)
    assert fake.started == [0, 1, 0, 0]


@pytest.mark.parametrize("fault", ["crash", "lost", "memory", "hang"])
def test_a_task_has_three_attempts_and_is_then_given_up_with_its_reason(fault):
    settled, fake = carried([5], faults={5: [fault] * 3})
    (given_up,) = settled
    assert isinstance(given_up, Quarantined)
    assert (given_up.task, given_up.attempts, fake.started) == (5, 3, [5, 5, 5])
    hung = "a task took more than 10 s and was ended"
    assert given_up.reason == {"hang": hung}.get(fault, fault)


def test_a_tasks_own_error_is_raised_at_once_unless_the_policy_gives_up_such_tasks():
    with pytest.raises(ValueError, match="wrong"):
        carried([5], faults={5: ["error"]})
    (given_up,), fake = carried([5], TOLERANT, faults={5: ["error"]})
    assert (given_up.reason, given_up.attempts) == ("ValueError: wrong", 1)
    assert fake.started == [5]


def test_lack_of_memory_splits_at_once_and_a_crash_only_after_the_last_attempt():
    task = (1, 2)
    settled, fake = carried(
        [task], function=sum, split=work.halves, faults={task: ["memory"]}, slots=1
    )
    assert [(s.task, s.value) for s in settled] == [((1,), 1), ((2,), 2)]
    assert fake.started == [task, ("split", task), (1,), (2,)]
    _, fake = carried([task], function=sum, split=work.halves, faults={task: ["crash"] * 3})
    assert fake.started[:4] == [task, task, task, ("split", task)]


def test_what_cannot_be_split_is_tried_again_and_then_given_up():
    (given_up,), fake = carried([(1,)], split=work.halves, faults={(1,): ["memory"] * 3})
    assert (given_up.attempts, given_up.reason) == (3, "memory")
    assert fake.started == [(1,), ("split", (1,)), (1,), (1,)]


def test_a_split_that_fails_gives_up_the_task_as_a_whole():
    task = (1, 2)
    faults = {task: ["crash"] * 3, ("split", task): ["crash"]}
    (given_up,), _ = carried([task], split=work.halves, faults=faults)
    assert (given_up.task, given_up.reason) == (task, "crash")


def test_a_split_into_one_makes_a_task_better_known():
    split = lambda task: [f"{task}, known"]  # noqa: E731
    (given_up,), fake = carried(["it"], split=split, faults={"it": ["crash"] * 3})
    assert (given_up.task, given_up.attempts) == ("it, known", 3)
    assert fake.started == ["it"] * 3 + [("split", "it")]


def test_splits_are_bounded():
    policy = Policy(quarantine=True, fatal=(), splits=2)
    settled, fake = carried(
        [tuple(range(8))], policy, function=lambda task: 1 // 0, split=work.halves
    )
    assert [s.task for s in settled] == [(0, 1), (2, 3), (4, 5, 6, 7)]
    assert sum(str(key).startswith("('split'") for key in fake.started) == 2


def test_a_straggler_gets_a_copy_and_the_first_to_finish_wins():
    policy = Policy(speculate=3.0)
    settled, fake = carried(range(8), policy, slots=4, faults={5: ["slow"]})
    assert values(settled) == [x * x for x in range(8)]
    assert fake.started.count(5) == 2
    assert fake.cancelled == [5]
    assert fake.clock.now < 10.0


def test_a_copy_that_fails_does_not_fail_its_straggler():
    policy = Policy(speculate=3.0)
    settled, fake = carried(range(8), policy, slots=4, faults={5: ["slow", "crash"]})
    assert values(settled) == [x * x for x in range(8)]
    assert fake.started.count(5) >= 2


def test_no_copy_is_made_by_default_or_while_others_wait():
    _, fake = carried(range(8), Policy(), slots=4, faults={5: ["slow"]})
    assert fake.started == list(range(8))
    _, fake = carried(range(8), Policy(speculate=1.1), slots=1, faults={5: ["slow"]})
    assert fake.started == list(range(8))


def test_a_hung_task_does_not_hold_up_the_others():
    settled, fake = carried(range(9), slots=2, faults={0: ["hang", "hang", "hang"]})
    assert [type(s) for s in settled] == [Quarantined] + [Finished] * 8
    assert fake.cancelled == [0, 0, 0]
    assert fake.clock.now < 45.0


def test_where_hardly_anything_is_done_the_tasks_are_not_to_blame():
    policy = Policy(quarantine=True, fatal=(), quarantines=5)
    with pytest.raises(ZeroDivisionError):
        carried(range(50), policy, function=lambda task: 1 // 0)
    fails_often = lambda task: 1 // (task % 3)  # noqa: E731
    settled, _ = carried(range(60), policy, function=fails_often, slots=1)
    assert [type(s) for s in settled] == [Quarantined, Finished, Finished] * 20


PATIENT = Policy(quarantine=True, patience=(1.0, 4.0), fatal=(OSError,))


def test_what_storage_failed_is_tried_again_after_a_while_and_told(caplog):
    with caplog.at_level(logging.WARNING, "calhard"):
        settled, fake = carried([5, 6], PATIENT, faults={5: ["storage"] * 2}, slots=1)
    assert values(settled) == [25, 36]
    assert fake.started == [5, 6, 5, 5], "others are computed meanwhile"
    assert fake.clock.now == 8.0, (
        "a second, another with 6 meanwhile, one more, four of waiting, the last one"
    )
    assert [r.getMessage() for r in caplog.records] == [
        "storage failed (a disk is away); try 2 of 3 in 1 s",
        "storage failed (a disk is away); try 3 of 3 in 4 s",
    ]


def test_patience_with_storage_has_an_end_and_costs_no_attempt():
    faults = {5: ["storage", "crash", "crash", "storage"]}
    settled, _ = carried([5], PATIENT, faults=faults)
    assert values(settled) == [25]
    with pytest.raises(StorageFailed, match="a disk is away"):
        carried([5], PATIENT, faults={5: ["storage"] * 3})
    with pytest.raises(StorageFailed):
        carried([5], Policy(), faults={5: ["storage"]})


def test_the_last_try_after_storage_failed_is_told_that_it_is():
    policy = Policy(patience=(1.0, 1.0), last=lambda task: task + 100)
    settled, fake = carried([5], policy, faults={5: ["storage"] * 2})
    assert fake.started == [5, 5, 105]
    assert [(s.task, s.value) for s in settled] == [(5, 105**2)]
