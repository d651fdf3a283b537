"""Bounded memory, many threads, and the screen that tells when to ask."""

import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import numpy as np
import pytest

from calhard import AuditPlan, DriftMonitor, RegressionDetector
from calhard.service.ring import Ring
from calhard.service.screen import Screen
from calhard.simulate import healthy_series, plant
from tests.service.streams import BASELINE, HOUR, START, Watch, fed, found, normal, snapshots

SMALL = AuditPlan(regression={"max_history": 50})


def size_of(thing):
    """Return the bytes of everything that an object holds, each counted once."""
    seen, total, todo = set(), 0, deque([thing])
    while todo:
        one = todo.popleft()
        if id(one) in seen or isinstance(one, type):
            continue
        seen.add(id(one))
        total += one.nbytes if isinstance(one, np.ndarray) else sys.getsizeof(one)
        if isinstance(one, dict):
            todo.extend([*one.keys(), *one.values()])
        elif isinstance(one, list | tuple | set | deque):
            todo.extend(one)
        slots = [s for c in type(one).__mro__ for s in getattr(c, "__slots__", ())]
        todo.extend(getattr(one, s) for s in slots if isinstance(s, str) and hasattr(one, s))
        if hasattr(one, "__dict__") and type(one).__module__.startswith("calhard.service"):
            todo.extend(vars(one).values())
    return total


def run(adds):
    """Feed both with values that violate now and then; return their sizes."""
    detector, monitor = RegressionDetector(), DriftMonitor()
    monitor.set_baseline(BASELINE)
    samples = snapshots(0, 50)
    samples[7]["aece"] = 0.09
    samples[8]["clamp_rate"] = float("nan")
    for i in range(adds):
        moment = START + timedelta(minutes=i)
        detector.add_metrics(samples[i % 50], moment)
        monitor.check_slos(samples[i % 50], moment)
    detector.judge()
    return size_of(detector), size_of(monitor)


@pytest.mark.slow
def test_memory_after_a_hundred_thousand_samples_is_that_after_forty_thousand():
    short, long = run(40_000), run(100_000)  # by then a thousand violations are kept
    for small, large in zip(short, long, strict=True):
        assert large <= 1.02 * small


def test_memory_of_a_detector_after_twenty_thousand_samples_is_that_after_two_thousand():
    sizes = []
    for adds in (2_000, 20_000):
        detector = fed(())
        for i in range(adds):
            detector.add_metrics({"aece": 0.01 + 1e-5 * (i % 7)}, START + timedelta(minutes=i))
        sizes.append(size_of(detector))
        assert len(detector) == 1_000
    assert sizes[1] <= sizes[0] + 200  # counters of more digits


def test_a_ring_keeps_the_newest_in_order():
    ring = Ring(2, 5)
    assert ring.last() is None
    for i in range(23):
        ring.add(i, [float(i), float(-i), float(10 * i)])
        kept = list(range(max(0, i - 4), i + 1))
        copy = ring.copy()
        assert copy.timestamp.tolist() == kept
        assert copy.values.tolist() == [[float(k) for k in kept], [float(-k) for k in kept]]
        assert copy.labels.tolist() == [10.0 * k for k in kept]
        assert (ring.oldest() is None) == (i < 4)
    assert ring.last()[0] == 22


def test_only_max_history_samples_are_kept_and_judged():
    detector = fed([*([0.9] * 30), *(0.2 + 0.002 * normal(0, 50))], plan=SMALL)
    assert len(detector) == 50
    assert detector.regressions() == []
    assert detector.health_status().samples == 50


def test_a_judgement_is_made_once_for_each_sample():
    detector = fed(0.2 + 0.002 * normal(1, 60))
    first = detector.judge()
    assert detector.judge() is first
    detector.add_metrics({"aece": 0.2}, START + 60 * HOUR)
    assert detector.judge() is not first


def test_reset_forgets_everything():
    detector = fed([0.012] * 30 + [0.05] * 5)
    assert detector.regressions()
    detector.reset()
    assert (len(detector), detector.rejected, detector.duplicates) == (0, 0, 0)
    assert detector.recent_regressions() == []
    assert detector.health_status().state == "INSUFFICIENT"


def test_many_threads_may_add_and_ask_at_once():
    watch = Watch()
    detector, monitor = RegressionDetector(clock=watch), DriftMonitor(clock=watch)
    monitor.set_baseline(BASELINE)
    threads, each = 8, 250

    def hammer(k):
        kept = 0
        for i in range(each):
            kept += detector.add_metrics({"aece": 0.012 + 1e-4 * ((i * 7 + k) % 11)})
            monitor.check_slos({"aece": 0.05 if i % 50 == 0 else 0.012})
            if i % 100 == k:
                assert detector.health_status().samples <= 1_000
                monitor.weekly_report()
        return kept

    with ThreadPoolExecutor(threads) as pool:
        kept = sum(pool.map(hammer, range(threads)))
    assert kept == threads * each
    assert len(detector) == 1_000
    assert (detector.rejected, monitor.rejected) == (0, 0)
    assert monitor.compliance().nights == threads * each
    assert len(monitor.recent_violations()) == threads * each // 50
    stamps = detector._intake.ring.copy().timestamp
    assert np.all(np.diff(stamps) > 0)


def test_recent_regressions_stay_for_a_day_and_keep_when_they_were_first_seen():
    jump = np.r_[0.2 + 0.002 * normal(2, 100), 0.25 + 0.002 * normal(3, 5)]
    detector = fed(jump)
    (first,) = detector.recent_regressions()
    for i in range(20):
        detector.add_metrics({"aece": 0.25}, START + (105 + i) * HOUR)
    (later,) = detector.recent_regressions()
    assert later.detected_at == first.detected_at
    assert later.last_seen == START + 124 * HOUR
    detector.add_metrics({"aece": 0.25}, START + 1_000 * HOUR)
    assert [r.metric for r in detector.recent_regressions(hours=1e4)] == ["aece"]


@pytest.mark.parametrize("phi", [0.0, 0.5])
@pytest.mark.parametrize(
    ("fault", "size"),
    [("step", 2.0), ("step", -2.0), ("drift", 4.0), ("variance", 2.0), ("oscillation", 1.5)],
)
def test_the_screen_sees_every_fault_that_the_judgement_would(fault, size, phi):
    rng = np.random.default_rng(5)
    for x in plant(healthy_series(rng, 10, 600, phi=phi), fault, size, 450):
        screen = Screen()
        for value in x[:450]:
            screen.add(value)
        screen.rest()
        for value in x[450:]:
            screen.add(value)
        assert screen.tripped


def test_the_screen_is_quiet_where_nothing_happens():
    rng = np.random.default_rng(6)
    tripped = 0
    for x in healthy_series(rng, 100, 400):
        screen = Screen()
        for value in x[:300]:
            screen.add(value)
        screen.rest()
        for value in x[300:]:
            screen.add(value)
        tripped += screen.tripped
    assert tripped <= 25


def test_a_screen_that_forgets_is_one_that_never_knew():
    x = normal(7, 300) + 1e3
    slid, fresh = Screen(), Screen()
    for i, value in enumerate(x):
        if i >= 100:
            slid.forget(x[i - 100])
        slid.add(value)
    fresh.refresh(x[-100:])
    for one in (slid, fresh):
        one.rest()
        one.add(1e3 + 0.5)
    assert slid._up == pytest.approx(fresh._up, abs=1e-6)
    assert slid._down == pytest.approx(fresh._down, abs=1e-6)


def test_a_detector_is_suspicious_after_a_fault_and_not_after_it_was_asked():
    detector = fed(0.2 + 0.002 * normal(8, 60))
    detector.regressions()
    assert not detector.suspicious
    for i in range(6):
        detector.add_metrics({"aece": 0.22}, START + (60 + i) * HOUR)
    assert detector.suspicious
    assert found(detector) == [("aece", "SuddenJump", "worse")]
    assert not detector.suspicious
    detector.add_metrics({"mask_mismatch_count": 1}, START + 70 * HOUR)
    assert detector.suspicious


def test_a_detector_asks_to_be_asked_now_and_then():
    detector = fed([0.2] * 100)
    assert detector.suspicious
    detector.judge()
    assert not detector.suspicious
