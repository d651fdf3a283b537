"""Welch's test and Cohen's d on moments: the plain forms, kept as evidence.

Source: Welch 1947; Cohen 1988.
"""

from __future__ import annotations

from dataclasses import dataclass

from calhard_kernels._array import Array, namespace, safe_divide
from calhard_kernels.moments import Moments, mean_difference
from calhard_kernels.special import student_t_p


@dataclass(frozen=True, slots=True)
class Test:
    """A t statistic, its degrees of freedom, its two-sided p and the standard error; each (S,)."""

    t: Array
    df: Array
    p: Array
    error: Array


def t_test(difference: Array, variance: Array, df: Array) -> Test:
    """Return the two-sided t test of ``difference`` with the given variance of it.

    Where the variance is 0 nothing can be tested: t = 0 and p = 1, also for a difference ≠ 0
    (two constants: the SLO alone decides).
    """
    error = namespace(variance).sqrt(variance)
    t = safe_divide(difference, error)
    return Test(t, df, student_t_p(t, df), error)


def welch(a: Moments, b: Moments) -> Test:
    """Return Welch's unequal-variance t test of mean(b) − mean(a).

    t = (m_b − m_a)/√(v_a + v_b), v = S/(n(n − 1));
    df = (v_a + v_b)²/(v_a²/(n_a − 1) + v_b²/(n_b − 1)). Positive t: b lies higher.
    """
    xp = namespace(a.n)
    one = xp.ones_like(a.n)
    va, vb = (side.variance / xp.maximum(side.n, one) for side in (a, b))
    spread = va**2 / xp.maximum(a.n - 1, one) + vb**2 / xp.maximum(b.n - 1, one)
    df = safe_divide((va + vb) ** 2, spread, otherwise=1.0)
    return t_test(mean_difference(a, b), va + vb, df)


def cohens_d(a: Moments, b: Moments) -> Array:
    """Return Cohen's d = (m_b − m_a)/√((S_a + S_b)/(n_a + n_b − 2)), shape (S,).

    0 where both sides are constant, whatever their difference (no unit to measure it in).
    """
    xp = namespace(a.n)
    pooled = (a.squares + b.squares) / xp.maximum(a.n + b.n - 2.0, xp.ones_like(a.n))
    return safe_divide(mean_difference(a, b), xp.sqrt(pooled))
