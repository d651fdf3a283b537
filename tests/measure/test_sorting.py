"""Sorting by group and score, against lexsort."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calhard.measure.sorting import LONG, sort_outcomes


def expected(code, score, label, weight):
    weight = np.ones(len(code)) if weight is None else weight
    order = np.lexsort((weight, label, score, code))
    return score[order], label[order], weight[order]


def check(code, score, label, weight, groups):
    o = sort_outcomes(code, score, label, weight, groups)
    s, y, w = expected(code, score, label, weight)
    np.testing.assert_array_equal(o.score, s)
    np.testing.assert_array_equal(o.label, y)
    assert (o.weight is None) == (weight is None)
    if weight is not None:
        np.testing.assert_array_equal(o.weight, w)
    np.testing.assert_array_equal(np.diff(o.offsets), np.bincount(code, minlength=groups))


SCORES = st.floats(0, 1).map(abs) | st.sampled_from([0.0, 5e-324, 0.5, np.nextafter(1, 0), 1.0])
ROWS = st.lists(st.tuples(st.integers(0, 6), SCORES, st.sampled_from([0.0, 1.0])), max_size=60)


@given(ROWS)
def test_any_rows_are_sorted_as_lexsort_would(rows):
    code, score, label = (np.array([row[k] for row in rows]) for k in range(3))
    check(code.astype(np.int64), score.astype(float), label.astype(float), None, 8)


@given(ROWS, st.randoms(use_true_random=False))
def test_soft_labels_and_weights_too(rows, random):
    code, score = (np.array([row[k] for row in rows]) for k in range(2))
    label, weight = (np.array([random.choice([0.25, 0.5, 1.0]) for _ in rows]) for _ in range(2))
    check(code.astype(np.int64), score.astype(float), label.astype(float), weight, 7)


@pytest.mark.parametrize("groups", [1, 3, 40, 5_000])
def test_groups_of_every_length_are_sorted_short_ones_together_and_long_ones_alone(groups):
    rng = np.random.default_rng(groups)
    size = 20 * LONG
    code = np.minimum((rng.pareto(0.5, size) * 2).astype(np.int64), groups - 1)
    score = rng.random(size).round(3)
    check(code, score, (rng.random(size) < score).astype(float), None, groups)
