"""Runs of one and the same value: the deterministic sign of a stuck source.

A left-packed row holds its n values in columns 0 … n − 1; what follows is padding of any kind.
NaN equals nothing, so it ends a run and starts none longer than one.
"""

from __future__ import annotations

from calhard_kernels._array import Array, along_rows, namespace, running_maximum


def longest_run(x: Array, n: Array) -> Array:
    """Return the length of the longest run of equal values of each row, int64, shape (S,).

    ``x`` (S, W) left-packed, ``n`` (S,) integer; 0 for an empty row.
    """
    xp = namespace(x)
    slot = xp.arange(x.shape[1], dtype=xp.int64)[None, :]
    begins = xp.concat([xp.ones((x.shape[0], 1), dtype=xp.bool), x[:, 1:] != x[:, :-1]], axis=1)
    begin = running_maximum(xp.where(begins, slot, xp.zeros_like(slot)))
    length = xp.where(slot < n[:, None], slot - begin + 1, xp.zeros_like(begin))
    return xp.max(length, axis=1)


def closing_run(x: Array, n: Array) -> Array:
    """Return the length of the run of equal values that ends each row, int64, shape (S,).

    ``x`` (S, W) left-packed, ``n`` (S,) integer; 0 for an empty row.
    """
    xp = namespace(x)
    slot = xp.arange(x.shape[1], dtype=xp.int64)[None, :]
    end = xp.astype(n, xp.int64) - 1
    last = along_rows(x, xp.maximum(end, xp.zeros_like(end)))
    differs = (x != last[:, None]) & (slot < end[:, None])
    before = xp.max(xp.where(differs, slot, xp.full_like(slot, -1)), axis=1)
    return end - xp.minimum(before, end)
