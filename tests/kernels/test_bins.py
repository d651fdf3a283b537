"""Reliability bins: where every row goes, at every border that libraries disagree about."""

from __future__ import annotations

import math

import array_api_strict as strict
import numpy as np
import pytest
from hypothesis import given, settings

from calhard_kernels.bins import equal_mass, equal_width
from tests.kernels import measured
from tests.kernels.measured import fleet, fleets, groups_of

BOTH = pytest.mark.parametrize("name", ["equal_mass", "equal_width"])
KERNELS = {"equal_mass": equal_mass, "equal_width": equal_width}
ORACLES = {"equal_mass": measured.equal_mass, "equal_width": measured.equal_width}


def contents(bins, o, g=0):
    """The scores in each bin of a group that holds any, by the bin's number."""
    mine = range(bins.offsets[g], bins.offsets[g + 1])
    return {int(bins.number[b]): o.score[bins.start[b] : bins.stop[b]].tolist() for b in mine}


def of_scores(*scores):
    return fleet([[(s, 0.0) for s in scores]])


# --- any rows ------------------------------------------------------------------------------------


@BOTH
@given(o=fleets())
def test_every_row_lies_in_the_bin_of_the_definition(name, o):
    bins = KERNELS[name](o)
    for g, rows in enumerate(groups_of(o)):
        place, asked = ORACLES[name](rows)
        held = measured.in_bins(rows, place)
        assert bins.asked[g] == asked
        mine = slice(bins.offsets[g], bins.offsets[g + 1])
        assert bins.number[mine].tolist() == list(held)
        assert (bins.group[mine] == g).all()
        first = o.offsets[g] + np.cumsum([0, *map(len, held.values())])
        assert bins.start[mine].tolist() == first[:-1].tolist()
        assert bins.stop[mine].tolist() == first[1:].tolist()


@BOTH
@given(o=fleets())
def test_every_bin_has_the_sums_of_its_rows(name, o):
    bins = KERNELS[name](o)
    parts = [
        part
        for rows in groups_of(o)
        for part in measured.in_bins(rows, ORACLES[name](rows)[0]).values()
    ]
    expected = {
        "count": [len(part) for part in parts],
        "weight": [measured.weight(part) for part in parts],
        "weight_squares": [math.fsum(w * w for _, _, w in part) for part in parts],
        "score": [measured.mean_score(part) for part in parts],
        "label": [measured.mean_label(part) for part in parts],
        "gap": [measured.gap(part) for part in parts],
    }
    for column, values in expected.items():
        np.testing.assert_allclose(getattr(bins, column), values, rtol=1e-13, atol=1e-12)


@BOTH
@given(o=fleets())
def test_weights_of_one_are_no_weights(name, o):
    columns = (o.score, o.label)
    one = measured.Outcomes(*columns, np.ones_like(o.score), o.offsets)
    none = measured.Outcomes(*columns, None, o.offsets)
    pairs = zip(*(measured.leaves(KERNELS[name](each)) for each in (one, none)), strict=True)
    for a, b in pairs:
        np.testing.assert_array_equal(a, b)


@BOTH
@given(o=fleets())
def test_means_are_in_the_range_of_probabilities(name, o):
    bins = KERNELS[name](o)
    for mean in (bins.score, bins.label):
        assert ((mean >= 0.0) & (mean <= 1.0 + 1e-15)).all()


@BOTH
@settings(max_examples=12)
@given(o=fleets(max_rows=60))
def test_a_groups_bins_do_not_depend_on_its_neighbours_bit_for_bit(name, o):
    def one_per_group(bins):
        return tuple(bins.total(column) for column in (bins.score, bins.label, bins.gap))

    measured.assert_groups_stand_alone(KERNELS[name], o, one_per_group)
    measured.assert_groups_stand_alone(KERNELS[name], o, one_per_group, strict.asarray)


@BOTH
@settings(max_examples=25)
@given(o=fleets(max_rows=60))
def test_the_array_standard_is_enough(name, o):
    # a gap may cancel: its rounding is that of its terms
    scale = max([1.0, *map(measured.weight, groups_of(o))])
    measured.assert_the_standard_is_enough(KERNELS[name], o, atol=1e-14 * scale)


@pytest.mark.gpu
@BOTH
def test_a_card_bins_alike(name):
    rng = np.random.default_rng(42)
    rows = [list(zip(rng.random(n), rng.integers(0, 2, n), strict=True)) for n in (0, 1, 99, 5000)]
    measured.assert_a_card_agrees(KERNELS[name], fleet(rows))


# --- equal mass, by hand -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "asked"),
    [
        (1, 5),
        (24, 5),
        (35, 5),
        (36, 6),
        (48, 6),
        (49, 7),
        (9_999, 99),
        (10_000, 100),
        (12_000, 100),
    ],
)
def test_there_are_root_n_bins_but_at_least_5_and_at_most_100(n, asked):
    o = of_scores(*np.arange(n) / n)
    bins = equal_mass(o)
    assert bins.asked.tolist() == [asked]
    sizes = [len(part) for part in np.array_split(np.arange(n), asked) if len(part)]
    assert bins.count.tolist() == sizes


def test_the_first_bins_take_the_rows_left_over():
    o = of_scores(0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
    assert contents(equal_mass(o), o) == {
        0: [0.0, 0.1],
        1: [0.2, 0.3],
        2: [0.4],
        3: [0.5],
        4: [0.6],
    }


def test_fewer_rows_than_bins_leave_the_last_bins_empty():
    o = of_scores(0.0, 0.5, 1.0)
    bins = equal_mass(o)
    assert contents(bins, o) == {0: [0.0], 1: [0.5], 2: [1.0]}
    assert bins.asked.tolist() == [5]


def test_a_tie_across_a_border_lies_in_the_bin_of_its_first_row():
    o = of_scores(0.1, 0.2, 0.2, 0.2, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)  # ranks are cut in twos
    assert contents(equal_mass(o), o) == {
        0: [0.1, 0.2, 0.2, 0.2],
        2: [0.5, 0.6],
        3: [0.7, 0.8],
        4: [0.9, 1.0],
    }


def test_a_tie_that_begins_a_bin_stays_there():
    o = of_scores(0.1, 0.2, 0.3, 0.3, 0.3, 0.6, 0.7, 0.8, 0.9, 1.0)
    assert contents(equal_mass(o), o) == {
        0: [0.1, 0.2],
        1: [0.3, 0.3, 0.3],
        2: [0.6],
        3: [0.7, 0.8],
        4: [0.9, 1.0],
    }


def test_equal_scores_are_one_bin():
    o = of_scores(*[0.25] * 100)
    bins = equal_mass(o)
    assert (bins.number.tolist(), bins.count.tolist(), bins.asked.tolist()) == ([0], [100], [10])


def test_equal_scores_of_neighbouring_groups_are_no_tie():
    o = fleet([[(0.5, 0.0)] * 3, [], [(0.5, 1.0)] * 2])
    bins = equal_mass(o)
    assert bins.offsets.tolist() == [0, 1, 1, 2]
    assert bins.group.tolist() == [0, 2]
    assert (bins.start.tolist(), bins.stop.tolist()) == ([0, 3], [3, 5])


def test_weights_do_not_move_the_borders_of_equal_mass():
    o = fleet([[(s / 10, 0.0, w) for s, w in enumerate([1e9, *[1.0] * 9])]])
    assert equal_mass(o).count.tolist() == [2, 2, 2, 2, 2]


# --- equal width, by hand ------------------------------------------------------------------------


def test_a_score_of_0_lies_in_the_first_bin_and_one_of_1_in_the_last():
    o = of_scores(0.0, -0.0, 1.0)
    bins = equal_width(o)
    assert (bins.number.tolist(), bins.count.tolist()) == ([0, 14], [2, 1])


@pytest.mark.parametrize("count", [1, 2, 10, 15, 20])
def test_a_score_on_a_border_lies_in_the_bin_above_and_one_just_below_in_the_bin_below(count):
    for k in range(1, count):
        border = k / count
        o = of_scores(math.nextafter(border, 0.0), border)
        assert equal_width(o, count).number.tolist() == [k - 1, k]


def test_a_border_is_a_quotient_and_no_product():
    """0.29 · 100 is 28.999999999999996, which would truncate to the bin below."""
    assert int(0.29 * 100) == 28
    assert equal_width(of_scores(0.29), 100).number.tolist() == [29]


def test_one_bin_holds_everything():
    bins = equal_width(of_scores(0.0, 0.3, 1.0), 1)
    assert (bins.number.tolist(), bins.count.tolist()) == ([0], [3])


# --- sums ----------------------------------------------------------------------------------------


def test_a_gap_much_smaller_than_the_scores_keeps_its_digits():
    """The sums of scores and labels, near 1000, differ by 1e-9 with an error of 1e-13."""
    score = 1.0 - 2.0**-40
    o = fleet([[(score, 1.0, 0.7)] * 1000])
    for kernel in KERNELS.values():
        assert kernel(o).gap.tolist() == [pytest.approx(-700.0 * 2.0**-40, rel=1e-12)]


# --- groups without rows -------------------------------------------------------------------------


@BOTH
def test_an_empty_group_has_no_bins_and_asks_for_as_many(name):
    o = fleet([[], [(0.1, 0.0), (0.9, 1.0)], [], [(0.9, 1.0)], []])
    bins = KERNELS[name](o)
    assert bins.offsets.tolist() == [0, 0, 2, 2, 3, 3]
    assert bins.asked.tolist() == [{"equal_mass": 5, "equal_width": 15}[name]] * 5
    assert bins.filled.tolist() == [False, True, False, True, False]
    np.testing.assert_array_equal(bins.group_weight, [np.nan, 2.0, np.nan, 1.0, np.nan])
    np.testing.assert_array_equal(bins.mean(bins.label), [np.nan, 0.5, np.nan, 1.0, np.nan])


@BOTH
@pytest.mark.parametrize("groups", [[], [[]], [[], []]], ids=["none", "one", "two"])
@pytest.mark.parametrize("asarray", [np.asarray, strict.asarray], ids=["numpy", "strict"])
def test_no_rows_at_all_are_no_bins(name, groups, asarray):
    bins = KERNELS[name](measured.moved(fleet(groups), asarray))
    assert np.asarray(bins.count).shape == (0,)
    assert np.asarray(bins.offsets).tolist() == [0] * (len(groups) + 1)
    assert np.isnan(np.asarray(bins.mean(bins.label))).tolist() == [True] * len(groups)


# --- effective rows ------------------------------------------------------------------------------


def test_a_bin_is_worth_as_many_rows_as_its_weights_say():
    """(3 + 1)² / (9 + 1) = 1.6 rows; equal weights are worth their number."""
    o = fleet([[(0.0, 0.0, 3.0), (0.01, 1.0, 1.0), (0.9, 1.0, 7.0), (0.9, 0.0, 7.0)]])
    assert equal_width(o).effective_count.tolist() == pytest.approx([1.6, 2.0])


def test_a_row_of_its_own_is_worth_one_whatever_its_weight():
    for weight in (1e-100, 0.1, 0.3, 7.0, 1e100):
        assert equal_width(fleet([[(0.5, 1.0, weight)]])).effective_count[0] == pytest.approx(1.0)
