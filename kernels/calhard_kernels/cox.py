"""Cox's calibration slope and intercept: the line that the log odds of outcomes follow.

Source: Cox 1958 ("Two further applications of a model for binary regression"); Albert & Anderson
1984 (when the maximum exists).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from calhard_kernels._array import Array, namespace
from calhard_kernels.blocks import by_blocks
from calhard_kernels.logistic import Line, Rows, fit_line
from calhard_kernels.outcomes import Outcomes
from calhard_kernels.ragged import row_at, spread

CLIP = 1e-6
"""Scores are taken as no nearer to 0 and 1 than this; logit is ± 13.8 there."""


@dataclass(frozen=True, slots=True)
class Cox:
    """Calibration slope and intercept of each group, and their standard errors; arrays (G,).

    Slope 1 and intercept 0 are perfect. A slope below 1 tells of scores too extreme, above 1 of
    scores too timid, at or below 0 of scores that say nothing or the opposite.
    """

    slope: Array
    intercept: Array
    slope_standard_error: Array
    intercept_standard_error: Array


def cox(o: Outcomes, clip: float = CLIP) -> Cox:
    """Return slope and intercept of the logistic regression of label on logit(score), per group.

    log(p/(1 − p)) = intercept + slope·x with x = log(s/(1 − s)), s the score clipped to
    [clip, 1 − clip]; maximum likelihood. Standard errors are those of the inverse Fisher
    information at the maximum. Weights are frequency weights: a row of weight 3 is three rows, in
    the errors too. A soft label y is y of a row of label 1 and 1 − y of a row of label 0.

    Notes
    -----
    All four are NaN where the likelihood has no finite and unique maximum, which is decided
    beforehand, by comparing clipped scores. With positives the rows of label > 0 and negatives
    those of label < 1 (a soft label is both), a maximum exists if and only if
    max(negatives) > min(positives) and max(positives) > min(negatives). It does not

    - without rows, with one row, or with one class (every label 0, or every label 1);
    - where all clipped scores are equal;
    - where a score separates the classes, completely or but for ties at it (quasi-complete).

    Where they overlap by little the slope is large, about 1/overlap, and so is its error: scores
    that rank almost perfectly, not an overflow. NaN too where the overlap is lost in the digits of
    x (some 1e−12).

    A group's result depends on its own rows alone, bit for bit.
    """
    return by_blocks(partial(_fit, clip=clip), o)


def _fit(o: Outcomes, clip: float) -> Cox:
    """Fit the groups that have a maximum, each about a centre of its own."""
    xp = namespace(o.score)
    score = xp.clip(o.score, clip, 1.0 - clip)
    rows = Rows(xp.log(score / (1.0 - score)), o.label, o.weight, o.offsets)
    positive, negative = _span(o.label > 0.0, o), _span(o.label < 1.0, o)
    solvable = positive.overlaps(negative, score) & negative.overlaps(positive, score)
    shift = _centre(rows, positive, negative)
    if not bool(xp.all(solvable)):
        rows, shift = rows.of(solvable), shift[solvable]
    centred = Rows(rows.x - spread(shift, rows.offsets), rows.y, rows.weight, rows.offsets)
    line = fit_line(centred, *_start(rows, shift))
    return Cox(*(_placed(part, solvable) for part in _estimates(line, shift)))


def _start(rows: Rows, shift: Array) -> tuple[Array, Array]:
    """Intercept and slope in x − shift of the perfect line, or of the best constant if likelier."""
    xp = namespace(shift)
    positive = rows.total(rows.weighted(rows.y))
    negative = rows.total(rows.weighted(1.0 - rows.y))
    weight = positive + negative
    constant = positive * xp.log(positive / weight) + negative * xp.log(negative / weight)
    x = rows.x  # log(1 − s) = −max(x, 0) − log(1 + exp(−|x|))
    perfect = rows.weighted(rows.y * x - xp.maximum(x, 0.0) - xp.log1p(xp.exp(-xp.abs(x))))
    likelier = rows.total(perfect) >= constant
    odds = xp.log(positive / negative)
    return xp.where(likelier, shift, odds), xp.where(likelier, 1.0, 0.0 * odds)


@dataclass(frozen=True, slots=True)
class _Span:
    """First and last row of a kind in each group, (G,) int64; ``any`` (G,): there is one."""

    any: Array
    first: Array
    last: Array

    def overlaps(self, other: _Span, score: Array) -> Array:
        """Return where this kind's highest score is above the other's lowest, (G,) bool."""
        above = row_at(score, self.last) > row_at(score, other.first)
        return self.any & other.any & above


def _span(kind: Array, o: Outcomes) -> _Span:
    """Find the first and the last row that is true in each group; scores ascend, so no more."""
    xp = namespace(kind)
    row = xp.nonzero(kind)[0]
    begin, end = xp.searchsorted(row, o.start), xp.searchsorted(row, o.stop)
    row = xp.concat([row, o.offsets[-1:]])  # something to read where there is none
    return _Span(end > begin, xp.take(row, begin), xp.take(row, xp.maximum(end - 1, begin)))


def _centre(rows: Rows, positive: _Span, negative: _Span) -> Array:
    """Mean of x, or what is nearest to it where the two kinds overlap the less, (G,)."""
    xp = namespace(rows.x)
    low = row_at(rows.x, positive.first), row_at(rows.x, negative.first)
    high = row_at(rows.x, negative.last), row_at(rows.x, positive.last)
    upright = high[0] - low[0] <= high[1] - low[1]  # of a slope above 0
    n = xp.astype(rows.offsets[1:] - rows.offsets[:-1], xp.float64)
    weight = n if rows.weight is None else rows.total(rows.weight)
    mean = rows.total(rows.weighted(rows.x)) / xp.where(n > 0.0, weight, 1.0)
    mean = xp.maximum(mean, xp.where(upright, low[0], low[1]))
    return xp.minimum(mean, xp.where(upright, high[0], high[1]))


def _estimates(line: Line, shift: Array) -> tuple[Array, Array, Array, Array]:
    """Slope, intercept and their errors on the scale of x, of lines in x − shift."""
    xp = namespace(shift)
    middle = line.centre + shift
    variance = 1.0 / line.information + middle * middle / line.scatter
    intercept = line.intercept - line.slope * shift
    return line.slope, intercept, 1.0 / xp.sqrt(line.scatter), xp.sqrt(variance)


def _placed(values: Array, where: Array) -> Array:
    """Return ``values`` at the true places of ``where``, (G,), and NaN elsewhere."""
    xp = namespace(where)
    out = xp.full(where.shape, float("nan"), dtype=xp.float64)
    out[where] = values
    return out
