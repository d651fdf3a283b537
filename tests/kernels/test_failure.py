from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from calhard_kernels.failure import closing_run, longest_run
from tests import naive

few_values = st.lists(st.sampled_from([0.0, 0.25, 1.0]), max_size=25)


@given(st.lists(few_values, min_size=1, max_size=6), st.integers(1, 5))
def test_runs_agree_with_grouping(series, more):
    n = np.array([len(s) for s in series])
    x = np.full((len(series), n.max() + more), 0.25)  # padding that equals the data
    for row, values in zip(x, series, strict=True):
        row[: len(values)] = values
    expected = [max(naive.runs(s), default=0) for s in series]
    np.testing.assert_array_equal(longest_run(x, n), expected)
    np.testing.assert_array_equal(closing_run(x, n), [(naive.runs(s) or [0])[-1] for s in series])


@given(few_values.filter(len))
def test_reversing_a_row_keeps_its_longest_run(values):
    x, n = np.array([values]), np.array([len(values)])
    assert longest_run(x, n)[0] == longest_run(x[:, ::-1], n)[0]
    assert 1 <= closing_run(x, n)[0] <= longest_run(x, n)[0]


def test_dense_constant_and_nan_rows():
    x = np.array([[2.0] * 6, [np.nan] * 6, [1.0, 1.0, 1.0, np.nan, 2.0, 2.0]])
    n = np.full(3, 6)
    np.testing.assert_array_equal(longest_run(x, n), [6, 1, 3])
    np.testing.assert_array_equal(closing_run(x, n), [6, 1, 2])


def test_one_slot():
    x, n = np.array([[5.0], [5.0]]), np.array([1, 0])
    np.testing.assert_array_equal(longest_run(x, n), [1, 0])
    np.testing.assert_array_equal(closing_run(x, n), [1, 0])
