"""Changes of small histories and of constants: named as they are, with the audit's severities."""

import numpy as np
import pytest

from calhard.schema import BUILTIN_METRICS, Metric
from calhard.service.changes import falls_apart
from calhard.service.constant import certain_move, first_move
from calhard.service.moves import best_ramp, best_step
from tests.service.streams import DAY, HOUR, START, fed, found, normal

AECE, CLAMP = BUILTIN_METRICS["aece"], BUILTIN_METRICS["clamp_rate"]
FLOOR = Metric("recall", direction="lower_is_worse", bound="level")
LATER = [0.05 + 1e-4 * (i % 3) for i in range(60)]
ALMOST = [0.012 + 1e-4 * (i % 3) for i in range(60)]


@pytest.mark.parametrize("spacing", [HOUR, DAY])
@pytest.mark.parametrize(("before", "after"), [(15, 5), (20, 3), (10, 10), (20, 20), (60, 40)])
def test_a_young_step_is_a_jump_and_dated(before, after, spacing):
    (jump,) = fed([*ALMOST[:before], *LATER[:after]], spacing).regressions()
    assert (jump.regression_type, jump.severity) == ("SuddenJump", "critical")
    assert jump.change == pytest.approx(0.038, abs=0.004)
    assert abs(jump.onset - (START + before * spacing)) <= 5 * spacing


@pytest.mark.parametrize("noise", [1e-4, 5e-4])
def test_a_level_that_turns_into_a_ramp_is_a_drift_and_not_a_jump(noise):
    x = 0.012 + 0.002 * np.maximum(np.arange(40) - 20.0, 0.0) + noise * normal(1, 40)
    assert found(fed(x)) == [("aece", "GradualDrift", "worse")]


def test_a_constant_that_turns_into_a_ramp_is_a_drift_from_its_first_move_on():
    detector = fed([0.012] * 20 + [0.012 + 0.002 * i for i in range(20)])
    (drift,) = detector.regressions()
    assert (drift.regression_type, drift.onset) == ("GradualDrift", START + 21 * HOUR)
    assert drift.p_value == 0.0


def test_a_constant_that_has_come_back_has_not_moved():
    assert found(fed([0.012] * 20 + [0.05] * 5 + [0.012] * 6)) == []


@pytest.mark.parametrize(
    ("metric", "bound", "after", "change", "gradual"),
    [
        (AECE, 0.01, [0.05] * 4, 0.04, False),
        (AECE, 0.01, [0.02] * 4, None, None),  # at the bound
        (AECE, 0.05, [0.05] * 4, None, None),
        (AECE, 0.01, [0.05, 0.0, 0.05, 0.0], None, None),
        (AECE, 0.01, [0.015, 0.02, 0.03, 0.04, 0.05], 0.03, True),
        (AECE, 0.01, [0.05, 0.05, 0.05, 0.01, 0.01], None, None),
        (CLAMP, 0.1, [0.2] * 3, 0.19, False),
        (CLAMP, 0.1, [0.09] * 9, None, None),
        (FLOOR, 0.8, [0.005] * 3, -0.005, False),
        (FLOOR, np.nan, [0.005] * 3, None, None),
        (Metric("other"), 0.01, [0.5] * 3, None, None),
    ],
)
def test_the_slo_alone_decides_what_a_constants_move_is(metric, bound, after, change, gradual):
    values = np.array([0.01] * 10 + after)
    assert first_move(values) == 10
    move = certain_move(values, 10, metric, bound)
    if change is None:
        assert move is None
    else:
        assert (move.change, move.gradual) == (pytest.approx(change), gradual)


def test_steps_and_ramps_are_found_where_every_place_is_tried():
    x = normal(2, 30) + np.r_[np.zeros(20), np.full(10, 3.0)]
    tried = {
        k: np.sum((x[:k] - x[:k].mean()) ** 2) + np.sum((x[k:] - x[k:].mean()) ** 2)
        for k in range(3, 28)
    }
    place, squares = best_step(x)
    assert place == min(tried, key=tried.get)
    assert squares == pytest.approx(min(tried.values()))
    ramps = {}
    for k in range(27):
        design = np.stack([np.ones(30), np.maximum(np.arange(30) - k, 0)], axis=1)
        ramps[k] = float(np.linalg.lstsq(design, x, rcond=None)[1][0])
    place, squares = best_ramp(x)
    assert place == min(ramps, key=ramps.get)
    assert squares == pytest.approx(min(ramps.values()))


def test_a_series_falls_apart_by_its_level_or_its_spread():
    quiet, noise = normal(3, 100), normal(4, 100)
    noise[60:] *= 6.0
    step = quiet + np.r_[np.zeros(60), np.full(40, 2.0)]
    assert falls_apart(np.stack([quiet, step, noise])).tolist() == [False, True, True]
