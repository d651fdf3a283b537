"""The Brier score and Murphy's parts: literally, by hand, and as an identity."""

from __future__ import annotations

import array_api_strict as strict
import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from calhard_kernels.bins import equal_mass, equal_width
from calhard_kernels.brier import brier
from calhard_kernels.outcomes import Outcomes
from tests.kernels import measured
from tests.kernels.measured import fleet, fleets, groups_of


def parts(o):
    return brier(o, equal_width(o))


def values(o):
    """Score, reliability, resolution and uncertainty of every group, (G, 4)."""
    return np.stack(measured.leaves(parts(o)), axis=1)


def one_group(*rows):
    return fleet([rows])


def remainder(rows):
    """Within-bin variance of scores − 2 · within-bin covariance with labels − Σ w y (1 − y)/Σ w."""
    found = []
    for part in measured.in_bins(rows, measured.equal_width(rows)[0]).values():
        s_mean, y_mean = measured.mean_score(part), measured.mean_label(part)
        found += [
            w * ((s - s_mean) ** 2 - 2.0 * (s - s_mean) * (y - y_mean) - y * (1.0 - y))
            for s, y, w in part
        ]
    return measured.total(found) / measured.weight(rows)


# --- any rows ------------------------------------------------------------------------------------


@given(o=fleets())
def test_every_group_agrees_with_the_definitions(o):
    by_width, by_mass = values(o), np.stack(measured.leaves(brier(o, equal_mass(o))), axis=1)
    for g, rows in enumerate(groups_of(o)):
        expected = measured.brier(rows, measured.equal_width(rows)[0])
        assert tuple(by_width[g]) == pytest.approx(expected, abs=1e-14, nan_ok=True)
        expected = measured.brier(rows, measured.equal_mass(rows)[0])
        assert tuple(by_mass[g]) == pytest.approx(expected, abs=1e-14, nan_ok=True)


@given(o=fleets())
def test_the_parts_and_what_remains_within_bins_add_up_to_the_score(o):
    """Stephenson, Coelho & Jolliffe 2008; the last term is that of soft labels."""
    for g, rows in enumerate(groups_of(o)):
        if rows:
            score, reliability, resolution, uncertainty = values(o)[g]
            together = reliability - resolution + uncertainty + remainder(rows)
            assert score == pytest.approx(together, abs=1e-13)


@given(st.integers(0, 2**32 - 1), st.integers(1, 200), st.booleans())
def test_the_parts_add_up_where_scores_within_a_bin_are_equal(seed, n, weighted):
    rng = np.random.default_rng(seed)
    columns = [(rng.integers(0, 15, n) + 0.5) / 15, rng.integers(0, 2, n)]
    if weighted:
        columns.append(rng.uniform(0.1, 9.0, n))
    score, reliability, resolution, uncertainty = values(fleet([list(zip(*columns, strict=True))]))[
        0
    ]
    assert score == pytest.approx(reliability - resolution + uncertainty, abs=1e-14)


@given(o=fleets(hard=True))
def test_the_score_is_that_of_scikit_learn(o):
    found = parts(o).score
    for g, rows in enumerate(groups_of(o)):
        if rows:
            score, label, weight = (np.array(column) for column in zip(*rows, strict=True))
            peer = sklearn.metrics.brier_score_loss(label, score, sample_weight=weight, pos_label=1)
            assert found[g] == pytest.approx(peer, abs=1e-14)


@given(o=fleets(weighted=False), weight=st.sampled_from([3.0, 0.1, 1e-100, 1e100]))
def test_equal_weights_are_no_weights(o, weight):
    heavy = Outcomes(o.score, o.label, np.full_like(o.score, weight), o.offsets)
    np.testing.assert_allclose(values(heavy), values(o), atol=1e-14)


@given(o=fleets())
def test_the_parts_are_within_their_ranges(o):
    score, reliability, resolution, uncertainty = values(o)[o.n > 0].T
    for part, most in ((score, 1.0), (reliability, 1.0), (uncertainty, 0.25)):
        assert ((part >= 0.0) & (part <= most + 1e-15)).all()
    assert ((resolution >= 0.0) & (resolution <= uncertainty + 1e-15)).all()


@settings(max_examples=25)
@given(o=fleets(max_rows=60))
def test_a_group_does_not_depend_on_its_neighbours_bit_for_bit(o):
    measured.assert_groups_stand_alone(parts, o, lambda result: result)


@settings(max_examples=10)
@given(o=fleets(max_rows=60))
def test_the_array_standard_is_enough_and_each_group_stands_alone_there(o):
    measured.assert_the_standard_is_enough(parts, o)
    measured.assert_groups_stand_alone(parts, o, lambda result: result, strict.asarray)


@pytest.mark.gpu
def test_a_card_agrees():
    rng = np.random.default_rng(45)
    rows = [list(zip(rng.random(n), rng.random(n), strict=True)) for n in (0, 1, 2, 5000)]
    measured.assert_a_card_agrees(parts, fleet(rows))


# --- by hand -------------------------------------------------------------------------------------


def test_two_bins_by_hand():
    """0.25 with {0, 0, 0, 1} and 0.75 with {1, 1, 1, 0}: calibrated, ȳ = ½.

    Score (6·0.0625 + 2·0.5625)/8 = 0.1875 = 0 − 0.0625 + 0.25.
    """
    o = one_group(*[(0.25, y) for y in (0, 0, 0, 1)], *[(0.75, y) for y in (1, 1, 1, 0)])
    assert values(o).tolist() == [[0.1875, 0.0, 0.0625, 0.25]]


def test_certain_and_right_resolves_all_and_certain_and_wrong_is_unreliable():
    """p = 0 and p = 1 are in the first and the last bin."""
    o = fleet([[(0.0, 0.0), (1.0, 1.0)], [(0.0, 1.0), (1.0, 0.0)]])
    assert values(o).tolist() == [[0.0, 0.0, 0.25, 0.25], [1.0, 1.0, 0.25, 0.25]]


def test_equal_scores_resolve_nothing():
    """0.25 with {0, 1}: (0.0625 + 0.5625)/2 = 0.3125 = 0.0625 + 0.25."""
    assert values(one_group((0.25, 0.0), (0.25, 1.0))).tolist() == [[0.3125, 0.0625, 0.0, 0.25]]


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_one_class_alone_is_certain(label):
    """Distances of 0.75 and 0.5 to the class, each in a bin of its own: (0.5625 + 0.25)/2."""
    o = one_group((abs(label - 0.75), label), (0.5, label))
    assert values(o).tolist() == [[0.40625, 0.40625, 0.0, 0.0]]


def test_one_row_is_all_unreliability():
    assert values(one_group((0.75, 1.0))).tolist() == [[0.0625, 0.0625, 0.0, 0.0]]


def test_scores_that_differ_within_a_bin_leave_a_remainder():
    """0.5 and 0.53125 lie in one bin, with labels 0 and 1.

    Score (0.25 + 0.2197265625)/2; the bin's mean is 0.515625, ȳ = ½. What remains is the variance
    of the scores, 0.000244140625, less twice their covariance with the labels, 2·0.0078125.
    """
    o = one_group((0.5, 0.0), (0.53125, 1.0))
    assert values(o).tolist() == [[0.23486328125, 0.015625**2, 0.0, 0.25]]
    assert 0.23486328125 == 0.015625**2 + 0.25 + 0.000244140625 - 2.0 * 0.0078125


def test_soft_labels_have_the_uncertainty_of_their_mean():
    """0.5 with {0.25, 0.75}: score 0.0625, ȳ = ½; Σ y (1 − y)/2 = 0.1875 remains."""
    assert values(one_group((0.5, 0.25), (0.5, 0.75))).tolist() == [[0.0625, 0.0, 0.0, 0.25]]


def test_a_weight_counts_by_its_size():
    """0.5 with {0, 1}, weights {3, 1}: ȳ = ¼; score ¼, reliability 0.0625, uncertainty 0.1875."""
    o = one_group((0.5, 0.0, 3.0), (0.5, 1.0, 1.0))
    assert values(o).tolist() == [[0.25, 0.0625, 0.0, 0.1875]]


def test_an_empty_group_between_others_is_nan_and_changes_nothing():
    rows = [(0.25, 0.0), (0.75, 1.0)]
    found = values(fleet([rows, [], rows]))
    assert np.isnan(found[1]).all()
    assert found[0].tolist() == found[2].tolist() == values(fleet([rows]))[0].tolist()
    assert values(fleet([])).shape == (0, 4)
