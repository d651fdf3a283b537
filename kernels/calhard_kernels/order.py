"""Order statistics of each series from one sort, and winsorising about a side's own median."""

from __future__ import annotations

from dataclasses import dataclass

from calhard_kernels._array import Array, along_rows, counts, namespace

MAD_TO_SD = 1.4826
"""Median absolute deviation × this = standard deviation of a normal law."""


@dataclass(frozen=True, slots=True)
class Order:
    """Quantiles of each series (linear interpolation, type 7), shape (S,); NaN for empty rows."""

    minimum: Array
    q25: Array
    median: Array
    q75: Array
    maximum: Array

    @property
    def iqr(self) -> Array:
        """Interquartile range."""
        return self.q75 - self.q25


def _sorted(x: Array, valid: Array | None) -> Array:
    xp = namespace(x)
    if valid is not None:
        x = xp.where(valid, x, xp.full_like(x, float("inf")))
    return xp.sort(x, axis=1)


def _quantile(ordered: Array, n: Array, q: float) -> Array:
    """Type-7 quantile of sorted rows whose first n entries count."""
    xp = namespace(ordered)
    rank = q * xp.maximum(n - 1.0, 0.0 * n)
    low = xp.floor(rank)
    index = xp.astype(low, xp.int64)
    empty = n <= 0.0
    a = xp.where(empty, 0.0, along_rows(ordered, index))
    b = xp.where(empty, 0.0, along_rows(ordered, xp.astype(xp.ceil(rank), xp.int64)))
    part = rank - low
    value = xp.where(part > 0, a + (b - a) * part, a)
    return xp.where(empty, float("nan"), value)


def order_statistics(x: Array, valid: Array | None = None) -> Order:
    """Return minimum, quartiles, median and maximum of each series from one sort.

    ``x`` has shape (S, W), finite where valid. Exact: no arithmetic but the interpolation.
    """
    ordered = _sorted(x, valid)
    n = counts(x, valid)
    q = [_quantile(ordered, n, level) for level in (0.0, 0.25, 0.5, 0.75, 1.0)]
    return Order(*q)


def median(x: Array, valid: Array | None = None) -> Array:
    """Return the median of each series, shape (S,); NaN where nothing is valid."""
    return _quantile(_sorted(x, valid), counts(x, valid), 0.5)


def interquartile_range(x: Array, valid: Array | None = None) -> Array:
    """Return q75 − q25 of each series, shape (S,); NaN where nothing is valid."""
    ordered, n = _sorted(x, valid), counts(x, valid)
    return _quantile(ordered, n, 0.75) - _quantile(ordered, n, 0.25)


def winsorise(x: Array, centre: Array, mad: Array, k: float = 3.0) -> Array:
    """Return ``x`` clipped to centre ± k·1.4826·MAD of its own series; MAD = 0 leaves it alone.

    ``x`` (S, W), ``centre`` and ``mad`` (S,), in the metric's unit.
    """
    xp = namespace(x)
    half = xp.where(mad > 0, k * MAD_TO_SD * mad, xp.full_like(mad, float("inf")))
    return xp.clip(x, (centre - half)[:, None], (centre + half)[:, None])
