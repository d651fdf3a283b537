"""Calibration errors, their standard errors, τ, clamping and merging: literally and by hand."""

from __future__ import annotations

import math

import array_api_strict as strict
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calhard_kernels.bins import equal_mass, equal_width
from calhard_kernels.calibration import (
    calibration_error,
    clamp_rate,
    debiased_squared_error,
    mean_label,
    mean_score,
    merged_bin_rate,
    tau,
)
from calhard_kernels.outcomes import Outcomes
from tests.kernels import measured
from tests.kernels.measured import NAN, fleet, fleets, groups_of
from tests.measure.literal import naive_aece, naive_dece

BINS = pytest.mark.parametrize(
    ("bins_of", "placed"),
    [(equal_mass, measured.equal_mass), (equal_width, measured.equal_width)],
    ids=["equal mass", "equal width"],
)


def everything(o):
    """All statistics of this part, each (G,)."""
    bins = equal_mass(o), equal_width(o)
    return (
        *(calibration_error(o, each) for each in bins),
        *(debiased_squared_error(each) for each in bins),
        *(merged_bin_rate(each) for each in bins),
        clamp_rate(o),
        tau(o.n, bins[0].asked),
        mean_score(bins[0]),
        mean_label(bins[0]),
    )


def aece(o):
    return calibration_error(o, equal_mass(o))


def dece(o):
    return calibration_error(o, equal_width(o))


def one_group(*rows):
    return fleet([rows])


# --- any rows ------------------------------------------------------------------------------------


@BINS
@given(o=fleets())
def test_every_group_agrees_with_the_definitions(bins_of, placed, o):
    bins = bins_of(o)
    found = calibration_error(o, bins)
    debiased, merged = debiased_squared_error(bins), merged_bin_rate(bins)
    for g, rows in enumerate(groups_of(o)):
        place, asked = placed(rows)
        kept = {"abs": 1e-13, "nan_ok": True}
        assert found.value[g] == pytest.approx(measured.ece(rows, place), **kept)
        assert found.standard_error[g] == pytest.approx(measured.ece_error(rows, place), **kept)
        assert debiased[g] == pytest.approx(measured.debiased(rows, place), **kept)
        assert merged[g] == pytest.approx(measured.merged(rows, place, asked), **kept)


@given(o=fleets(hard=True, weighted=False))
def test_every_group_agrees_with_the_literal_errors_of_unweighted_rows(o):
    found = aece(o).value, dece(o).value
    for g, rows in enumerate(groups_of(o)):
        if rows:
            score, label, _ = zip(*rows, strict=True)
            assert found[0][g] == pytest.approx(naive_aece(score, label), abs=1e-13)
            assert found[1][g] == pytest.approx(naive_dece(score, label), abs=1e-13)


@given(o=fleets(), low=st.floats(0.0, 1.0), high=st.floats(0.0, 1.0))
def test_every_groups_clamp_rate_and_means_agree_with_the_definitions(o, low, high):
    found, asked = clamp_rate(o), clamp_rate(o, low, high)
    means = mean_score(equal_mass(o)), mean_label(equal_width(o))
    for g, rows in enumerate(groups_of(o)):
        kept = {"abs": 1e-14, "nan_ok": True}
        assert found[g] == pytest.approx(measured.clamped(rows), **kept)
        assert asked[g] == pytest.approx(measured.clamped(rows, low, high), **kept)
        expected = (measured.mean_score(rows), measured.mean_label(rows)) if rows else (NAN, NAN)
        assert (means[0][g], means[1][g]) == pytest.approx(expected, **kept)


@given(o=fleets(weighted=False), weight=st.sampled_from([3.0, 0.1, 1e-100, 1e100]))
def test_equal_weights_are_no_weights(o, weight):
    heavy = Outcomes(o.score, o.label, np.full_like(o.score, weight), o.offsets)
    for a, b in zip(*(measured.leaves(everything(each)) for each in (heavy, o)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-13)


@given(o=fleets(max_rows=40, weighted=False), seed=st.integers(0, 2**32 - 1))
def test_a_weight_is_a_number_of_rows_to_the_value_over_bins_of_equal_width(o, seed):
    times = np.random.default_rng(seed).integers(1, 4, len(o.score))
    heavy = Outcomes(o.score, o.label, times.astype(np.float64), o.offsets)
    rows = iter(times)
    repeated = fleet([[row[:2] for row in g for _ in range(next(rows))] for g in groups_of(o)])
    np.testing.assert_allclose(dece(heavy).value, dece(repeated).value, atol=1e-14)
    np.testing.assert_allclose(clamp_rate(heavy), clamp_rate(repeated), atol=1e-14)


@given(o=fleets())
def test_errors_are_within_their_ranges(o):
    for found in (aece(o), dece(o)):
        filled, sure = o.n > 0, o.n > 1
        assert ((found.value[filled] >= 0.0) & (found.value[filled] <= 1.0 + 1e-15)).all()
        assert (found.standard_error[sure] >= 0.0).all()
        assert np.isnan(found.value[~filled]).all()
        assert np.isnan(found.standard_error[~sure]).all()


@settings(max_examples=25)
@given(o=fleets(max_rows=60))
def test_a_group_does_not_depend_on_its_neighbours_bit_for_bit(o):
    measured.assert_groups_stand_alone(everything, o, lambda result: result)


@settings(max_examples=20)
@given(o=fleets(max_rows=60))
def test_the_array_standard_is_enough(o):
    measured.assert_the_standard_is_enough(everything, o)


def large_fleet():
    rng = np.random.default_rng(43)
    groups = []
    for n in (0, 1, 2, 40, 3000):
        s = rng.random(n)
        groups.append(list(zip(s, rng.random(n) < s**2, rng.uniform(0.5, 2.0, n), strict=True)))
    return fleet(groups, weighted=True)


def test_the_array_standard_is_enough_for_large_groups_each_of_which_stands_alone():
    measured.assert_the_standard_is_enough(everything, large_fleet())
    measured.assert_groups_stand_alone(everything, large_fleet(), lambda r: r, strict.asarray)


@pytest.mark.gpu
def test_a_card_agrees():
    measured.assert_a_card_agrees(everything, large_fleet())


# --- calibration errors, by hand -----------------------------------------------------------------


def test_scores_of_0_and_1_are_in_bins_of_their_own():
    """|0 − 1|·1 + |0.5 − 0|·1 + |1 − ½|·2 over four rows: (1 + 0.5 + 1)/4."""
    o = one_group((0.0, 1.0), (0.5, 0.0), (1.0, 0.0), (1.0, 1.0))
    assert dece(o).value.tolist() == [0.625]


def test_certain_and_right_is_no_error_and_certain_and_wrong_is_1():
    o = fleet([[(0.0, 0.0), (1.0, 1.0)], [(0.0, 1.0), (1.0, 0.0)]])
    assert dece(o).value.tolist() == [0.0, 1.0]
    assert aece(o).value.tolist() == [0.0, 1.0]
    assert dece(o).standard_error.tolist() == [0.0, 0.0]


def test_a_tie_across_a_border_counts_once():
    """Ten rows in five bins of two; the tie of four at 0.25 takes the whole of the second bin.

    Gaps: {0.125, 0.25, 0.25, 0.25} with one label of 1: 0.875 − 1 = −0.125; {0.5, 0.5} with {0, 1}:
    0; {0.75, 0.75} with {1, 1}: −0.5; {1, 1} with {0, 1}: 1. Together 1.625 of 10. Cut through the
    tie, the first two bins would give |0.375 − 0| + |0.5 − 1| = 0.875 in place of 0.125.
    """
    o = one_group(
        *[(0.125, 0.0), (0.25, 0.0), (0.25, 0.0), (0.25, 1.0)],
        *[(0.5, 0.0), (0.5, 1.0), (0.75, 1.0), (0.75, 1.0), (1.0, 0.0), (1.0, 1.0)],
    )
    assert equal_mass(o).number.tolist() == [0, 2, 3, 4]
    assert aece(o).value.tolist() == [0.1625]


def test_a_bin_with_one_row_counts_with_its_own_gap():
    """{0.125}: 0.125; {0.5, 0.5} with {0, 1}: 0; {0.875} with 1: −0.125. (0.125 + 0.125)/4."""
    o = one_group((0.125, 0.0), (0.5, 0.0), (0.5, 1.0), (0.875, 1.0))
    assert dece(o).value.tolist() == [0.0625]


def test_equal_scores_are_one_bin_and_their_error_the_distance_to_the_mean_label():
    o = one_group(*[(0.25, 0.0)] * 3, *[(0.25, 1.0)] * 5)
    for found in (aece(o), dece(o)):
        assert found.value.tolist() == [0.375]
        # ψ = −(s − y) − 0.375: −0.625 thrice, 0.375 five times; Σψ² = 1.875
        assert found.standard_error.tolist() == [pytest.approx(math.sqrt(1.875) / 8)]


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_one_class_alone_gives_the_mean_distance_to_it(label):
    scores = (0.125, 0.25, 0.5, 0.625)
    o = one_group(*[(s, label) for s in scores])
    expected = abs(sum(scores) / 4 - label)
    assert (aece(o).value[0], dece(o).value[0]) == (expected, expected)


def test_fewer_rows_than_bins_give_the_mean_distance_of_score_and_label():
    """n = 3 < K = 5: (0.25 + 0.5 + 0.25)/3; half of that would be the gap of one bin."""
    o = one_group((0.25, 0.0), (0.5, 1.0), (0.75, 1.0))
    assert aece(o).value.tolist() == [pytest.approx(1.0 / 3.0)]


def test_one_row_has_an_error_but_no_standard_error():
    for found in (aece(one_group((0.75, 1.0))), dece(one_group((0.75, 1.0)))):
        assert found.value.tolist() == [0.25]
        assert np.isnan(found.standard_error).all()


def test_an_empty_group_between_others_is_nan_and_changes_nothing():
    rows = [(0.25, 0.0), (0.75, 1.0), (0.75, 0.0)]
    alone = measured.leaves(everything(fleet([rows])))
    among = measured.leaves(everything(fleet([rows, [], rows, []])))
    for one, statistic in zip(alone, among, strict=True):
        assert np.isnan(statistic[[1, 3]]).all()
        assert statistic[0] == statistic[2] == one[0]


def test_no_groups_have_no_results():
    for statistic in measured.leaves(everything(fleet([]))):
        assert statistic.shape == (0,)


def test_a_soft_label_counts_by_its_share():
    """{0.5, 0.5} with {0.25, 0.5}: 0.25; {0.875} with 1: −0.125. 0.375/3."""
    o = one_group((0.5, 0.25), (0.5, 0.5), (0.875, 1.0))
    assert dece(o).value.tolist() == [0.125]


def test_a_label_equal_to_its_score_is_no_error_at_all():
    o = one_group(*[(s, s) for s in np.random.default_rng(44).random(500)])
    for found in (aece(o), dece(o)):
        assert (found.value[0], found.standard_error[0]) == (0.0, 0.0)


def test_a_weight_counts_by_its_size():
    """{0.5, 0.5} with {0, 1} and weights {3, 1}: 3·0.5 − 0.5 = 1; {1} with 0, weight 4: 4. 5/8."""
    o = one_group((0.5, 0.0, 3.0), (0.5, 1.0, 1.0), (1.0, 0.0, 4.0))
    assert dece(o).value.tolist() == [0.625]
    # wψ: 3·(0.5 − 0.625), 1·(−0.5 − 0.625), 4·(1 − 0.625)
    expected = math.sqrt(0.375**2 + 1.125**2 + 1.5**2) / 8
    assert dece(o).standard_error.tolist() == [pytest.approx(expected)]


@pytest.mark.parametrize("second", [(0.75, 0.0), (0.25, 1.0)])
def test_the_standard_error_of_two_bins_is_that_of_two_distances(second):
    """Distances 0.25 and 0.75, whichever the sign: value 0.5, ψ = ∓0.25, √0.125 / 2."""
    found = aece(one_group((0.125, 0.375), second))
    assert found.value.tolist() == [0.5]
    assert found.standard_error.tolist() == [pytest.approx(math.sqrt(0.125) / 2)]


def test_a_bin_in_balance_does_not_pass_for_a_certain_one():
    """Gap 0 by luck: the value is 0, its standard error that of a mean of ±½ over four rows."""
    o = one_group(*[(0.5, 0.0)] * 2, *[(0.5, 1.0)] * 2)
    assert dece(o).value.tolist() == [0.0]
    assert dece(o).standard_error.tolist() == [0.25]


# --- debiased, by hand ---------------------------------------------------------------------------


def test_the_debiased_error_takes_off_what_chance_adds():
    """Four rows at 0.5, one label of 1: 0.25² − 0.1875/3 = 0."""
    o = one_group(*[(0.5, 0.0)] * 3, (0.5, 1.0))
    assert debiased_squared_error(equal_width(o)).tolist() == [0.0]


def test_the_debiased_error_may_be_negative_and_keeps_its_sign():
    """Two rows at 0.5 with labels 0 and 1: 0 − 0.25/1."""
    o = one_group((0.5, 0.0), (0.5, 1.0))
    assert debiased_squared_error(equal_width(o)).tolist() == [-0.25]


def test_a_bin_of_one_row_adds_nothing_to_the_debiased_error_but_counts_in_n():
    """Two bins: {0.5, 0.5} with {1, 1} gives 0.25 for two of three rows; {1} with 0 gives none."""
    o = one_group((0.5, 1.0), (0.5, 1.0), (1.0, 0.0))
    assert debiased_squared_error(equal_width(o)).tolist() == [pytest.approx(0.5 / 3.0)]


def test_the_debiased_error_counts_rows_by_what_their_weights_are_worth():
    """Weights 2, 1, 1 are worth 16/6 rows; ȳ = ½ and s̄ = ½: 0 − 0.25/(16/6 − 1) = −0.15."""
    o = one_group((0.5, 1.0, 2.0), (0.5, 0.0, 1.0), (0.5, 0.0, 1.0))
    assert debiased_squared_error(equal_width(o)).tolist() == [pytest.approx(-0.15)]


def test_a_bin_that_one_weight_rules_is_a_bin_of_one_row():
    o = one_group((0.5, 0.5, 1e9), (0.5, 0.5, 1.0), (0.9, 1.0, 1e9))
    assert debiased_squared_error(equal_width(o)).tolist() == [0.0]


# --- clamping, merging, τ ------------------------------------------------------------------------


def test_a_score_at_a_bound_is_clamped_and_one_just_inside_is_not():
    inside = (math.nextafter(0.001, 1.0), math.nextafter(0.999, 0.0))
    o = fleet([[(s, 0.0)] for s in (0.0, 0.001, *inside, 0.999, 1.0)])
    assert clamp_rate(o).tolist() == [1.0, 1.0, 0.0, 0.0, 1.0, 1.0]


def test_the_bounds_of_clamping_can_be_set():
    o = one_group(*[(s, 0.0) for s in (0.0, 0.25, 0.5, 0.75, 1.0)])
    assert clamp_rate(o, 0.0, 1.0).tolist() == [0.4]
    assert clamp_rate(o, 0.25, 0.75).tolist() == [0.8]


def test_bounds_that_overlap_count_a_score_once():
    o = one_group(*[(s, 0.0) for s in (0.0, 0.25, 0.5, 0.75, 1.0)])
    assert clamp_rate(o, 0.75, 0.25).tolist() == [1.0]


def test_clamped_rows_count_by_weight():
    o = one_group((0.0, 0.0, 3.0), (0.5, 0.0, 4.0), (1.0, 1.0, 1.0))
    assert clamp_rate(o).tolist() == [0.5]


def test_small_bins_and_empty_ones_are_merged():
    """Of 15 bins: one of three rows, one of two, one of one, twelve empty ones."""
    o = one_group(*[(0.0, 0.0)] * 3, *[(0.5, 0.0)] * 2, (1.0, 1.0))
    bins = equal_width(o)
    assert merged_bin_rate(bins).tolist() == [14 / 15]
    assert merged_bin_rate(bins, min_bin=1).tolist() == [12 / 15]
    assert merged_bin_rate(bins, min_bin=4).tolist() == [1.0]


def test_too_few_rows_for_the_bins_merge_them_all():
    assert merged_bin_rate(equal_mass(one_group((0.25, 0.0), (0.5, 1.0)))).tolist() == [1.0]


def test_equal_scores_leave_one_bin_of_equal_mass():
    assert merged_bin_rate(equal_mass(one_group(*[(0.5, 1.0)] * 100))).tolist() == [0.9]


def test_tau_falls_with_the_root_of_labels_to_its_floor():
    """1.5·√(5/20) = 0.75, 1.5·√(100/10⁴) = 0.15, 1.5·√(100/10⁸) = 0.0015 < 0.015."""
    n, k = np.array([20, 10_000, 100_000_000]), np.array([5, 100, 100])
    assert tau(n, k).tolist() == pytest.approx([0.75, 0.15, 0.015])
    assert tau(n, k, floor=0.0).tolist() == pytest.approx([0.75, 0.15, 0.0015])


def test_every_group_has_a_confidence_threshold_of_its_own():
    n, k = np.array([100, 100, 100]), np.array([1, 1, 1])
    assert tau(n, k, np.array([1.0, 2.0, 0.1])).tolist() == pytest.approx([0.1, 0.2, 0.015])


def test_no_labels_explain_no_error():
    assert np.isnan(tau(np.array([0]), np.array([5]))).all()
