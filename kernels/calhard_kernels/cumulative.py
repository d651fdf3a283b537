"""Empirical cumulative calibration error: labels less scores, summed up in order of score.

Source: Arrieta-Ibarra, Gujral, Tannen, Tygert & Xu 2022 ("Metrics of calibration for probabilistic
predictions"); Feller 1951 (the range of Brownian motion).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from calhard_kernels._array import Array, namespace
from calhard_kernels.blocks import by_blocks
from calhard_kernels.outcomes import Outcomes
from calhard_kernels.ragged import offsets_of, row_at, segment_max, segment_sum, spread
from calhard_kernels.special import normal_p

UNIT = 2.0**61
"""Integers that 1 is counted in: sums of a group stay within ± 2⁶¹, int64 holds ± 2⁶³."""

TERMS = 5
"""Of either series below: the next is under 1e−16 on its side of `MEETING`."""

MEETING = 2.0
"""Standard deviations where one series hands over to the other."""


@dataclass(frozen=True, slots=True)
class CumulativeError:
    """Cumulative calibration errors of each group, (G,), in [0, 1], and the p of Kuiper's."""

    mad: Array
    kuiper: Array
    p: Array


def cumulative_error(o: Outcomes) -> CumulativeError:
    """Return the cumulative calibration errors of each group; no bins, no bandwidth.

    C_k = Σ_{j ≤ k} w_j (y_j − s_j) / Σ w in order of score, C_0 = 0, k only where a run of equal
    scores ends. ``mad`` = max |C_k|, ``kuiper`` = max C_k − min C_k; ``p`` is the probability that
    the range of Brownian motion over unit time is at least kuiper/σ, σ = √(Σ w² s (1 − s)) / Σ w.

    NaN without rows; ``p`` also where σ = 0, that is, where every score is 0 or 1.

    Notes
    -----
    p is an asymptotic one, for labels 0 and 1: with n rows it is too large by the order of 1/√n,
    with few distinct scores or soft labels by more.

    Each term is rounded to a multiple of 2⁻⁶¹ and the sums are of integers, so exact: differences
    of one running sum over all groups lose nothing, and where that sum wraps around they are right
    all the same, since a group's own sums fit. So a group's result depends on its own rows alone,
    bit for bit.
    """
    return by_blocks(_errors, o)


def _errors(o: Outcomes) -> CumulativeError:
    xp = namespace(o.score)
    n = xp.astype(o.n, xp.float64)
    weight = n if o.weight is None else segment_sum(o.weight, o.start, o.stop)
    weight = xp.where(n > 0.0, weight, float("nan"))
    path = _path(o, weight)
    top, bottom = segment_max(path, o.start, o.stop), segment_max(-path, o.start, o.stop)
    variance = o.score * (1.0 - o.score)
    if o.weight is not None:
        variance = o.weight * o.weight * variance
    variance = segment_sum(variance, o.start, o.stop)
    sd = xp.sqrt(xp.where(variance > 0.0, variance, float("nan"))) / weight
    kuiper = xp.where(n > 0.0, top + bottom, float("nan"))
    return CumulativeError(
        xp.where(n > 0.0, xp.maximum(top, bottom), float("nan")), kuiper, range_p(kuiper / sd)
    )


def range_p(x: Array) -> Array:
    """Return P(max B − min B ≥ x) of Brownian motion B over unit time, B_0 = 0; any shape.

    4 Σ (−1)^{k−1} k P(|N| ≥ kx), k = 1, 2, … from x = 2 on, accurate to the smallest p; below,
    1 − Σ (8/x² + 2/(m²π²)) exp(−2m²π²/x²), m = ½, 1½, …

    Source: Feller 1951.
    """
    xp = namespace(x)
    far, near = xp.maximum(x, MEETING), xp.clip(x, 0.1, MEETING)  # below 0.1, p is 1 to all digits
    p, rest = xp.zeros_like(far), xp.ones_like(near)
    for k in range(1, TERMS + 1):
        p = p + (4.0 * k if k % 2 else -4.0 * k) * normal_p(k * far)
        m = (k - 0.5) * math.pi
        rest = rest - (8.0 / near**2 + 2.0 / m**2) * xp.exp(-2.0 * (m / near) ** 2)
    return xp.where(x >= MEETING, p, rest)


def _path(o: Outcomes, weight: Array) -> Array:
    """C_k at the rows where a run of equal scores ends, and 0 at the others, (N,)."""
    xp = namespace(o.score)
    if not o.score.shape[0]:
        return o.score
    step = o.label - o.score if o.weight is None else o.weight * (o.label - o.score)
    units = xp.astype(xp.round(step / spread(weight, o.offsets) * UNIT), xp.int64)
    running = offsets_of(units)
    path = running[1:] - spread(xp.take(running, o.start), o.offsets)
    row = xp.arange(1, o.score.shape[0] + 1, dtype=xp.int64)
    ends = (row == spread(o.stop, o.offsets)) | (row_at(o.score, row) != o.score)
    return xp.where(ends, xp.astype(path, xp.float64) / UNIT, 0.0)
