"""Rows brought together by group, each group's rows in the order in which they came."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from calhard.history.ids import Ints


def by_group(code: Ints, groups: int) -> Ints:
    """Return the places of rows by their group, (N,); ``code`` (N,) lies in [0, groups).

    A counting sort: the column indices of a sparse matrix (group, row).
    """
    size = len(code)
    matrix = sparse.csr_array(
        (np.ones(size, np.int8), (code, np.arange(size))), shape=(groups, size)
    )
    return matrix.indices.astype(np.int64)
