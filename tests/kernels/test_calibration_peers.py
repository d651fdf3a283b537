"""The calibration kernels against `uncertainty-calibration` and scikit-learn.

Both close their bins of equal width on the right, so scores are kept off the inner borders k/15
there; scores of 0 and 1 are where ours are. With equal mass uncertainty-calibration cuts halfway
between ranks and closes on the right too, which gives a tie to the bin of its first row, as ours.
"""

from __future__ import annotations

import calibration as peer
import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from calhard_kernels.bins import equal_mass, equal_width
from calhard_kernels.calibration import calibration_error, debiased_squared_error
from tests.kernels import measured
from tests.kernels.measured import fleet, groups_of

CASES = [
    (kind, law, n)
    for kind in ("smooth", "tenths", "constant")
    for law in ("calibrated", "reversed", "one class")
    for n in (1, 3, 30, 400, 12_000)
]


def drawn():
    """A group of every case, with scores of 0 and 1, none on an inner border k/15."""
    rng = np.random.default_rng(46)
    groups = []
    for kind, law, n in CASES:
        score = measured.scores(rng, kind, n)
        inner = np.isin(score, np.arange(1, 15) / 15)
        score[inner] += 0.01
        groups.append(list(zip(score, measured.labels(rng, law, score), strict=True)))
    return fleet(groups)


@pytest.fixture(scope="module")
def o():
    return drawn()


def columns(o):
    for g, rows in enumerate(groups_of(o)):
        score, label, _ = (np.array(column) for column in zip(*rows, strict=True))
        yield g, score, label.astype(np.int64)


def test_the_groups_have_ties_and_scores_of_0_and_1(o):
    assert {0.0, 1.0} <= set(o.score)
    assert any(len(set(score)) < len(score) / 10 for _, score, _ in columns(o))


def test_aece_is_get_ece_em(o):
    bins = equal_mass(o)
    found = calibration_error(o, bins).value
    for g, score, label in columns(o):
        expected = peer.get_ece_em(score, label, num_bins=int(bins.asked[g]))
        assert found[g] == pytest.approx(expected, abs=1e-12)


def test_dece_is_get_ece(o):
    found = calibration_error(o, equal_width(o)).value
    for g, score, label in columns(o):
        assert found[g] == pytest.approx(peer.get_ece(score, label, num_bins=15), abs=1e-12)


def test_the_debiased_error_is_the_unbiased_square_of_kumar_and_others(o):
    bins = equal_mass(o)
    found = debiased_squared_error(bins)
    for g, score, label in columns(o):
        borders = peer.utils.get_equal_bins(score, num_bins=int(bins.asked[g]))
        binned = peer.utils.fast_bin(list(zip(score, label, strict=True)), borders)
        assert found[g] == pytest.approx(peer.utils.unbiased_square_ce(binned), abs=1e-12)
    assert (found < 0.0).any()


def test_the_bins_of_equal_width_are_those_of_calibration_curve(o):
    bins = equal_width(o)
    for g, score, label in columns(o):
        label_means, score_means = calibration_curve(label, score, n_bins=15)
        mine = slice(bins.offsets[g], bins.offsets[g + 1])
        np.testing.assert_allclose(bins.label[mine], label_means, atol=1e-12)
        np.testing.assert_allclose(bins.score[mine], score_means, atol=1e-12)
