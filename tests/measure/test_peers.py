"""The calibration kernels against the libraries that compute the same numbers group by group.

Off the edges all of them must agree. On an edge where a library is known to go its own way, the
truth is computed by hand, and calhard has to give it.
"""

import numpy as np
import pytest

from calhard_kernels.bins import equal_mass, equal_width
from calhard_kernels.brier import brier
from calhard_kernels.calibration import calibration_error, debiased_squared_error
from calhard_kernels.cox import cox
from calhard_kernels.outcomes import Outcomes
from tests.measure import libraries

CLOSE = {"rel": 1e-10, "abs": 1e-12}
SIZES = (1, 2, 3, 4, 7, 24, 25, 26, 99, 100, 400, 1_000, 9_999, 12_000)


def outcomes(groups):
    """Groups of (scores, labels) as the kernels take them."""
    ordered = [(s[order], y[order]) for s, y in groups for order in [np.lexsort((y, s))]]
    scores, labels = (np.concatenate(column) for column in zip(*ordered, strict=True))
    return Outcomes(scores, labels, None, np.cumsum([0, *(len(s) for s, _ in groups)]))


def one(scores, labels):
    return outcomes([(np.array(scores, dtype=float), np.array(labels, dtype=float))])


def dece(o):
    return calibration_error(o, equal_width(o)).value


def aece(o):
    return calibration_error(o, equal_mass(o)).value


def random_groups():
    """Of every size: smooth scores, coarse ones with ties, only zeros and ones, and one class."""
    rng = np.random.default_rng(20)
    for size in SIZES:
        score = rng.beta(*rng.uniform(0.4, 3.0, 2), size)
        label = (rng.random(size) < score**1.3).astype(float)
        yield score, label
        yield np.round(score, 2), label
        yield np.round(score), label
        yield np.round(score, 3), np.zeros(size)
        yield score, np.ones(size)


@pytest.fixture(scope="module")
def groups():
    return [(libraries.above_borders(s), y) for s, y in random_groups()]


def test_dece_is_the_weighted_gap_of_scikit_learns_calibration_curve(groups):
    expected = [libraries.sklearn_ece(s, y) for s, y in groups]
    assert dece(outcomes(groups)) == pytest.approx(expected, **CLOSE)


def test_bins_of_equal_width_are_those_of_scikit_learns_calibration_curve(groups):
    bins = equal_width(outcomes(groups))
    for g, (s, y) in enumerate(groups):
        score, label, count = libraries.reliability_curve(s, y)
        own = slice(bins.offsets[g], bins.offsets[g + 1])
        assert bins.score[own] == pytest.approx(score, **CLOSE)
        assert bins.label[own] == pytest.approx(label, **CLOSE)
        assert bins.count[own].tolist() == count.tolist()


def test_aece_is_the_equal_mass_error_of_uncertainty_calibration(groups):
    o = outcomes(groups)
    asked = equal_mass(o).asked.tolist()
    expected = [libraries.equal_mass_ece(s, y, k) for (s, y), k in zip(groups, asked, strict=True)]
    assert aece(o) == pytest.approx(expected, **CLOSE)


def test_the_debiased_square_is_that_of_uncertainty_calibration_with_its_sign(groups):
    bins = equal_mass(outcomes(groups))
    expected = [
        libraries.equal_mass_debiased_square(s, y, k)
        for (s, y), k in zip(groups, bins.asked.tolist(), strict=True)
    ]
    assert min(expected) < 0 < max(expected)
    assert debiased_squared_error(bins) == pytest.approx(expected, **CLOSE)


def test_the_brier_score_is_that_of_scikit_learn(groups):
    o = outcomes(groups)
    expected = [libraries.sklearn_brier(s, y) for s, y in groups]
    assert brier(o, equal_width(o)).score == pytest.approx(expected, **CLOSE)


def test_the_weighted_brier_score_is_that_of_scikit_learn():
    rng = np.random.default_rng(21)
    s, w = np.sort(rng.random(500)), rng.exponential(1.0, 500) + 1e-6
    y = (rng.random(500) < s).astype(float)
    o = Outcomes(s, y, w, np.array([0, 500]))
    expected = libraries.sklearn_brier(s, y, w)
    assert brier(o, equal_width(o)).score == pytest.approx([expected], **CLOSE)


def test_slope_and_intercept_are_the_logistic_regression_of_statsmodels(groups):
    large = [(s, y) for s, y in groups if len(s) >= 99 and 0 < y.mean() < 1 and s.min() < s.max()]
    assert len(large) >= 15
    found = cox(outcomes(large))
    columns = (found.slope, found.intercept)
    columns += (found.slope_standard_error, found.intercept_standard_error)
    fits = [libraries.logit_line(s, y) for s, y in large]
    assert all(sure for _, sure in fits)
    for ours, theirs in zip(columns, zip(*(line for line, _ in fits), strict=True), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-8, abs=1e-8)


def test_dece_is_the_error_of_netcal(groups):
    ece = libraries.netcal_ece()
    assert dece(outcomes(groups)) == pytest.approx([ece(s, y) for s, y in groups], **CLOSE)


def test_dece_is_the_error_of_torchmetrics_where_no_score_is_1(groups):
    ece = libraries.torchmetrics_ece()
    below = [(np.minimum(s, 0.9999), y) for s, y in groups]
    assert dece(outcomes(below)) == pytest.approx([ece(s, y) for s, y in below], **CLOSE)


def test_a_score_on_a_border_lies_in_the_bin_above_where_scikit_learn_takes_the_one_below():
    # By hand: 0.15 lies in [2/15, 3/15) and 0.2 = 3/15 begins the next: (|0.15 − 1| + 0.2)/2.
    scores, labels = [0.15, 0.2], [1.0, 0.0]
    assert dece(one(scores, labels)) == pytest.approx([0.525])
    assert equal_width(one(scores, labels)).number.tolist() == [2, 3]
    # scikit-learn puts both into (2/15, 3/15]: |0.175 − 0.5|.
    assert libraries.sklearn_ece(np.array(scores), np.array(labels)) == pytest.approx(0.325)


@pytest.mark.parametrize("k", range(1, libraries.BINS))
def test_every_border_belongs_to_the_bin_above_it(k):
    bins = equal_width(one([np.nextafter(k / 15, 0.0), k / 15], [0.0, 1.0]))
    assert bins.number.tolist() == [k - 1, k]


# By hand: 0.95 and 1 both lie in [14/15, 1]: |0.975 − 0.5|.
CERTAIN = np.array([0.95, 1.0]), np.array([1.0, 0.0])


def test_a_score_of_1_lies_in_the_last_bin():
    assert dece(one(*CERTAIN)) == pytest.approx([0.475])
    assert libraries.sklearn_ece(*CERTAIN) == pytest.approx(0.475)


def test_netcal_keeps_a_score_of_1_in_the_last_bin_too():
    assert libraries.netcal_ece()(*CERTAIN) == pytest.approx(0.475)


def test_torchmetrics_gives_a_score_of_1_a_bin_of_its_own():
    # (|0.95 − 1| + |1 − 0|)/2: why calhard is compared with it below 1 alone.
    assert libraries.torchmetrics_ece()(*CERTAIN) == pytest.approx(0.525)


def test_a_score_of_0_lies_in_the_first_bin():
    # By hand: 0 and 0.05 both lie in [0, 1/15): |0.025 − 0.5|.
    scores, labels = np.array([0.0, 0.05]), np.array([1.0, 0.0])
    assert dece(one(scores, labels)) == pytest.approx([0.475])
    assert libraries.sklearn_ece(scores, labels) == pytest.approx(0.475)


def test_soft_labels_are_averaged_where_scikit_learn_refuses_them():
    # By hand: one bin, |0.5 − (0.25 + 0.5 + 0.9)/3|.
    scores, labels = np.full(3, 0.5), np.array([0.25, 0.5, 0.9])
    assert dece(one(scores, labels)) == pytest.approx([0.05])
    assert aece(one(scores, labels)) == pytest.approx([0.05])
    with pytest.raises(ValueError, match=r"pos_label|binary"):
        libraries.sklearn_ece(scores, labels)


def test_all_equal_scores_are_one_bin_as_in_uncertainty_calibration():
    # By hand: |0.3 − 0.5| however many bins of equal mass were asked for.
    scores, labels = np.full(40, 0.3), np.tile([0.0, 1.0], 20)
    bins = equal_mass(one(scores, labels))
    assert (bins.asked.tolist(), bins.count.tolist()) == ([6], [40])
    assert aece(one(scores, labels)) == pytest.approx([0.2])
    assert libraries.equal_mass_ece(scores, labels, 6) == pytest.approx(0.2)


def test_fewer_rows_than_bins_are_a_bin_each():
    # By hand: (|0.1 − 0| + |0.4 − 1| + |0.8 − 1|)/3.
    scores, labels = np.array([0.1, 0.4, 0.8]), np.array([0.0, 1.0, 1.0])
    assert aece(one(scores, labels)) == pytest.approx([0.3])
    assert libraries.equal_mass_ece(scores, labels, 5) == pytest.approx(0.3)
    # A bin of one row says nothing of its variance; both leave it out of the debiased square.
    assert debiased_squared_error(equal_mass(one(scores, labels))).tolist() == [0.0]
    assert libraries.equal_mass_debiased_square(scores, labels, 5) == 0.0
