"""Oscillation: whether the analysis window goes round and round, and whether that is new."""

from __future__ import annotations

import numpy as np

from calhard.assess.columns import SHORT, Columns
from calhard.assess.sides import Sides
from calhard_kernels._array import Array
from calhard_kernels.effective import ONE_SIDE, lag1_correlation
from calhard_kernels.oscillation import (
    Peak,
    between_peak,
    cycle_amplitude,
    fisher_g_p,
    periodogram_peak,
)

OFFSETS = (0.0, -0.5, -0.25, 0.25, 0.5)
"""Places between two Fourier frequencies at which a cycle's amplitude is looked for."""
SCREEN = 0.05
"""A cycle with a larger p is not looked for between two Fourier frequencies."""
CLEAR = 0.01
"""A cycle with a larger p is not looked for in the reference window and in either half."""


def oscillation_columns(side: Sides) -> Columns:
    """Fisher's g on the whitened analysis window, and the cycle's amplitude then and before.

    ``cycle_half`` is the smaller of its amplitudes in the window's two halves; it and
    ``cycle_before`` are made for cycles that might be confirmed alone.
    """
    names = ("cycle_p", "cycle_period", "cycle_amplitude", "cycle_before", "cycle_half")
    columns = {name: np.full(len(side.analysis.n), np.nan) for name in names}
    long = side.analysis.n >= SHORT
    if not long.any():
        return columns
    phi = lag1_correlation((side.reference.moments,), ONE_SIDE).phi
    for n in np.unique(side.analysis.n[long]):
        rows = np.flatnonzero(side.analysis.n == n)
        x = side.analysis.x[rows, :n]
        peak = periodogram_peak(x, phi[rows])
        p = fisher_g_p(peak.g, peak.ordinates)
        seen = np.flatnonzero(p <= SCREEN)
        if len(seen):
            near = Peak(peak.g[seen], peak.index[seen], peak.ordinates, peak.amplitude[seen])
            g = between_peak(x[seen], phi[rows[seen]], near)
            p[seen] = np.minimum(2.0 * fisher_g_p(g, peak.ordinates), 1.0)
        columns["cycle_p"][rows] = p
        columns["cycle_period"][rows] = n / peak.index
        columns["cycle_amplitude"][rows] = peak.amplitude
        clear = np.flatnonzero(p <= CLEAR)
        if len(clear):
            _look_closer(columns, rows[clear], x[clear], peak.index[clear])
            _look_before(side, columns, rows[clear])
    return columns


def _look_closer(columns: Columns, rows: Array, x: Array, index: Array) -> None:
    """Fill in the cycle between the Fourier frequencies, and whether both halves have it."""
    n = x.shape[1]
    tried = np.stack([np.minimum((index + offset) / n, 0.5) for offset in OFFSETS], axis=1)
    size = np.stack([cycle_amplitude(x, tried[:, k]) for k in range(len(OFFSETS))], axis=1)
    best = np.argmax(size, axis=1)
    chosen = np.arange(len(rows)), best
    columns["cycle_amplitude"][rows] = size[chosen]
    columns["cycle_period"][rows] = 1.0 / tried[chosen]
    columns["cycle_half"][rows] = _in_both_halves(x, 1.0 / tried[chosen])


def _in_both_halves(x: Array, period: Array) -> Array:
    half = x.shape[1] // 2
    return np.minimum(
        cycle_amplitude(x[:, :half], 1.0 / period), cycle_amplitude(x[:, half:], 1.0 / period)
    )


def _look_before(side: Sides, columns: Columns, rows: Array) -> None:
    """Fill in the amplitude that the same frequency had in the reference window."""
    x, size = side.reference.x, side.reference.n
    for n in np.unique(size[rows]):
        chosen = rows[size[rows] == n]
        columns["cycle_before"][chosen] = cycle_amplitude(
            x[chosen, x.shape[1] - n :], 1.0 / columns["cycle_period"][chosen]
        )
