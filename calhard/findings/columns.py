"""Columns of an Arrow table as arrays."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Objects = NDArray[np.object_]


def floats(table: pa.Table, name: str) -> Floats:
    """Return a numeric column as float64; null becomes NaN."""
    return np.asarray(table[name].to_numpy(zero_copy_only=False), np.float64)


def words(table: pa.Table, name: str) -> Objects:
    """Return a column of text; null stays None."""
    return np.array(table[name].to_pylist(), dtype=object)


def microseconds(table: pa.Table, name: str) -> NDArray[np.int64]:
    """Return instants as microseconds since 1970; null becomes the smallest int64."""
    column = table[name].cast(pa.int64()).fill_null(np.iinfo(np.int64).min)
    return np.asarray(column.to_numpy(), np.int64)
