"""The array decides: which namespace computes, and which slots of a panel count.

Source: Python array API standard 2024.12.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = Any
"""An array of any namespace that follows the array API standard (NumPy, CuPy, …)."""


def namespace(*arrays: Array) -> Any:
    """Return the array namespace that ``arrays`` share; NumPy for CuPy-less machines and lists."""
    for array in arrays:
        if hasattr(array, "__array_namespace__"):
            return array.__array_namespace__()
        module = type(array).__module__.partition(".")[0]
        if module == "cupy":  # older CuPy arrays carry no __array_namespace__
            import cupy

            return cupy
    return np


def counts(x: Array, valid: Array | None) -> Array:
    """Return the number of valid slots of each series as float64, shape (S,)."""
    xp = namespace(x)
    if valid is None:
        return xp.full(x.shape[:1], float(x.shape[1]), dtype=xp.float64)
    return xp.sum(xp.astype(valid, xp.float64), axis=1)


def zero_padding(x: Array, valid: Array | None) -> Array:
    """Return ``x`` with every slot that is not valid set to 0 (a no-op on a dense panel)."""
    return x if valid is None else namespace(x).where(valid, x, 0.0)


def safe_divide(numerator: Array, denominator: Array, otherwise: float = 0.0) -> Array:
    """Return ``numerator / denominator``, and ``otherwise`` where the denominator is 0."""
    xp = namespace(denominator)
    zero = denominator == 0
    quotient = numerator / xp.where(zero, xp.ones_like(denominator), denominator)
    return xp.where(zero, xp.full_like(quotient, otherwise), quotient)


def row_dot(a: Array, b: Array) -> Array:
    """Return the dot product of each pair of rows, shape (S,); a row never sees another row."""
    xp = namespace(a, b)
    if hasattr(xp, "vecdot"):
        return xp.vecdot(a, b)
    return xp.sum(a * b, axis=-1)  # CuPy has none


def along_rows(x: Array, index: Array) -> Array:
    """Return ``x[s, index[s]]`` for every row, shape (S,)."""
    xp = namespace(x)
    return xp.take_along_axis(x, index[:, None], axis=1)[:, 0]


def running_maximum(x: Array) -> Array:
    """Return the largest value so far along each row, shape (S, W)."""
    xp = namespace(x)
    if xp is np:
        return np.maximum.accumulate(x, axis=1)
    step = 1
    while step < x.shape[1]:  # doubling: the standard has no cumulative maximum
        x = xp.concat([x[:, :step], xp.maximum(x[:, step:], x[:, :-step])], axis=1)
        step *= 2
    return x
