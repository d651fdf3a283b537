"""Cox's slope and intercept: peers, hand-computed edges, and where there is no maximum."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.special import expit

from calhard_kernels import blocks, logistic
from calhard_kernels.cox import cox
from tests.kernels import measured
from tests.kernels.measured import fleet, fleets, groups_of


def figures(found, group=0):
    """Slope, intercept and their errors of one group."""
    parts = (
        found.slope,
        found.intercept,
        found.slope_standard_error,
        found.intercept_standard_error,
    )
    return [float(part[group]) for part in parts]


def one(score, label, weight=None):
    columns = [score, label] if weight is None else [score, label, weight]
    return figures(cox(fleet([list(zip(*columns, strict=True))])))


def logits(rows):
    return [math.log(p / (1.0 - p)) for p in (min(max(s, 1e-6), 1.0 - 1e-6) for s, _, _ in rows)]


def has_a_maximum(rows):
    """Albert & Anderson's condition, by comparing every positive with every negative."""
    score = [min(max(s, 1e-6), 1.0 - 1e-6) for s, _, _ in rows]
    positive = [s for s, (_, y, _) in zip(score, rows, strict=True) if y > 0]
    negative = [s for s, (_, y, _) in zip(score, rows, strict=True) if y < 1]
    pairs = [(p, q) for p in positive for q in negative]
    return any(p < q for p, q in pairs) and any(p > q for p, q in pairs)


def calibrated(rng, n, groups, slope=1.0, intercept=0.0):
    """Outcomes of groups whose labels follow the line, (groups, n) arrays, sorted by score."""
    x = np.sort(rng.normal(-0.5, 1.5, (groups, n)), axis=1)
    return expit(x), (rng.random((groups, n)) < expit(intercept + slope * x)).astype(float)


# --- peers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.4, 1.5), (-0.7, -1.0), (2.5, 0.2)])
@pytest.mark.parametrize("n", [60, 900])
def test_statsmodels_agrees(n, slope, intercept):
    score, label = calibrated(np.random.default_rng(n), n, 12, slope, intercept)
    found = cox(fleet([list(zip(*g, strict=True)) for g in zip(score, label, strict=True)]))
    for g in range(len(score)):
        s = score[g]
        design = sm.add_constant(np.log(s / (1.0 - s)))
        fit = sm.Logit(label[g], design).fit(disp=0, method="newton", tol=1e-13, maxiter=200)
        expected = [fit.params[1], fit.params[0], fit.bse[1], fit.bse[0]]
        np.testing.assert_allclose(figures(found, g), expected, rtol=1e-8, atol=1e-8)


def test_statsmodels_agrees_on_weights_and_soft_labels():
    rng = np.random.default_rng(8)
    score = rng.beta(0.6, 0.6, (6, 150))
    label, weight = rng.random((6, 150)), rng.choice([0.25, 1.0, 4.0], (6, 150))
    columns = zip(score, label, weight, strict=True)
    found = cox(fleet([list(zip(*group, strict=True)) for group in columns]))
    for g in range(6):
        s = np.clip(score[g], 1e-6, 1.0 - 1e-6)
        model = sm.GLM(
            label[g],
            sm.add_constant(np.log(s / (1.0 - s))),
            family=sm.families.Binomial(),
            freq_weights=weight[g],
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # statsmodels would rather have whole labels
            fit = model.fit(tol=1e-13)
        expected = [fit.params[1], fit.params[0], fit.bse[1], fit.bse[0]]
        np.testing.assert_allclose(figures(found, g), expected, rtol=1e-8, atol=1e-8)


@given(fleets(max_rows=80))
def test_it_is_a_maximum_or_there_is_none(o):
    found = cox(o)
    for g, rows in enumerate(groups_of(o)):
        values = figures(found, g)
        if not has_a_maximum(rows):
            assert np.all(np.isnan(values))
            continue
        slope, intercept, slope_error, intercept_error = values
        x = np.array(logits(rows))
        y, w = np.array(rows)[:, 1], np.array(rows)[:, 2]
        eta = intercept + slope * x
        p, q = expit(eta), expit(-eta)
        residual, h = w * (y * q - (1.0 - y) * p), w * p * q
        scale = np.sum(w * p * q * np.abs(x)) + np.sum(h)
        assert abs(math.fsum(residual)) < 1e-7 * scale
        assert abs(math.fsum(residual * x)) < 1e-7 * 14.0 * scale
        information = np.array([[np.sum(h), np.sum(h * x)], [np.sum(h * x), np.sum(h * x * x)]])
        if np.linalg.cond(information) < 1e8:
            errors = np.sqrt(np.diag(np.linalg.inv(information)))
            np.testing.assert_allclose([intercept_error, slope_error], errors, rtol=1e-6)


# --- by hand -------------------------------------------------------------------------------------


def test_two_scores_give_the_line_through_two_frequencies():
    # of scores 1/5: 1 of 4 is positive; of scores 4/5: 2 of 3 are
    score, label = [0.2] * 4 + [0.8] * 3, [1, 0, 0, 0, 1, 1, 0]
    low, high = math.log(1 / 3), math.log(2.0)  # log odds of the frequencies
    x = math.log(4.0)  # log odds of the scores: −x and x
    h = 4 * (1 / 4) * (3 / 4), 3 * (2 / 3) * (1 / 3)  # 1/h is the variance of either log odds
    expected = [
        (high - low) / (2 * x),
        (high + low) / 2,
        math.sqrt(1 / h[0] + 1 / h[1]) / (2 * x),
        math.sqrt(1 / h[0] + 1 / h[1]) / 2,
    ]
    assert one(score, label) == pytest.approx(expected, rel=1e-12)


def test_scores_of_0_and_1_count_as_a_millionth_and_as_all_but_a_millionth():
    # 1 of 3 positive at 0, 3 of 4 at 1
    score, label = [0.0] * 3 + [1.0] * 4, [1, 0, 0, 1, 1, 1, 0]
    low, high, x = math.log(1 / 2), math.log(3.0), math.log((1.0 - 1e-6) / 1e-6)
    slope, intercept, *_ = one(score, label)
    assert slope == pytest.approx((high - low) / (2 * x), rel=1e-9)
    assert intercept == pytest.approx((high + low) / 2, rel=1e-9)
    assert one([1e-9, 0.0, 1e-7, *score[3:]], label) == one(score, label)


def test_two_soft_labels_make_a_line_through_both():
    slope, intercept, slope_error, intercept_error = one([0.5, 0.8], [0.5, 0.6])
    assert intercept == pytest.approx(0.0, abs=1e-12)
    assert slope == pytest.approx(math.log(1.5) / math.log(4.0), rel=1e-12)
    assert intercept_error == pytest.approx(2.0, rel=1e-12)
    assert slope_error == pytest.approx(math.sqrt(4.0 + 1 / 0.24) / math.log(4.0), rel=1e-12)


def test_a_soft_label_is_a_part_of_either_class():
    soft = one([0.2, 0.4, 0.7], [0.25, 0.5, 0.75])
    score = [0.2, 0.2, 0.4, 0.4, 0.7, 0.7]
    parts = one(score, [0, 1, 0, 1, 0, 1], [0.75, 0.25, 0.5, 0.5, 0.25, 0.75])
    assert soft == pytest.approx(parts, rel=1e-9)


def test_a_weight_of_3_is_three_rows_in_slope_and_errors():
    rng = np.random.default_rng(3)
    score, label = rng.random(40), rng.integers(0, 2, 40)
    weight = rng.choice([1, 3], 40)
    repeated = one(np.repeat(score, weight), np.repeat(label, weight))
    assert one(score, label, weight) == pytest.approx(repeated, rel=1e-9)


def test_equal_weights_change_errors_only():
    rng = np.random.default_rng(4)
    score, label = rng.random(40), rng.integers(0, 2, 40)
    plain = one(score, label)
    for weight in (1e-12, 4.0, 1e12):
        scaled = one(score, label, np.full(40, weight))
        assert scaled[:2] == pytest.approx(plain[:2], rel=1e-9)
        assert np.array(scaled[2:]) * math.sqrt(weight) == pytest.approx(plain[2:], rel=1e-9)


# --- no maximum ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("score", "label"),
    [
        ([0.5], [1]),
        ([0.5], [0.5]),
        ([0.1, 0.2, 0.9], [0, 0, 0]),
        ([0.1, 0.2, 0.9], [1, 1, 1]),
        ([0.3, 0.3, 0.3, 0.3], [0, 1, 1, 0.5]),
        ([0.0, 1e-9, 1e-7, 1e-6], [0, 1, 0, 1]),
        ([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1]),
        ([0.1, 0.2, 0.8, 0.9], [1, 1, 0, 0]),
        ([0.1, 0.5, 0.5, 0.9], [0, 0, 1, 1]),
        ([0.1, 0.5, 0.5, 0.9], [1, 0, 1, 0]),
        ([0.1, 0.5, 0.9], [0, 0.5, 1]),
        ([0.1, 0.5, 0.9], [1, 0.5, 0]),
        ([0.1, 0.2, 1.0 - 1e-7, 1.0], [0, 0, 0, 1]),
    ],
    ids=[
        "one row",
        "one soft row",
        "no positive",
        "no negative",
        "equal scores",
        "scores equal once clipped",
        "separated upwards",
        "separated downwards",
        "tied at the border, upwards",
        "tied at the border, downwards",
        "a soft label at the border, upwards",
        "a soft label at the border, downwards",
        "tied once clipped",
    ],
)
def test_no_maximum_is_nan_in_all_four(score, label):
    assert np.all(np.isnan(one(score, label)))
    assert np.all(np.isnan(one(score, label, np.full(len(score), 2.0))))


def test_three_rows_are_enough_where_the_classes_overlap():
    slope, intercept, *_ = one([0.2, 0.5, 0.8], [1, 0, 1])
    assert slope == pytest.approx(0.0, abs=1e-9)  # by symmetry
    assert intercept == pytest.approx(math.log(2.0), rel=1e-9)


def test_an_empty_group_and_one_without_a_maximum_stand_between_others():
    rng = np.random.default_rng(5)
    rows = list(zip(rng.random(30), rng.integers(0, 2, 30), strict=True))
    found = cox(fleet([[], rows, [], [(0.1, 0), (0.9, 1)], rows, []]))
    assert np.isnan(found.slope).tolist() == [True, False, True, True, False, True]
    assert figures(found, 1) == figures(found, 4) == figures(cox(fleet([rows])))


@pytest.mark.parametrize("groups", [[], [[]], [[], []]])
def test_no_rows_at_all(groups):
    found = cox(fleet(groups, weighted=False))
    assert found.slope.shape == (len(groups),)
    assert np.all(np.isnan(found.slope))


# --- steep lines ---------------------------------------------------------------------------------


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("overlap", [1e-2, 1e-3, 1e-6, 1e-9, 1e-12])
def test_nearly_separated_classes_have_a_steep_finite_line(overlap, sign):
    # negatives at −2 and ½ + overlap/2, positives at ½ − overlap/2 and 3; and, too far away to
    # matter but for the mean of x, fifty negatives at −12
    x = np.array([-2.0, 0.5 - overlap / 2, 0.5 + overlap / 2, 3.0, *[-12.0] * 50])
    label = np.array([0.0, 1.0, 0.0, 1.0, *[0.0] * 50])
    slope, intercept, slope_error, _ = one(expit(x), label if sign > 0 else 1.0 - label)
    # By symmetry about ½, f(b) = 5/(1 + e^{5b/2}) = overlap/(1 + e^{−b overlap/2}): the far rows
    # ask for a steeper line, the near ones for a flatter one.
    low, high = 0.0, 30.0
    for _ in range(100):
        middle = (low + high) / 2
        pull = 5.0 * expit(-2.5 * middle) - overlap * expit(middle * overlap / 2)
        low, high = (middle, high) if pull > 0 else (low, middle)
    assert sign * slope == pytest.approx(low, rel=max(1e-9, 1e-16 / overlap))
    assert intercept == pytest.approx(-slope / 2, rel=1e-6)
    assert slope_error > slope / 10


def test_certainty_that_is_often_wrong_does_not_overshoot(monkeypatch):
    rng = np.random.default_rng(6)
    score = rng.choice([0.0, 1.0], 2000)
    monkeypatch.setattr(logistic, "MOST_PASSES", 5)  # the best constant is near the best line
    slope, intercept, slope_error, _ = one(score, rng.integers(0, 2, 2000))
    assert abs(slope) < 4 * slope_error < 0.03
    assert abs(intercept) < 0.2


@pytest.mark.parametrize(
    "rows",
    [
        [(-2.0, 0, 4480.0), (0.0, 1, 3.24), (1.0, 0, 4.4e-4)],
        [(-0.6, 0, 0.014), (-0.2, 1, 3e-5), (-0.04, 0, 3.8), (2.7, 1, 1.5e-3)],
        [(-1.1, 1, 1.9), (-0.2, 0, 8515.0), (0.2, 0, 8e-3), (1.0, 1, 1e-4), (1.4, 0, 5e-4)],
    ],
)
def test_a_step_that_goes_much_too_far_is_taken_back(rows):
    x, label, weight = np.array(rows).T
    slope, intercept, *_ = one(expit(x), label, weight)
    eta = intercept + slope * x
    residual = weight * (label * expit(-eta) - (1.0 - label) * expit(eta))
    size = np.sum(np.abs(residual))
    assert size > 1e-5
    assert abs(np.sum(residual)) < 1e-9 * size
    assert abs(np.sum(residual * x)) < 1e-9 * size


@given(st.integers(0, 2**32 - 1), st.sampled_from([1e-12, 1e-6, 1e-2, 1.0, 3.0]))
def test_a_maximum_is_always_found_whatever_the_spread_of_scores(seed, width):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3, 25))
    score = expit(width * rng.standard_cauchy(n))
    label = rng.integers(0, 2, n)
    rows = [(s, y, 1.0) for s, y in zip(score.tolist(), label.tolist(), strict=True)]
    assume(has_a_maximum(rows))
    slope, intercept, slope_error, intercept_error = one(score, label)
    assert math.isfinite(slope)
    assert math.isfinite(intercept)
    assert 0.0 < slope_error < math.inf
    assert 0.0 < intercept_error < math.inf


def test_a_calibrated_fleet_needs_few_passes(monkeypatch):
    score, label = calibrated(np.random.default_rng(7), 400, 100)
    o = fleet([list(zip(*g, strict=True)) for g in zip(score, label, strict=True)])
    monkeypatch.setattr(logistic, "MOST_PASSES", 7)
    assert np.all(np.isfinite(cox(o).slope))
    monkeypatch.setattr(logistic, "MOST_PASSES", 2)
    assert np.all(np.isnan(cox(o).slope))


# --- chance --------------------------------------------------------------------------------------


def test_the_interval_of_calibrated_groups_covers_the_truth_as_often_as_it_says():
    score, label = calibrated(np.random.default_rng(9), 500, 3000)
    offsets = np.arange(3001) * 500
    found = cox(measured.Outcomes(score.ravel(), label.ravel(), None, offsets))
    for value, error, truth in (
        (found.slope, found.slope_standard_error, 1.0),
        (found.intercept, found.intercept_standard_error, 0.0),
    ):
        covered = np.mean(np.abs(value - truth) <= 1.96 * error)
        assert 0.93 <= covered <= 0.97


# --- libraries and blocks ------------------------------------------------------------------------


@given(fleets(max_rows=40))
def test_a_group_does_not_see_its_neighbours(o):
    measured.assert_groups_stand_alone(cox, o, lambda found: found)


@given(fleets(max_rows=40), st.integers(1, 100))
def test_blocks_do_not_matter_bit_for_bit(o, rows):
    whole = cox(o)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "CACHE_ROWS", rows)
        parts = cox(o)
    for a, b in zip(measured.leaves(whole), measured.leaves(parts), strict=True):
        assert a.tobytes() == b.tobytes()


def test_the_array_standard_is_enough():
    rng = np.random.default_rng(10)
    groups = [list(zip(rng.random(n), rng.integers(0, 2, n), strict=True)) for n in (0, 1, 9, 300)]
    groups.append([(0.1, 0), (0.9, 1)])
    o = fleet(groups)
    measured.assert_the_standard_is_enough(cox, o, atol=1e-12)
    weight = rng.choice([0.5, 2.0], len(o.score))
    weighted = measured.Outcomes(o.score, o.label, weight, o.offsets)
    measured.assert_the_standard_is_enough(cox, weighted, atol=1e-12)


@pytest.mark.gpu
def test_a_card_agrees():
    rng = np.random.default_rng(11)
    sizes = (0, 1, 9, 300, 5000)
    rows = [list(zip(rng.random(n), rng.integers(0, 2, n), strict=True)) for n in sizes]
    measured.assert_a_card_agrees(cox, fleet(rows))
