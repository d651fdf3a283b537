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


@dataclass(frozen=True, slots=True)
class Sorted:
    """The values of each series in ascending order, read as often as one likes.

    ``values`` (S, W) hold a row's n values in columns 0 … n − 1 and infinity beyond; ``n`` (S,).
    """

    values: Array
    n: Array

    @classmethod
    def of(cls, x: Array, valid: Array | None = None, n: Array | None = None) -> Sorted:
        """Sort the valid values of each row; ``n``, their number, is counted unless given."""
        xp = namespace(x)
        if valid is not None:
            x = xp.where(valid, x, xp.full_like(x, float("inf")))
        return cls(xp.sort(x, axis=1), counts(x, valid) if n is None else n)

    def quantile(self, q: float) -> Array:
        """Return the type-7 quantile of each row, shape (S,); NaN for empty rows."""
        xp = namespace(self.values)
        rank = q * xp.maximum(self.n - 1.0, 0.0 * self.n)
        low = xp.floor(rank)
        a, b = self._at(low), self._at(xp.ceil(rank))
        part = rank - low
        return xp.where(self.n > 0.0, xp.where(part > 0, a + (b - a) * part, a), float("nan"))

    def _at(self, rank: Array) -> Array:
        xp = namespace(self.values)
        found = along_rows(self.values, xp.astype(rank, xp.int64))
        return xp.where(self.n > 0.0, found, 0.0)

    @property
    def median(self) -> Array:
        """Median of each row, shape (S,)."""
        return self.quantile(0.5)

    @property
    def iqr(self) -> Array:
        """q75 − q25 of each row, shape (S,)."""
        return self.quantile(0.75) - self.quantile(0.25)

    def deviation(self, centre: Array) -> Array:
        """Return the median of |x − centre| of each row, shape (S,), without another sort.

        The k values nearest to the centre are neighbours in order, so the k-th smallest deviation
        is the least, over all runs of k neighbours, of that of the run's farther end.
        """
        xp = namespace(self.values)
        n = xp.maximum(xp.astype(self.n, xp.int64), xp.ones(self.n.shape, dtype=xp.int64))
        low, high = (n + 1) // 2, n // 2 + 1
        a = self._nearest(low, centre)
        b = self._nearest(high, centre) if bool(xp.any(high > low)) else a
        return xp.where(self.n > 0.0, a + 0.5 * (b - a), float("nan"))

    def _nearest(self, k: Array, centre: Array) -> Array:
        """The k-th smallest deviation from the centre, k (S,) ≥ 1; rows of like k together."""
        xp = namespace(self.values)
        sizes = xp.unique_values(k)
        if sizes.shape[0] == 1:
            return _farther_end(self.values, centre, int(sizes[0]))
        found = xp.zeros_like(centre)
        for i in range(sizes.shape[0]):
            alike = k == sizes[i]
            rows = xp.nonzero(alike)[0]
            part = xp.take(self.values, rows, axis=0)
            found[alike] = _farther_end(part, xp.take(centre, rows, axis=0), int(sizes[i]))
        return found


def _farther_end(ordered: Array, centre: Array, k: int) -> Array:
    """Least, over all runs of k neighbours in order, of the larger deviation at its ends."""
    xp = namespace(ordered)
    below = centre[:, None] - ordered[:, : ordered.shape[1] - k + 1]
    above = ordered[:, k - 1 :] - centre[:, None]
    return xp.min(xp.maximum(below, above), axis=1)


def order_statistics(x: Array, valid: Array | None = None) -> Order:
    """Return minimum, quartiles, median and maximum of each series from one sort.

    ``x`` has shape (S, W), finite where valid. Exact: no arithmetic but the interpolation.
    """
    ordered = Sorted.of(x, valid)
    return Order(*(ordered.quantile(q) for q in (0.0, 0.25, 0.5, 0.75, 1.0)))


def median(x: Array, valid: Array | None = None) -> Array:
    """Return the median of each series, shape (S,); NaN where nothing is valid."""
    return Sorted.of(x, valid).median


def interquartile_range(x: Array, valid: Array | None = None) -> Array:
    """Return q75 − q25 of each series, shape (S,); NaN where nothing is valid."""
    return Sorted.of(x, valid).iqr


def clipping(centre: Array, mad: Array, k: float = 3.0) -> tuple[Array, Array]:
    """Return centre ± k·1.4826·MAD, where winsorising clips, shape (S,); ± ∞ where MAD = 0."""
    xp = namespace(mad)
    half = xp.where(mad > 0, k * MAD_TO_SD * mad, xp.full_like(mad, float("inf")))
    return centre - half, centre + half


def winsorise(x: Array, centre: Array, mad: Array, k: float = 3.0) -> Array:
    """Return ``x`` clipped to centre ± k·1.4826·MAD of its own series; MAD = 0 leaves it alone.

    ``x`` (S, W), ``centre`` and ``mad`` (S,), in the metric's unit.
    """
    low, high = clipping(centre, mad, k)
    return namespace(x).clip(x, low[:, None], high[:, None])
