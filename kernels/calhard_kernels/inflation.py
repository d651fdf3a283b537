"""Genomic control: how much larger a family's test statistics are than chance makes them.

λ compares quantiles of the chi-square scores of a family's p-values with those of the null law.
Workers return integer histograms over fixed edges; they merge by ``+`` in any order.

Source: Devlin & Roeder 1999.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calhard_kernels.special import chi_square_score, p_from_chi_square

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

QUANTILES = (0.5, 0.9)
NULL_SCORES = (0.4549364231195724, 2.705543454095404)
"""Chi-square(1) at those quantiles."""

EDGES: Floats = np.concatenate([[0.0], np.geomspace(0.01, 1400.0, 1024)])
"""Bin edges of the histogram of scores, 1.2 % apart; the largest score, 1370, lies inside."""

SMALLEST_FAMILY = 100
"""Below this many series λ is 1: its quantiles would be noise."""

CAP = 2.0


def inflation_factor(p: ArrayLike, smallest_family: int = SMALLEST_FAMILY) -> float:
    """Return raw λ = max(1, q50(χ²)/0.455, q90(χ²)/2.706) of a family's p-values.

    NaN is ignored; 1 in a family of fewer than ``smallest_family`` tests.
    """
    values = np.asarray(p, np.float64)
    values = values[~np.isnan(values)]
    if values.size < max(smallest_family, 1):
        return 1.0
    found = np.quantile(chi_square_score(values), QUANTILES)
    return _factor(found)


def score_histogram(p: ArrayLike) -> Counts:
    """Return how many chi-square scores of p lie in each bin of `EDGES`, shape (1024,).

    Left-closed bins; NaN is ignored. The histogram of a union is the sum of the histograms.
    """
    values = np.asarray(p, np.float64)
    score = chi_square_score(values[~np.isnan(values)])
    index = np.searchsorted(EDGES, score, side="right") - 1
    return np.bincount(index, minlength=EDGES.size - 1).astype(np.int64)


def inflation_from_histogram(
    counts: Counts,
    smallest_family: int = SMALLEST_FAMILY,
    null_scores: tuple[float, float] = NULL_SCORES,
) -> float:
    """Return raw λ from a `score_histogram`, within 1.2 % of `inflation_factor`.

    Quantiles are interpolated linearly inside their bin. ``null_scores`` are the null's own scores
    at `QUANTILES`, for a test whose p is honest in its tail and not in its bulk.
    """
    total = int(np.sum(counts))
    if total < max(smallest_family, 1):
        return 1.0
    return _factor(np.array([_quantile(counts, q * total) for q in QUANTILES]), null_scores)


def _quantile(counts: Counts, rank: float) -> float:
    """Score below which ``rank`` of the counted ones lie."""
    below = np.cumsum(counts)
    index = int(np.searchsorted(below, rank, side="left"))
    inside = (rank - (below[index] - counts[index])) / counts[index]
    return float(EDGES[index] + inside * (EDGES[index + 1] - EDGES[index]))


def _factor(found: Floats, null_scores: tuple[float, float] = NULL_SCORES) -> float:
    return float(max(1.0, *(found / np.array(null_scores))))


def deflate(p: ArrayLike, factor: float, cap: float = CAP) -> Floats:
    """Return P(χ²_1 > χ²(p)/min(λ, cap)): the p-values less the family's inflation.

    λ ≤ 1 gives the same p, bit for bit; NaN stays NaN. The cap keeps a fleet of which much is
    broken from silencing itself.
    """
    values = np.asarray(p, np.float64)
    divisor = min(factor, cap)
    if not divisor > 1.0:
        return values
    deflated: Floats = p_from_chi_square(chi_square_score(values) / divisor)
    return deflated
