"""The consistency band: how far from the diagonal chance alone carries calibrated scores."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEVEL = 0.95
_ROUNDING = 1e-9
"""Relative error of an effective count that is a whole number."""


class Band(NamedTuple):
    """Shares between which a cell's mean label lies in at least `LEVEL` of the cases.

    ``chance`` is how often it lies outside, at most 1 − `LEVEL`. All of shape (C,).
    """

    low: Floats
    high: Floats
    chance: Floats


def consistency_band(mean_score: Floats, count: Floats, level: float = LEVEL) -> Band:
    """Return the consistency band of cells whose scores are calibrated.

    X ~ Binomial(n, p) with n = ⌊count⌋ (at least 1) and p the mean score; the band is
    [q((1 − level)/2), q((1 + level)/2)]/n with q(u) the smallest k of which P(X ≤ k) ≥ u. These are
    exact quantiles: for small n they cover more than ``level``, never less.

    The scores of one cell differ a little, and labels may be soft: both scatter less than this law,
    whose band is then a little wide. Labels that depend on each other scatter more than it.

    Parameters
    ----------
    mean_score : shape (C,), in [0, 1]
    count : shape (C,), labels of each cell; of weighted ones their effective number

    Source: Bröcker & Smith 2007.
    """
    n = np.maximum(np.floor(count * (1.0 + _ROUNDING)), 1.0).astype(np.int64)
    tail = 0.5 * (1.0 - level)
    low, high = (_quantile(u, n, mean_score) for u in (tail, 1.0 - tail))
    chance = _at_most(low - 1, n, mean_score) + 1.0 - _at_most(high, n, mean_score)
    return Band(low / n, high / n, np.clip(chance, 0.0, 1.0))


def _at_most(k: Ints, n: Ints, p: Floats) -> Floats:
    """P(X ≤ k) = I_{1−p}(n − k, k + 1)."""
    inside = np.clip(k, 0, n - 1)
    value = betainc((n - inside).astype(np.float64), inside + 1.0, 1.0 - p)
    return np.where(k < 0, 0.0, np.where(k >= n, 1.0, value))


def _quantile(u: float, n: Ints, p: Floats) -> Ints:
    """The smallest k of which P(X ≤ k) ≥ u, by bisection of all cells at once."""
    low, high = np.zeros_like(n), n.copy()
    while np.any(low < high):
        middle = (low + high) // 2
        enough = _at_most(middle, n, p) >= u
        high = np.where(enough, middle, high)
        low = np.where(enough, low, np.minimum(middle + 1, high))
    return low
