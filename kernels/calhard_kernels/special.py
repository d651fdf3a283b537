"""Tails of the normal, chi-square(1), t and F laws, accurate to the smallest p.

On NumPy arrays SciPy's special functions compute, on CuPy arrays CuPy's; arrays of any other
namespace travel to the host and back. NaN in, NaN out; nothing here warns.

Source: Abramowitz & Stegun 1964, 26.2, 26.5 and 26.7; DiDonato & Morris 1992 (incomplete beta).
"""

from __future__ import annotations

import math
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
import scipy.special

from calhard_kernels._array import Array, namespace

SMALLEST_P = 1e-300
"""Smaller p are read as this one where a quantile is asked for: p = 0 is only an underflow."""

LARGEST_RATIO = 1e150
"""Larger |t|/√df are read as this one, so that no square overflows."""


def _functions(xp: Any) -> ModuleType | None:
    """Return the special functions for arrays of ``xp``; None where the host must compute."""
    if xp is np:
        return scipy.special
    if xp.__name__.partition(".")[0] == "cupy":
        return import_module("cupyx.scipy.special")
    return None


def _call(name: str, *arrays: Array) -> Array:
    """Apply a special function to arrays of one namespace."""
    xp = namespace(*arrays)
    functions = _functions(xp)
    if functions is not None:
        return getattr(functions, name)(*arrays)
    return xp.asarray(getattr(scipy.special, name)(*(np.asarray(array) for array in arrays)))


def student_t_p(t: Array, df: Array) -> Array:
    """Return the two-sided p of a t statistic, P(|T_df| ≥ |t|); any shape.

    I_{df/(df+t²)}(df/2, ½), and 1 − I_{t²/(df+t²)}(½, df/2) for t² < 1. Relative error under 1e−10
    down to p = 1e−300 (df ≤ 1e6).
    """
    xp = namespace(t, df)
    ratio = xp.minimum(xp.abs(t) / xp.sqrt(df), xp.full_like(t * df, LARGEST_RATIO))
    square = ratio * ratio  # t²/df
    near = square * df < 1.0
    half = xp.full_like(square, 0.5)
    freedom = 0.5 * (df + 0.0 * square)
    a, b = xp.where(near, half, freedom), xp.where(near, freedom, half)
    value = _call("betainc", a, b, xp.where(near, square, 0.0 * square + 1.0) / (1.0 + square))
    return xp.where(near, 1.0 - value, value)


def student_t_sf(t: Array, df: Array) -> Array:
    """Return the upper tail P(T_df ≥ t); any shape."""
    xp = namespace(t, df)
    half = 0.5 * student_t_p(t, df)
    return xp.where(t > 0.0, half, 1.0 - half)


def normal_p(z: Array) -> Array:
    """Return the two-sided p of a standard normal statistic, P(|N| ≥ |z|) = erfc(|z|/√2)."""
    return _call("erfc", math.sqrt(0.5) * namespace(z).abs(z))


def f_p(between: Array, within: Array, df_between: Array, df_within: Array) -> Array:
    """Return P(F ≥ f) of an analysis of variance with those sums of squares; 1 where both are 0.

    I_{w/(w+b)}(d_w/2, d_b/2) with f = (b/d_b)/(w/d_w).
    """
    xp = namespace(between, within)
    total = between + within
    share = xp.where(total > 0.0, within, total + 1.0) / xp.where(total > 0.0, total, total + 1.0)
    return _call("betainc", 0.5 * df_within, 0.5 * df_between, share)


def chi_square_score(p: Array) -> Array:
    """Return the chi-square(1) quantile of 1 − p, the square of the normal score of p/2.

    Any shape; from 0 (p = 1) to 1370 (p ≤ 1e−300).
    """
    xp = namespace(p)
    z = _call("ndtri", 0.5 * xp.maximum(p, xp.full_like(p, SMALLEST_P)))
    return z * z


def p_from_chi_square(score: Array) -> Array:
    """Return P(χ²_1 ≥ score), the inverse of `chi_square_score`; any shape."""
    return _call("erfc", namespace(score).sqrt(0.5 * score))
