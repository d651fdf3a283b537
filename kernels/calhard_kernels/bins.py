"""Reliability bins of each group: of equal mass (equally many rows) or of equal width.

Rows are sorted by score within a group, so a bin is a run of rows, and its borders are found by
bisection for all bins of all groups at once; rows themselves are only summed.
"""

from __future__ import annotations

from dataclasses import dataclass

from calhard_kernels._array import Array, namespace
from calhard_kernels.outcomes import Outcomes
from calhard_kernels.ragged import first_row, group_of, offsets_of, row_at, segment_sum, spread

FEWEST_BINS, MOST_BINS = 5, 100
"""Bounds of the number of bins of equal mass."""

EQUAL_WIDTH_BINS = 15


@dataclass(frozen=True, slots=True)
class Bins:
    """The bins of G groups that hold rows, B in all, in the order of groups and scores.

    Attributes
    ----------
    offsets : Array
        (G + 1,) int64; group g's bins are ``offsets[g]`` to ``offsets[g + 1] - 1``.
    asked : Array
        (G,) int64, the number of bins asked for, K: those that hold rows and the empty ones.
    group, number : Array
        (B,) int64, a bin's group, and its place from 0 among the K of that group.
    start, stop : Array
        (B,) int64, a bin's rows are ``start`` to ``stop - 1``.
    count : Array
        (B,) int64, rows; at least 1.
    weight, weight_squares : Array
        (B,) Σ w and Σ w².
    score, label : Array
        (B,) in [0, 1], weighted means.
    gap : Array
        (B,) Σ w (s − y): positive where scores are too high.
    """

    offsets: Array
    asked: Array
    group: Array
    number: Array
    start: Array
    stop: Array
    count: Array
    weight: Array
    weight_squares: Array
    score: Array
    label: Array
    gap: Array

    @property
    def effective_count(self) -> Array:
        """Rows of equal weight that a bin is worth, (Σ w)² / Σ w², (B,); without weights: count."""
        return self.weight * (self.weight / self.weight_squares)

    def mean(self, values: Array) -> Array:
        """Return each group's mean of a value per bin, Σ_b w_b v_b / Σ w, (G,); NaN if empty."""
        return self.total(self.weight * values) / self.group_weight

    def total(self, values: Array) -> Array:
        """Return each group's sum of a value per bin, (G,); 0 if empty."""
        return segment_sum(values, self.offsets[:-1], self.offsets[1:])

    @property
    def group_weight(self) -> Array:
        """Σ w of each group, (G,); NaN for a group without rows."""
        xp = namespace(self.weight)
        return xp.where(self.filled, self.total(self.weight), float("nan"))

    @property
    def filled(self) -> Array:
        """Which groups have rows, (G,) bool."""
        return self.offsets[1:] > self.offsets[:-1]


def equal_mass(o: Outcomes) -> Bins:
    """Return K = ⌊√n⌋ bins of equally many rows, at least 5 and at most 100.

    Of n = q·K + r rows the first r bins take q + 1 rows each and the others q, as
    `numpy.array_split` cuts ranks. Rows of equal score are one: all of them lie in the bin of the
    first, so later bins may be smaller, or empty. With n < K the first n bins take a row each and
    the others are empty. Weights do not move borders: mass is rows.

    Source: Nguyen & O'Connor 2015; Nixon et al. 2019.
    """
    xp = namespace(o.score)
    n = o.n
    asked = xp.astype(xp.floor(xp.sqrt(xp.astype(n, xp.float64))), xp.int64)
    asked = xp.clip(asked, FEWEST_BINS, MOST_BINS)
    bins = offsets_of(asked)
    number = _numbers(bins)
    larger = xp.minimum(number, spread(n % asked, bins))
    nominal = spread(o.start, bins) + number * spread(n // asked, bins) + larger
    below = row_at(o.score, nominal - 1)
    below = xp.where(number > 0, below, -float("inf"))  # a group's first row ties with none
    starts = first_row(o.score, nominal, spread(o.stop, bins), below, strict=True)
    return _bins(o, asked, starts)


def equal_width(o: Outcomes, count: int = EQUAL_WIDTH_BINS) -> Bins:
    """Return the ``count`` bins [k/count, (k + 1)/count) of each group, the last one closed.

    Borders are the floats k/count: a score equal to one lies in the bin above it, 0 in the first
    bin and 1 in the last.

    Source: Naeini, Cooper & Hauskrecht 2015.
    """
    xp = namespace(o.score)
    asked = xp.full_like(o.n, count)
    bins = offsets_of(asked)
    number = _numbers(bins)
    border = xp.astype(number, xp.float64) / float(count)
    starts = first_row(o.score, spread(o.start, bins), spread(o.stop, bins), border, strict=False)
    return _bins(o, asked, starts)


def _numbers(bins: Array) -> Array:
    """Place of each bin within its group."""
    xp = namespace(bins)
    return xp.arange(int(bins[-1]), dtype=xp.int64) - spread(bins[:-1], bins)


def _bins(o: Outcomes, asked: Array, starts: Array) -> Bins:
    """Drop the empty bins and sum the rows of the others; a bin ends where the next begins."""
    xp = namespace(o.score)
    edges = xp.concat([starts, o.offsets[-1:]])
    bins = offsets_of(asked)
    held = xp.nonzero(edges[1:] > edges[:-1])[0]
    group = xp.take(group_of(bins), held)
    start, stop = xp.take(edges, held), xp.take(edges, held + 1)
    weight, squares = _weights(o, start, stop)
    score, label, gap = (
        segment_sum(_weighted(column, o.weight), start, stop)
        # gaps are summed too, as the difference of two sums has lost digits
        for column in (o.score, o.label, o.score - o.label)
    )
    return Bins(
        offsets=xp.searchsorted(group, xp.arange(bins.shape[0], dtype=xp.int64)),
        asked=asked,
        group=group,
        number=xp.take(_numbers(bins), held),
        start=start,
        stop=stop,
        count=stop - start,
        weight=weight,
        weight_squares=squares,
        score=score / weight,
        label=label / weight,
        gap=gap,
    )


def _weights(o: Outcomes, start: Array, stop: Array) -> tuple[Array, Array]:
    """Σ w and Σ w² of every bin."""
    if o.weight is None:
        xp = namespace(o.score)
        count = xp.astype(stop - start, xp.float64)
        return count, count
    squares = o.weight * o.weight
    return segment_sum(o.weight, start, stop), segment_sum(squares, start, stop)


def _weighted(values: Array, weight: Array | None) -> Array:
    return values if weight is None else values * weight
