"""False discovery control over all p-values of a night, on the host.

A p-value above the level never matters to the others, so a caller may pass only the small ones
with the number of ``tests`` they come from: every q up to the smallest p left out is then exact.

Source: Benjamini & Hochberg 1995; Benjamini & Yekutieli 2001.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def bh_q_values(p: ArrayLike, tests: int | None = None) -> Floats:
    """Return Benjamini–Hochberg q-values, q_(i) = min over j ≥ i of p_(j)·m/j, at most 1.

    Parameters
    ----------
    p : float64, shape (S,)
        NaN (not tested) stays NaN and is not counted.
    tests : int, optional
        m; the number of p that are not NaN unless given.

    Raises
    ------
    ValueError
        If ``tests`` is smaller than the number of p given.
    """
    values = np.asarray(p, np.float64)
    return _step_up(values, float(_tests(values, tests)))


def by_q_values(p: ArrayLike, tests: int | None = None) -> Floats:
    """Return Benjamini–Yekutieli q-values: `bh_q_values` times Σ 1/k, k = 1 … m, at most 1.

    Valid under any dependence of the tests.
    """
    values = np.asarray(p, np.float64)
    m = _tests(values, tests)
    return _step_up(values, m * harmonic_number(m))


def bh_threshold(p: ArrayLike, level: float, tests: int | None = None) -> float:
    """Return the largest p that Benjamini–Hochberg rejects at ``level`` < 1, 0.0 if none is.

    ``p <= bh_threshold(p, level)`` and ``bh_q_values(p) <= level`` select the same tests, bit for
    bit (a p of exactly 0 is always rejected).
    """
    values = np.asarray(p, np.float64)
    return _threshold(values, level, float(_tests(values, tests)))


def by_threshold(p: ArrayLike, level: float, tests: int | None = None) -> float:
    """Return the largest p that Benjamini–Yekutieli rejects at ``level`` < 1, 0.0 if none is."""
    values = np.asarray(p, np.float64)
    m = _tests(values, tests)
    return _threshold(values, level, m * harmonic_number(m))


def harmonic_number(m: int) -> float:
    """Return Σ 1/k, k = 1 … m; by its expansion from 1,000 terms on (error under 1e−15)."""
    if m < 1000:
        return sum(1.0 / k for k in range(m, 0, -1))
    return float(np.log(m) + np.euler_gamma + 0.5 / m - 1.0 / (12.0 * m * m))


def _tests(p: Floats, tests: int | None) -> int:
    tested = int(p.size - np.count_nonzero(np.isnan(p)))
    if tests is None:
        return tested
    if tests < tested:
        raise ValueError(
            f"tests = {tests} is smaller than the {tested} p-values given; pass the number of all "
            "tests, of which these p-values are the small ones"
        )
    return tests


def _step_up(p: Floats, m: float) -> Floats:
    """q-values in place of p; NaN sorts last and is cut off."""
    order = np.argsort(p)
    order = order[: p.size - np.count_nonzero(np.isnan(p))]
    scaled = _scaled(p[order], m)
    np.minimum.accumulate(scaled[::-1], out=scaled[::-1])
    q = np.full(p.shape, np.nan)
    q[order] = np.minimum(scaled, 1.0, out=scaled)
    return q


def _scaled(ordered: Floats, m: float) -> Floats:
    """p_(j)·m/j of ascending p."""
    scaled = m / np.arange(1.0, ordered.size + 1.0)  # exactly 1 at the last: its q is its p
    scaled *= ordered
    return scaled


def _threshold(p: Floats, level: float, m: float) -> float:
    small = np.sort(p[p <= level])  # p·m/j ≥ p: a larger one is never rejected
    rejected = np.flatnonzero(_scaled(small, m) <= level)
    return float(small[rejected[-1]]) if rejected.size else 0.0
