"""From the p of the best of many splits to an honest p, by a simulated table.

The table is made by ``python benchmarks/make_scan_null.py``; loading it is the caller's work.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calhard_kernels._array import Array, namespace

FLOOR = 1e-300


@dataclass(frozen=True, slots=True)
class ScanNull:
    """Null quantiles of y = −log10 p0, p0 the pooled-t p at the best split.

    Attributes
    ----------
    n : float64, shape (N,), increasing
        Lengths of the simulated series.
    phi : float64, shape (F,), increasing
        Lag-1 correlations.
    tail : float64, shape (U,), decreasing
        Probabilities u.
    score : float64, shape (N, F, U), increasing along the last axis
        y with P(Y ≥ y) = u under the null.
    """

    n: Array
    phi: Array
    tail: Array
    score: Array


def _cell(grid: Array, at: Array) -> tuple[Array, Array]:
    """Index of the grid cell that holds ``at`` and the place in it, both ends held."""
    inside = np.clip(at, grid[0], grid[-1])
    index = np.clip(np.searchsorted(grid, inside, side="right") - 1, 0, len(grid) - 2)
    return index, (inside - grid[index]) / (grid[index + 1] - grid[index])


def _curve(table: ScanNull, n: Array, phi: Array) -> Array:
    """Quantile curve of each series by bilinear interpolation in (log n, φ), shape (S, U)."""
    i, a = _cell(np.log(table.n), np.log(np.maximum(n, 2.0)))
    j, b = _cell(table.phi, phi)
    a, b = a[:, None], b[:, None]
    low = (1 - b) * table.score[i, j] + b * table.score[i, j + 1]
    high = (1 - b) * table.score[i + 1, j] + b * table.score[i + 1, j + 1]
    return (1 - a) * low + a * high


def scan_p(p0: Array, n: Array, phi: Array, table: ScanNull) -> Array:
    """Return the p of the best split, given the p ``p0`` of its own t test.

    Between the table's quantiles −log10 p is linear in −log10 p0; beyond the last one the factor
    p/p0 stays what it is there; below the first p grows to 1. All of shape (S,).
    """
    xp = namespace(p0)
    if xp is not np:  # the table lives on the host; S numbers travel, not panels
        return xp.asarray(scan_p(_host(p0), _host(n), _host(phi), table))
    y = -np.log10(np.maximum(p0, FLOOR))
    curve = _curve(table, n, phi)
    level = -np.log10(table.tail)
    above = np.sum(curve <= y[:, None], axis=1)
    k = np.clip(above, 1, curve.shape[1] - 1)
    rows = np.arange(len(y))
    y0, y1 = curve[rows, k - 1], curve[rows, k]
    inner = level[k - 1] + (y - y0) / np.maximum(y1 - y0, 1e-12) * (level[k] - level[k - 1])
    below = level[0] * y / np.maximum(curve[:, 0], 1e-12)
    beyond = level[-1] + (y - curve[:, -1])
    score = np.where(above == 0, below, np.where(above == curve.shape[1], beyond, inner))
    return np.clip(10.0**-score, 0.0, 1.0)


def _host(array: Array) -> Array:
    return np.asarray(array.get() if hasattr(array, "get") else array)
