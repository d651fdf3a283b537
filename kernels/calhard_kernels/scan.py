"""The level head with an unknown split: where a series falls apart best.

Source: Hawkins 1977 (maximally selected t); its null is simulated, see `scan_null`.
"""

from __future__ import annotations

from dataclasses import dataclass

from calhard_kernels._array import Array, counts, namespace, row_dot
from calhard_kernels._array import zero_padding as zero
from calhard_kernels.moments import Moments, anchor, lagged

MARGIN = 10
"""A split leaves at least this many slots on either side."""


@dataclass(frozen=True, slots=True)
class Split:
    """The best split of each series: ``column`` is the first column after it, shape (S,)."""

    column: Array
    before: Moments
    after: Moments
    found: Array
    """False where the series is too short to be split; its sums are then of the middle split."""


def best_split(x: Array, valid: Array | None = None, margin: int = MARGIN) -> Split:
    """Return the split that maximises the pooled |t| of a step, by prefix sums.

    With y the values less their mean and P_k their prefix sums, |t| is largest where
    P_k²/(k(n − k)) is; k runs from ``margin`` to n − ``margin``.

    Parameters
    ----------
    x : float64, shape (S, W); finite where valid
    valid : bool, shape (S, W), optional; one contiguous run in each row
    """
    xp = namespace(x)
    n = counts(x, valid)
    shift = anchor(x, valid)
    y = zero(x - shift[:, None], valid)
    mean = xp.sum(y, axis=1) / xp.maximum(n, 1.0 + 0.0 * n)
    y = zero(y - mean[:, None], valid)
    column = _argmax_split(y, n, _begin(x, valid), margin)
    before, after = _side_moments(y, valid, column)
    level = shift + mean
    return Split(
        column,
        Moments(before.n, level, before.offset, before.squares, before.cross),
        Moments(after.n, level, after.offset, after.squares, after.cross),
        n >= 2 * margin,
    )


def _begin(x: Array, valid: Array | None) -> Array:
    xp = namespace(x)
    if valid is None:
        return xp.zeros(x.shape[:1], dtype=xp.int64)
    return xp.argmax(xp.astype(valid, xp.int8), axis=1)


def _argmax_split(y: Array, n: Array, begin: Array, margin: int) -> Array:
    """First column after the best split; the middle of the run where there is room for none."""
    xp = namespace(y)
    width = y.shape[1]
    column = xp.arange(1, width + 1, dtype=xp.float64)[None, :]
    k = column - xp.astype(begin, xp.float64)[:, None]
    rest = n[:, None] - k
    allowed = (k >= margin) & (rest >= margin)
    weight = xp.where(allowed, k * rest, xp.ones_like(k))
    prefix = xp.cumulative_sum(y, axis=1)
    score = xp.where(allowed, prefix * prefix / weight, xp.full_like(prefix, -1.0))
    best = xp.argmax(score, axis=1) + 1
    middle = begin + xp.astype(n, xp.int64) // 2
    return xp.where(xp.any(allowed, axis=1), best, middle)


def _side_moments(y: Array, valid: Array | None, column: Array) -> tuple[Moments, Moments]:
    """Moments of both sides of a split, each computed directly from its own residuals."""
    xp = namespace(y)
    left = xp.arange(y.shape[1])[None, :] < column[:, None]
    right = ~left if valid is None else ~left & valid
    left = left if valid is None else left & valid
    sides = []
    for side in (left, right):
        size = xp.sum(xp.astype(side, xp.float64), axis=1)
        offset = xp.sum(zero(y, side), axis=1) / xp.maximum(size, 1.0 + 0.0 * size)
        residual = zero(y - offset[:, None], side)
        sides.append(
            Moments(size, 0.0 * size, offset, row_dot(residual, residual), lagged(residual))
        )
    return sides[0], sides[1]


def last_mean(x: Array, end: Array, slots: int = MARGIN) -> Array:
    """Return the mean of the ``slots`` values before column ``end`` of each row, shape (S,)."""
    xp = namespace(x)
    index = xp.maximum(end[:, None] - xp.arange(1, slots + 1)[None, :], xp.zeros_like(end)[:, None])
    return xp.mean(xp.take_along_axis(x, index, axis=1), axis=1)
