"""Tests of level under autocorrelation: lag-1 correlation, shrinkage, effective sample sizes.

Every array has shape (S,). With φ = 0 and v = 0 `effective_welch` is Welch's test.

Source: Bayley & Hammersley 1946 (effective sample size); Kendall 1954, Marriott & Pope 1954
(bias of the lag-1 correlation); Efron & Morris 1975 (empirical Bayes).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from calhard_kernels._array import Array, namespace, safe_divide
from calhard_kernels.moments import Moments, mean_difference
from calhard_kernels.welch import Test, t_test

PHI_RAW = (-0.6, 0.97)
PHI_SHRUNK = (-0.3, 0.97)
NEGLIGIBLE = 1e-9
"""A side with less than this share of the squares has no correlation worth reading."""

TWO_SIDES = (2.0, 6.0)
UNKNOWN_SPLIT = (4.0, 12.0)
ONE_SIDE = (1.0, 3.0)
LINEAR_TREND = (2.0, 4.0)
"""Bias terms (a, b) of φ = (r1 + a/n)/(1 − b/n) by what was fitted before."""


@dataclass(frozen=True, slots=True)
class Correlation:
    """Lag-1 correlation of each series on Fisher's scale: z = atanh φ with variance v."""

    z: Array
    v: Array

    @property
    def phi(self) -> Array:
        """φ = tanh z."""
        return namespace(self.z).tanh(self.z)


@dataclass(frozen=True, slots=True)
class Prior:
    """A family's distribution of z: mean μ and variance τ² between its series."""

    mu: float
    tau2: float


def lag1_correlation(
    sides: Sequence[Moments], bias: tuple[float, float] = TWO_SIDES
) -> Correlation:
    """Return the bias-corrected lag-1 correlation pooled over the sides of each series.

    r1 = Σ n_i C_i/S_i / n; φ = (r1 + a/n)/(1 − b/n) clipped to [−.6, .97]; z = atanh φ;
    v = 1/(n(1 − φ²)). A side whose S_i ≤ 1e−9 Σ S has weight 0 (its C_i/S_i is rounding noise).
    """
    xp = namespace(sides[0].n)
    total = sum((side.squares for side in sides), 0.0 * sides[0].n)
    weights = [xp.where(side.squares > NEGLIGIBLE * total, side.n, 0.0 * side.n) for side in sides]
    n = sum(weights, 0.0 * total)
    summed = sum(
        (w * safe_divide(s.cross, s.squares) for w, s in zip(weights, sides, strict=True)),
        0.0 * total,
    )
    n = xp.maximum(n, 0.0 * n + 2.0 * bias[1])
    phi = (summed / n + bias[0] / n) / (1.0 - bias[1] / n)
    phi = xp.clip(xp.where(total > 0, phi, 0.0 * phi), *PHI_RAW)
    return Correlation(xp.atanh(phi), 1.0 / (n * (1.0 - phi * phi)))


def shrink(correlation: Correlation, prior: Prior | None) -> Correlation:
    """Return z* = μ + w(z − μ) and v* = w·v with w = τ²/(τ² + v); unchanged without a prior.

    φ* = tanh z* is clipped to [−.3, .97].
    """
    xp = namespace(correlation.z)
    z, v = correlation.z, correlation.v
    if prior is not None:
        weight = prior.tau2 / (prior.tau2 + v)
        z, v = prior.mu + weight * (z - prior.mu), weight * v
    return Correlation(xp.atanh(xp.clip(xp.tanh(z), *PHI_SHRUNK)), v)


def variance_inflation(phi: Array, n: Array) -> Array:
    """Return VIF = n·Var(mean)/σ² of n values of an AR(1) process.

    VIF = (1 + φ)/(1 − φ) − 2φ(1 − φⁿ)/(n(1 − φ)²); 1 at φ = 0 or n = 1. ``n`` may be fractional
    (an effective number of slots); the sign of φⁿ is then that of the nearest whole power.
    """
    xp = namespace(phi, n)
    n = xp.maximum(n, 1.0 + 0.0 * n)
    odd = xp.remainder(xp.round(n), 2.0 + 0.0 * n) == 1.0
    power = xp.abs(phi) ** n * xp.where((phi < 0) & odd, -1.0 + 0.0 * n, 1.0 + 0.0 * n)
    return (1.0 + phi) / (1.0 - phi) - 2.0 * phi * (1.0 - power) / (n * (1.0 - phi) ** 2)


def effective_df(phi: Array, n: Array, fitted: float = 1.0) -> Array:
    """Return d = n(1 − φ²)/(1 + φ²) − fitted, at least 1."""
    xp = namespace(phi, n)
    df = n * (1.0 - phi * phi) / (1.0 + phi * phi) - fitted
    return xp.maximum(df, 1.0 + 0.0 * df)


def _variance(squares: Array, freedom: Array) -> Array:
    xp = namespace(squares)
    return squares / xp.maximum(freedom, 1.0 + 0.0 * freedom)


def effective_welch(a: Moments, b: Moments, correlation: Correlation) -> Test:
    """Return Welch's test of mean(b) − mean(a) with effective sample sizes.

    s_i² = S_i/(n_i − VIF_i); A_i = s_i² VIF_i/n_i; t = (m_b − m_a)/√(A_a + A_b);
    1/df = (A_a²/d_a + A_b²/d_b)/(A_a + A_b)² + 2v*.
    """
    phi = correlation.phi
    xp = namespace(phi)
    share: list[tuple[Array, Array]] = []
    for side in (a, b):
        n = xp.maximum(side.n, 1.0 + 0.0 * side.n)
        inflation = variance_inflation(phi, n)
        share.append((_variance(side.squares, n - inflation) * inflation / n, effective_df(phi, n)))
    (var_a, d_a), (var_b, d_b) = share
    total = var_a + var_b
    inverse = safe_divide(var_a**2 / d_a + var_b**2 / d_b, total**2, otherwise=1.0)
    return t_test(mean_difference(a, b), total, 1.0 / (inverse + 2.0 * correlation.v))


def pooled_welch(a: Moments, b: Moments, correlation: Correlation) -> Test:
    """Return the same test with one variance for both sides, as the unknown split needs.

    s² = (S_a + S_b)/(n_a − VIF_a + n_b − VIF_b); 1/df = 1/(d_a + d_b) + 2v*.
    """
    phi = correlation.phi
    xp = namespace(phi)
    n_a, n_b = (xp.maximum(side.n, 1.0 + 0.0 * side.n) for side in (a, b))
    vif_a, vif_b = variance_inflation(phi, n_a), variance_inflation(phi, n_b)
    pooled = _variance(a.squares + b.squares, n_a + n_b - vif_a - vif_b)
    df = effective_df(phi, n_a) + effective_df(phi, n_b)
    variance = pooled * (vif_a / n_a + vif_b / n_b)
    return t_test(mean_difference(a, b), variance, 1.0 / (1.0 / df + 2.0 * correlation.v))


def reference_welch(a: Moments, n_b: Array, difference: Array, correlation: Correlation) -> Test:
    """Return the test of ``difference`` of n_b values from ``a``, with the variance of ``a`` alone.

    For windows too short to have a variance of their own (daily data).
    """
    phi = correlation.phi
    xp = namespace(phi)
    n_a = xp.maximum(a.n, 1.0 + 0.0 * a.n)
    n_b = xp.maximum(n_b, 1.0 + 0.0 * n_b)
    vif_a, vif_b = variance_inflation(phi, n_a), variance_inflation(phi, n_b)
    variance = _variance(a.squares, n_a - vif_a) * (vif_a / n_a + vif_b / n_b)
    df = effective_df(phi, n_a)
    return t_test(difference, variance, 1.0 / (1.0 / df + 2.0 * correlation.v))
