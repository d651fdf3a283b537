"""The oscillation head: one frequency that carries more of a whitened series than chance gives.

Source: Fisher 1929 (g); Prais & Winsten 1954 (whitening that keeps the first value).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from calhard_kernels._array import Array, along_rows, counts, namespace, row_dot, safe_divide
from calhard_kernels._array import zero_padding as zero
from calhard_kernels.moments import anchor

_CERTAIN = 14.0
"""Above this first term of Fisher's series p is 1 to six digits and the series cancels."""
_TERMS = 64
"""14^64/64! < 1e−15: no later term counts."""
_ALIAS = 0.2
"""Where 4 det/trace² of the squares of sine and cosine (1 at best) is below, one wave is fitted."""


@dataclass(frozen=True, slots=True)
class Peak:
    """The strongest frequency of each series; arrays of shape (S,).

    ``index`` counts cycles within the window (float64, 1 … ⌊n/2⌋), so index/n is the frequency in
    cycles per slot and n/index the period in slots.
    """

    g: Array
    """Share of the whitened series' squares at that frequency; 0 where it has none."""
    index: Array
    ordinates: float
    """Frequencies that compete, (n − 1)/2: Nyquist's, with one degree of freedom, counts half."""
    amplitude: Array
    """Amplitude of that cycle in the series as given, in the metric's unit."""


def periodogram_peak(x: Array, phi: Array) -> Peak:
    """Return the largest ordinate of the AR(1)-whitened periodogram of each series.

    y_t = x_t − φx_{t−1}, y_0 = √(1 − φ²)·x_0 (x less its mean); Q_k the sum of squares that
    frequency k/n explains of y, k = 1 … ⌊n/2⌋ *inclusive*, and g = max Q/ΣQ.

    Parameters
    ----------
    x : float64, shape (S, n); dense and finite, n ≥ 2
    phi : float64, shape (S,); lag-1 correlation, |φ| < 1

    Notes
    -----
    Nyquist's frequency has one degree of freedom where the others have two, so Q is |Y|²/n there
    and 2|Y|²/n elsewhere: a plain |Y|² would alarm dozens of times too often by it.
    """
    xp = namespace(x)
    n = x.shape[1]
    y, white = _whitened(x, phi)
    spectrum = xp.fft.rfft(white, axis=1)[:, 1:]
    power = xp.real(spectrum) ** 2 + xp.imag(spectrum) ** 2
    if n % 2 == 0:
        power = xp.concat([power[:, :-1], 0.5 * power[:, -1:]], axis=1)
    best = xp.argmax(power, axis=1)
    g = safe_divide(along_rows(power, best), xp.sum(power, axis=1))
    index = best + 1
    return Peak(
        xp.minimum(g, xp.ones_like(g)),
        xp.astype(index, x.dtype),
        0.5 * (n - 1),
        _fourier_amplitude(y, index),
    )


def _whitened(x: Array, phi: Array) -> tuple[Array, Array]:
    """Return the series less its mean, and the same whitened."""
    xp = namespace(x)
    y = x - anchor(x)[:, None]
    y = y - (xp.sum(y, axis=1) / x.shape[1])[:, None]
    first = y[:, :1] * xp.sqrt(1.0 - phi * phi)[:, None]
    return y, xp.concat([first, y[:, 1:] - phi[:, None] * y[:, :-1]], axis=1)


def between_peak(x: Array, phi: Array, peak: Peak) -> Array:
    """Return max(g, g at half a Fourier frequency to either side of the peak), shape (S,).

    A cycle halfway between two Fourier frequencies shows 40 % of its squares at either. Twice as
    many frequencies compete then, so at most twice `fisher_g_p` is the p of this g.

    Parameters
    ----------
    x, phi : as given to `periodogram_peak`
    peak : what it returned
    """
    xp = namespace(x)
    n = x.shape[1]
    _, white = _whitened(x, phi)
    white = white - (xp.sum(white, axis=1) / n)[:, None]
    total = row_dot(white, white)
    slot = xp.arange(n, dtype=x.dtype)[None, :]
    g = peak.g
    for offset in (-0.5, 0.5):
        angle = (2.0 * math.pi / n) * ((peak.index + offset)[:, None] * slot)
        power = row_dot(white, xp.cos(angle)) ** 2 + row_dot(white, xp.sin(angle)) ** 2
        inside = peak.index + offset < 0.5 * n
        found = safe_divide(power * (2.0 / n), total)
        g = xp.maximum(g, xp.where(inside, found, xp.zeros_like(g)))
    return xp.minimum(g, xp.ones_like(g))


def _fourier_amplitude(y: Array, index: Array) -> Array:
    """Amplitude at index/n of rows of mean 0; the waves are read from a table of n values."""
    xp = namespace(y)
    n = y.shape[1]
    turn = index[:, None] * xp.arange(n, dtype=index.dtype)[None, :] % n
    angle = xp.arange(n, dtype=y.dtype) * (2.0 * math.pi / n)
    wave = xp.reshape(turn, (-1,))
    cosine = xp.reshape(xp.take(xp.cos(angle), wave), y.shape)
    sine = xp.reshape(xp.take(xp.sin(angle), wave), y.shape)
    size = xp.sqrt(row_dot(y, cosine) ** 2 + row_dot(y, sine) ** 2) * (2.0 / n)
    return xp.where(2 * index == n, 0.5 * size, size)


def fisher_g_p(g: Array, ordinates: float) -> Array:
    """Return P(max share of m equal exponentials ≥ g), Fisher's exact series; shape of ``g``.

    p = Σ_{j=1}^{⌊1/g⌋} (−1)^{j−1} C(m, j) (1 − jg)^{m−1}. Where the first term exceeds 14 the
    series cancels; there p = 1 − exp(−first term), within 1e−6 of it. 1 for g ≤ 1/m; NaN for NaN.
    A half-integer m (Γ-binomials) is the same law with one exponential replaced by ½χ²_1, to a few
    per cent of p.
    """
    xp = namespace(g)
    m = float(ordinates)
    total, choose = 0.0 * g, 0.0
    for j in range(1, min(math.ceil(m), _TERMS) + 1):
        choose += math.log((m - j + 1.0) / j)
        rest = 1.0 - j * g
        inside = rest > 0.0
        if not bool(xp.any(inside)):
            break
        log = xp.log(xp.where(inside, rest, xp.ones_like(rest)))
        term = xp.where(inside, xp.exp(choose + (m - 1.0) * log), xp.zeros_like(rest))
        total = total + (term if j % 2 else -term)
    first = m * xp.clip(1.0 - g, 0.0, 1.0) ** (m - 1.0)
    total = xp.where(first > _CERTAIN, 1.0 - xp.exp(-first), total)
    total = xp.where(g * m <= 1.0, xp.ones_like(total), total)
    return xp.where(xp.isnan(g), g, xp.clip(total, 0.0, 1.0))


def cycle_amplitude(x: Array, frequency: Array, valid: Array | None = None) -> Array:
    """Return the least-squares amplitude of one cycle in each series, in the metric's unit.

    √(a² + b²) of the fit a·cos 2πft + b·sin 2πft + level.

    Parameters
    ----------
    x : float64, shape (S, W); finite everywhere
    frequency : float64, shape (S,); in cycles per slot, 0 < f ≤ ½
    valid : bool, shape (S, W), optional; one contiguous run in each row

    Notes
    -----
    Where the window cannot tell sine from cosine (f = ½, less than about half a cycle, or half a
    cycle short of ½ over the window) the larger of the two waves alone is fitted. 0 for an empty
    row.
    """
    xp = namespace(x)
    n = counts(x, valid)
    slot = xp.arange(x.shape[1], dtype=x.dtype)[None, :]
    if valid is not None:
        slot = slot - xp.astype(xp.argmax(xp.astype(valid, xp.int8), axis=1), x.dtype)[:, None]
    angle = (2.0 * math.pi) * (frequency[:, None] * slot)
    y = _centred(x - anchor(x, valid)[:, None], n, valid)
    c, s = _centred(xp.cos(angle), n, valid), _centred(xp.sin(angle), n, valid)
    cc, ss, cs = row_dot(c, c), row_dot(s, s), row_dot(c, s)
    cy, sy = row_dot(c, y), row_dot(s, y)
    independent = cc * ss - cs * cs
    alone = xp.where(cc >= ss, xp.abs(safe_divide(cy, cc)), xp.abs(safe_divide(sy, ss)))
    a = safe_divide(cy * ss - sy * cs, independent)
    b = safe_divide(sy * cc - cy * cs, independent)
    return xp.where(independent > 0.25 * _ALIAS * (cc + ss) ** 2, xp.sqrt(a * a + b * b), alone)


def _centred(x: Array, n: Array, valid: Array | None) -> Array:
    xp = namespace(x)
    x = zero(x, valid)
    mean = xp.sum(x, axis=1) / xp.maximum(n, xp.ones_like(n))
    return zero(x - mean[:, None], valid)
