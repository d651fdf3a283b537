"""Shifted moments of each series of a panel, safe on near-constant series far from zero.

A panel is a float64 array of shape (series, slot). ``valid`` is a bool array of the same shape
whose true slots form one contiguous run in each row, or None for a dense panel.
"""

from __future__ import annotations

from dataclasses import dataclass

from calhard_kernels._array import Array, along_rows, counts, namespace, row_dot, safe_divide
from calhard_kernels._array import zero_padding as zero


@dataclass(frozen=True, slots=True)
class Moments:
    """First and second moments of one side of every series; every field has shape (S,).

    ``shift + offset`` is the mean. Differences of means are taken as
    ``(b.shift - a.shift) + (b.offset - a.offset)``, which loses no digits.
    """

    n: Array
    shift: Array
    offset: Array
    squares: Array
    """S = Σ r², r = x − mean."""
    cross: Array
    """C = Σ r_t r_{t−1}."""

    @property
    def mean(self) -> Array:
        """Arithmetic mean, in the metric's unit."""
        return self.shift + self.offset

    @property
    def variance(self) -> Array:
        """Sample variance S / (n − 1); 0 for fewer than two values."""
        xp = namespace(self.n)
        return self.squares / xp.maximum(self.n - 1.0, xp.ones_like(self.n))


def mean_difference(a: Moments, b: Moments) -> Array:
    """Return mean(b) − mean(a) without cancellation of a shared shift, shape (S,)."""
    return (b.shift - a.shift) + (b.offset - a.offset)


def anchor(x: Array, valid: Array | None = None) -> Array:
    """Return the median of the first, middle and last valid value of each series, shape (S,).

    A value near the series' level: sums of ``x - anchor`` lose nothing to a large mean, and a
    constant series becomes exactly 0. Rows without a valid slot return whatever stands there.
    """
    xp = namespace(x)
    if valid is None:
        width = x.shape[1]
        first, middle, last = x[:, 0], x[:, (width - 1) // 2], x[:, width - 1]
    else:
        begin = xp.argmax(xp.astype(valid, xp.int8), axis=1)
        length = xp.sum(xp.astype(valid, xp.int64), axis=1)
        end = xp.maximum(begin + length - 1, begin)
        first = along_rows(x, begin)
        middle = along_rows(x, (begin + end) // 2)
        last = along_rows(x, end)
    low, high = xp.minimum(first, middle), xp.maximum(first, middle)
    return xp.maximum(low, xp.minimum(high, last))


def moments(x: Array, valid: Array | None = None) -> Moments:
    """Return the moments of each series by two passes over values shifted to its own level.

    Parameters
    ----------
    x : float64, shape (S, W); finite where valid
    valid : bool, shape (S, W), optional

    Notes
    -----
    Padding must be finite. A series without a valid slot has n = 0 and zero sums. A row's result
    depends on that row alone, bit for bit.

    Source: Chan, Golub & LeVeque 1983 (two-pass algorithm with shift).
    """
    n = counts(x, valid)
    shift = anchor(x, valid)
    residual = zero(x - shift[:, None], valid)
    offset = safe_divide(namespace(x).sum(residual, axis=1), n)
    residual = zero(residual - offset[:, None], valid)
    return Moments(n, shift, offset, row_dot(residual, residual), lagged(residual))


def lagged(residual: Array) -> Array:
    """Return Σ r_t r_{t−1} of each row, shape (S,); padding must be 0."""
    if residual.shape[1] < 2:
        return residual[:, 0] * 0.0
    return row_dot(residual[:, 1:], residual[:, :-1])
