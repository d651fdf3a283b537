"""Groups block by block."""

from __future__ import annotations

import array_api_strict as strict
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calhard_kernels.blocks import by_blocks, group_blocks
from calhard_kernels.calibration import Estimate
from tests.kernels.measured import fleet, fleets, groups_of, moved

LIBRARIES = pytest.mark.parametrize(
    "asarray", [np.asarray, strict.asarray], ids=["numpy", "strict"]
)


@LIBRARIES
@given(fleets(max_rows=30), st.integers(1, 40), st.one_of(st.none(), st.integers(1, 4)))
def test_blocks_are_all_groups_whole_and_in_order(asarray, o, rows, groups):
    parts = list(group_blocks(moved(o, asarray), rows, groups))
    found = [group for part in parts for group in groups_of(moved(part, np.asarray))]
    assert found == groups_of(o)
    for part in parts:
        sizes = np.diff(np.asarray(part.offsets))
        assert sum(sizes) <= rows or len(sizes) == 1
        assert groups is None or len(sizes) <= groups


def test_a_block_is_as_large_as_may_be():
    o = fleet([[(0.5, 1)] * n for n in (2, 3, 0, 1, 4, 9, 1, 0)])
    assert [part.n.tolist() for part in group_blocks(o, 5)] == [[2, 3, 0], [1, 4], [9], [1, 0]]
    assert [part.n.tolist() for part in group_blocks(o, 5, 2)] == [[2, 3], [0, 1], [4], [9], [1, 0]]


@pytest.mark.parametrize("groups", [0, 3])
def test_of_nothing_there_is_one_block(groups):
    parts = list(group_blocks(fleet([[]] * groups, weighted=False), 5))
    assert [part.n.tolist() for part in parts] == [[0] * groups]


def test_what_is_found_block_by_block_is_joined(monkeypatch):
    monkeypatch.setattr("calhard_kernels.blocks.CACHE_ROWS", 4)
    o = fleet([[(0.5, 1)] * n for n in (2, 3, 0, 1, 4)])
    blocks = []

    def kernel(part):
        blocks.append(part)
        return Estimate(part.n * 1.0, part.n * 10.0)

    found = by_blocks(kernel, o)
    assert found.value.tolist() == [2.0, 3.0, 0.0, 1.0, 4.0]
    assert found.standard_error.tolist() == [20.0, 30.0, 0.0, 10.0, 40.0]
    assert len(blocks) == 3
