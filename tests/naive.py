"""The statistics once more, one series at a time: slow, literal, written from their definitions.

Nothing here imports the kernels. Sums are `math.fsum`, series are plain lists.
"""

from __future__ import annotations

import cmath
import itertools
import math
from fractions import Fraction

import numpy as np
import scipy.stats


def rows(x, valid=None):
    """The valid values of every row, as lists."""
    return [
        [float(v) for k, v in enumerate(row) if valid is None or valid[s][k]]
        for s, row in enumerate(x)
    ]


# --- moments -----------------------------------------------------------------------------------


def mean(x):
    return math.fsum(x) / len(x)


def exact_mean(x):
    return sum(map(Fraction, x), Fraction(0)) / len(x)


def exact_squares(x):
    """Σ (x − mean)², without rounding until the end."""
    centre = exact_mean(x)
    return float(sum((Fraction(v) - centre) ** 2 for v in x))


def exact_cross(x):
    """Σ r_t r_{t−1}, without rounding until the end."""
    centre = exact_mean(x)
    r = [Fraction(v) - centre for v in x]
    return float(sum((a * b for a, b in itertools.pairwise(r)), Fraction(0)))


def median_of_three(x):
    return sorted([x[0], x[(len(x) - 1) // 2], x[-1]])[1]


def quantile(x, q):
    """Type 7: linear between the order statistics."""
    ordered = sorted(x)
    rank = q * (len(ordered) - 1)
    low = math.floor(rank)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (rank - low)


def median_absolute_deviation(x):
    centre = quantile(x, 0.5)
    return quantile([abs(v - centre) for v in x], 0.5)


def winsorised(x, k=3.0):
    centre, spread = quantile(x, 0.5), median_absolute_deviation(x)
    if spread == 0:
        return list(x)
    low, high = centre - k * 1.4826 * spread, centre + k * 1.4826 * spread
    return [min(max(v, low), high) for v in x]


# --- tests of level ----------------------------------------------------------------------------


def two_sided(t, df):
    return 2.0 * float(scipy.stats.t.sf(abs(t), df))


def vif(phi, n):
    """n·Var(mean)/σ² as the sum over the whole correlation matrix φ^|i − j|."""
    return math.fsum(phi ** abs(i - j) for i in range(n) for j in range(n)) / n


def lag1(sides, a, b):
    """φ and v = Var(z) of STATISTICS 3.1, with bias terms a/n and b/n."""
    squares = [exact_squares(x) for x in sides]
    if sum(squares) == 0.0:
        kept, phi = [], 0.0
    else:
        kept = [x for x, s in zip(sides, squares, strict=True) if s > 1e-9 * sum(squares)]
    n = sum(map(len, kept))
    if kept:
        r1 = sum(len(x) * exact_cross(x) / exact_squares(x) for x in kept) / n
        phi = min(max((r1 + a / n) / (1 - b / n), -0.6), 0.97)
        return phi, 1 / (n * (1 - phi * phi))
    return phi, 1 / (2 * b)


def shrunk(z, v, mu, tau2):
    w = tau2 / (tau2 + v)
    phi = min(max(math.tanh(mu + w * (z - mu)), -0.3), 0.97)
    return phi, w * v


def effective_df(phi, n, fitted=1):
    return max(n * (1 - phi**2) / (1 + phi**2) - fitted, 1.0)


def effective_welch(a, b, phi, v):
    """(t, df, p) of STATISTICS 3.3."""
    part = []
    for x in (a, b):
        n, inflation = len(x), vif(phi, len(x))
        s2 = exact_squares(x) / max(n - inflation, 1.0)
        part.append((s2 * inflation / n, effective_df(phi, n)))
    (a1, d1), (a2, d2) = part
    t = float(exact_mean(b) - exact_mean(a)) / math.sqrt(a1 + a2)
    df = 1 / ((a1**2 / d1 + a2**2 / d2) / (a1 + a2) ** 2 + 2 * v)
    return t, df, two_sided(t, df)


def pooled_welch(a, b, phi, v):
    """(t, df, p) with one variance for both sides."""
    n_a, n_b = len(a), len(b)
    vif_a, vif_b = vif(phi, n_a), vif(phi, n_b)
    s2 = (exact_squares(a) + exact_squares(b)) / max(n_a + n_b - vif_a - vif_b, 1.0)
    t = float(exact_mean(b) - exact_mean(a)) / math.sqrt(s2 * (vif_a / n_a + vif_b / n_b))
    df = 1 / (1 / (effective_df(phi, n_a) + effective_df(phi, n_b)) + 2 * v)
    return t, df, two_sided(t, df)


def best_split(x, margin):
    """The k that maximises the pooled two-sample |t| of x[:k] against x[k:], tried one by one."""

    def t(k):
        a, b = np.array(x[:k]), np.array(x[k:])
        s2 = (np.var(a) * len(a) + np.var(b) * len(b)) / (len(x) - 2)
        return abs(np.mean(b) - np.mean(a)) / math.sqrt(s2 * (1 / len(a) + 1 / len(b)))

    return max(range(margin, len(x) - margin + 1), key=t)


# --- trend -------------------------------------------------------------------------------------


def ar1_matrix(phi, n):
    return np.array([[phi ** abs(i - j) for j in range(n)] for i in range(n)])


def conditional_ar1(phi, ahead, slots):
    """Weight of the last value in the mean of future slots, and that mean's variance (σ² = 1).

    By the conditional normal law of the whole AR(1) vector, not by its closed form.
    """
    total = ahead + slots
    cov = ar1_matrix(phi, total)
    future = np.zeros(total)
    future[ahead : ahead + slots] = 1.0 / slots
    cross = float(cov[0] @ future)
    return cross, float(future @ cov @ future) - cross**2


# --- oscillation -------------------------------------------------------------------------------


def whitened(x, phi):
    centre = float(exact_mean(x))
    r = [v - centre for v in x]
    return [math.sqrt(1 - phi * phi) * r[0]] + [b - phi * a for a, b in itertools.pairwise(r)]


def explained_squares(y):
    """Σ of squares that frequency k/n explains, k = 1 … n/2, by projection on its waves."""
    n, found = len(y), []
    for k in range(1, n // 2 + 1):
        c = sum(v * cmath.exp(-2j * math.pi * k * t / n) for t, v in enumerate(y))
        found.append(abs(c) ** 2 / n * (1.0 if 2 * k == n else 2.0))
    return found


def fisher_g_p(g, m):
    """Fisher's series in rational numbers."""
    g = Fraction(g)
    if g <= Fraction(1, m):
        return 1.0
    terms = (
        (-1) ** (j - 1) * math.comb(m, j) * (1 - j * g) ** (m - 1)
        for j in range(1, m + 1)
        if j * g < 1
    )
    return float(sum(terms, Fraction(0)))


def wave_amplitude(x, frequency):
    """√(a² + b²) of the least-squares fit of level, cosine and sine."""
    angle = 2 * math.pi * frequency * np.arange(len(x))
    design = np.stack([np.ones(len(x)), np.cos(angle), np.sin(angle)], axis=1)
    _, a, b = np.linalg.lstsq(design, np.array(x), rcond=None)[0]
    return math.hypot(a, b)


# --- season ------------------------------------------------------------------------------------


def phase_effects(x, phase, period):
    """Phase medians of the phases with at least 4 values, less their mean; else 0."""
    groups = {p: [v for v, q in zip(x, phase, strict=True) if q == p] for p in range(period)}
    medians = {p: quantile(v, 0.5) for p, v in groups.items() if len(v) >= 4}
    level = mean(list(medians.values())) if medians else 0.0
    return [medians[p] - level if p in medians else 0.0 for p in range(period)]


def phase_p(x, phase, effects):
    """One-way analysis of variance by phase of x_t − φx_{t−1}, the φ left by the effects."""
    rest = [v - effects[p] for v, p in zip(x, phase, strict=True)]
    phi, _ = lag1([rest], 1, 3)
    white = [b - phi * a for a, b in itertools.pairwise(x)]
    names = sorted(set(phase[1:]))
    groups = [[w for w, p in zip(white, phase[1:], strict=True) if p == name] for name in names]
    centre = mean(white)
    between = math.fsum(len(g) * (mean(g) - centre) ** 2 for g in groups)
    within = math.fsum(exact_squares(g) for g in groups)
    d_between, d_within = len(groups) - 1, len(white) - len(groups) - 1
    return float(scipy.stats.f.sf(between / d_between / (within / d_within), d_between, d_within))


# --- failure, discovery ------------------------------------------------------------------------


def runs(x):
    return [len(list(group)) for _, group in itertools.groupby(x)]


def bh_q(p, m=None):
    """q_i = min over p_j ≥ p_i of p_j·m/(number of p ≤ p_j)."""
    known = [v for v in p if not math.isnan(v)]
    m = len(known) if m is None else m
    return [
        math.nan
        if math.isnan(v)
        else min(1.0, *(w * m / sum(u <= w for u in known) for w in known if w >= v))
        for v in p
    ]
