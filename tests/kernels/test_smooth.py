"""Smooth calibration error against direct sums, in closed form, and at the ends of the scale."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from scipy.special import ndtr

from calhard_kernels import smooth
from calhard_kernels.smooth import smooth_ece
from tests.kernels import measured
from tests.kernels.measured import NAN, fleet, fleets, groups_of

POINTS = 2000


def smoothed(rows, sigma):
    """smECE at one bandwidth: images of every row, summed one by one at the middles of a grid."""
    t = (np.arange(POINTS) + 0.5) / POINTS
    total = measured.weight(rows)
    curve = np.zeros(POINTS)
    for s, y, w in rows:
        for image in range(-8, 9):  # 0 and 1 are mirrors
            place = image + (s if image % 2 == 0 else 1.0 - s)
            curve += w * (y - s) / total * np.exp(-0.5 * ((t - place) / sigma) ** 2)
    return np.mean(np.abs(curve)) / (sigma * math.sqrt(2.0 * math.pi))


def literal(rows):
    """The bandwidth at which smECE is the bandwidth, by bisection."""
    low, high = 0.0, 1.0
    while high - low > 1e-8:
        middle = (low + high) / 2.0
        low, high = (middle, high) if smoothed(rows, middle) > middle else (low, middle)
    return low


@pytest.mark.parametrize("kind", ["calibrated", "reversed", "soft"])
@pytest.mark.parametrize("place", ["smooth", "tenths", "ends"])
def test_direct_sums_agree(place, kind):
    rng = np.random.default_rng(51)
    groups = []
    for n, weighted in ((3, False), (12, True), (60, False)):
        score = measured.scores(rng, place, n)
        weight = rng.choice([0.5, 3.0], n) if weighted else np.ones(n)
        label = measured.labels(rng, kind, score)
        groups.append(list(zip(score, label, weight, strict=True)))
    o = fleet(groups)
    expected = np.array([literal(rows) for rows in groups_of(o)])
    allowed = np.where(expected > 0.01, 1e-6, 0.5 / smooth.CELLS)
    assert np.all(np.abs(smooth_ece(o) - expected) < allowed)


def test_residuals_of_one_sign_are_their_mean_whatever_the_bandwidth():
    found = smooth_ece(fleet([[(0.2, 0, 1), (0.7, 0.6, 1)], [(0.1, 1, 1), (0.4, 1, 3)]]))
    np.testing.assert_allclose(found, [0.15, (0.9 + 3 * 0.6) / 4], rtol=1e-12)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], NAN),
        ([(0.0, 0)], 0.0),
        ([(1.0, 1)], 0.0),
        ([(0.0, 1)], 1.0),
        ([(1.0, 0)], 1.0),
        ([(0.3, 1)], 0.7),
        ([(0.5, 0), (0.5, 1)], 0.0),
        ([(0.25, 0.25), (0.75, 0.75)], 0.0),
        ([(1.0, 1), (1.0, 0)], 0.5),
        ([(0.2, 1), (0.3, 1), (0.9, 1)], 1.6 / 3),
    ],
    ids=[
        "no rows",
        "right at 0",
        "right at 1",
        "wrong at 0",
        "wrong at 1",
        "one row",
        "equal scores that are right on average",
        "soft labels as promised",
        "half of the ones wrong",
        "one class",
    ],
)
def test_by_hand(rows, expected):
    found = smooth_ece(fleet([[(0.5, 1)], rows, [(0.5, 1)]], weighted=False))
    np.testing.assert_allclose(found, [0.5, expected, 0.5], atol=1e-11)


def test_wrong_at_both_ends_in_closed_form():
    # ½ at 0 and −½ at 1, each with its image on itself: the curve is > 0 up to ½, < 0 from there
    found = smooth_ece(fleet([[(0.0, 1), (1.0, 0)]]))[0]
    mass = np.zeros(2)
    for image in range(-20, 21):
        inside = ndtr((np.array([0.5, 1.0]) - image) / found)
        inside -= ndtr((np.array([0.0, 0.5]) - image) / found)
        mass += (1.0 if image % 2 == 0 else -1.0) * inside
    assert np.sum(np.abs(mass)) == pytest.approx(found, abs=1e-7)


def test_opposite_errors_far_apart_add_up_and_close_together_cancel():
    far = smooth_ece(fleet([[(0.1, 0.15), (0.9, 0.85)]]))[0]
    near = smooth_ece(fleet([[(0.5, 0.55), (0.505, 0.455)]]))[0]
    assert far == pytest.approx(0.05, abs=1e-9)
    assert near < 0.012


@given(fleets(max_rows=60))
def test_it_lies_between_the_mean_and_the_mean_absolute_residual(o):
    for found, rows in zip(smooth_ece(o), groups_of(o), strict=True):
        if not rows:
            assert math.isnan(found)
            continue
        total = measured.weight(rows)
        least = abs(measured.gap(rows)) / total
        most = measured.total(abs(w * (s - y)) for s, y, w in rows) / total
        assert least - 1e-11 <= found <= most + 1e-11


@given(fleets(max_rows=60))
def test_mirrored_scores_and_labels_err_alike(o):
    rows = [[(1.0 - s, 1.0 - y, w) for s, y, w in group] for group in groups_of(o)]
    np.testing.assert_allclose(smooth_ece(fleet(rows, weighted=True)), smooth_ece(o), atol=1e-9)


def test_the_grid_takes_off_what_the_documentation_says(monkeypatch):
    rng = np.random.default_rng(52)
    score = np.sort(rng.beta(0.7, 1.0, (4, 20_000)), axis=1)
    label = (rng.random(score.shape) < score).astype(float)
    o = measured.Outcomes(score.ravel(), label.ravel(), None, np.arange(5) * 20_000)
    usual = smooth_ece(o)
    assert np.all((usual > 0.007) & (usual < 0.02))
    monkeypatch.setattr(smooth, "CELLS", 16 * smooth.CELLS)
    assert np.all(np.abs(smooth_ece(o) - usual) < 2e-6)


@settings(max_examples=30)
@given(fleets(max_rows=40))
def test_a_group_does_not_see_its_neighbours(o):
    measured.assert_groups_stand_alone(smooth_ece, o, lambda found: (found,))


def test_no_group_sees_another_within_or_beyond_its_block():
    rng = np.random.default_rng(53)
    rows = [list(zip(rng.random(20), rng.integers(0, 2, 20), strict=True)) for _ in range(150)]
    together = smooth_ece(fleet(rows))
    for height in (1, 2, 3, 7, 64, 65):
        assert smooth_ece(fleet(rows[:height])).tobytes() == together[:height].tobytes()


def test_few_steps_suffice(monkeypatch):
    rng = np.random.default_rng(55)
    groups = [
        list(zip(rng.random(n), rng.integers(0, 2, n), strict=True))
        for n in rng.integers(2, 99, 64)
    ]
    usual = smooth_ece(fleet(groups))
    monkeypatch.setattr(smooth, "MOST_STEPS", 14)
    np.testing.assert_array_equal(smooth_ece(fleet(groups)), usual)


def test_no_groups_at_all():
    assert smooth_ece(fleet([], weighted=False)).shape == (0,)


@settings(max_examples=20)
@given(fleets(max_rows=40))
def test_other_libraries_travel_to_the_host_and_back(o):
    measured.assert_the_standard_is_enough(lambda o: (smooth_ece(o),), o)


@pytest.mark.gpu
def test_a_card_agrees():
    rng = np.random.default_rng(54)
    rows = [list(zip(rng.random(n), rng.integers(0, 2, n), strict=True)) for n in (0, 1, 9, 4000)]
    measured.assert_a_card_agrees(lambda o: (smooth_ece(o),), fleet(rows))
