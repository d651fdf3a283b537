"""Rows sorted by group and, within a group, by score: what every calibration kernel reads."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calhard.history.ids import Floats, Ints
from calhard.history.permutation import by_group
from calhard_kernels.outcomes import Outcomes

Keys = NDArray[np.uint64]

LONG = 2**10
"""Groups of more rows are sorted one by one; the shorter ones of like length together."""
PANEL = 2**18
"""Values of a panel that is sorted at once: 2 MiB."""


def sort_outcomes(
    code: Ints, score: Floats, label: Floats, weight: Floats | None, groups: int
) -> Outcomes:
    """Return rows sorted by group, score, label and weight.

    ``code`` (N,) in [0, groups), ``score`` and ``label`` (N,) in [0, 1], no −0.0, ``weight`` (N,)
    above 0. The order of the rows that come in makes no difference, for rows that are alike in all
    of these are the same.
    """
    offsets = np.concatenate(([0], np.cumsum(np.bincount(code, minlength=groups))))
    if weight is None and bool(((label == 0.0) | (label == 1.0)).all()):
        packed = _packed(score, label)
        if not bool((code[1:] >= code[:-1]).all()):
            packed = packed[by_group(code, groups)]
        _sort_segments(packed, offsets)
        return Outcomes(
            (packed >> np.uint64(1)).view(np.float64),
            (packed & np.uint64(1)).astype(np.float64),
            None,
            offsets,
        )
    keys = (label, score, code) if weight is None else (weight, label, score, code)
    order = np.lexsort(keys)
    return Outcomes(score[order], label[order], None if weight is None else weight[order], offsets)


def _packed(score: Floats, label: Floats) -> Keys:
    """Score and label in one integer that sorts by both.

    The bits of a double from 0 to 1 sort as the double does, and its first two are 0.
    """
    bits = np.ascontiguousarray(score).view(np.uint64) << np.uint64(1)
    bits |= label.astype(np.uint64)
    return bits


def _sort_segments(values: Keys, offsets: Ints) -> None:
    """Sort each group's values in place."""
    start, size = offsets[:-1], np.diff(offsets)
    for group in np.flatnonzero(size > LONG).tolist():
        values[offsets[group] : offsets[group + 1]].sort()
    short = np.flatnonzero((size > 1) & (size <= LONG))
    width = _widths(size[short])
    for w in np.unique(width).tolist():
        alike = short[width == w]
        for first in range(0, len(alike), max(PANEL // w, 1)):
            part = alike[first : first + max(PANEL // w, 1)]
            _sort_panel(values, start[part], size[part], w)


def _widths(size: Ints) -> Ints:
    """Sizes rounded up to four steps an octave: a panel's rows waste a fifth at most."""
    step = np.left_shift(1, np.maximum(np.frexp(size)[1] - 3, 0).astype(np.int64))
    rounded: Ints = -(-size // step) * step
    return rounded


def _sort_panel(values: Keys, start: Ints, size: Ints, width: int) -> None:
    """Sort groups of at most ``width`` rows, one a row of a panel, padded with the largest key."""
    column = np.arange(width)
    row = start[:, None] + column
    if bool((size == width).all()):
        values[row] = np.sort(values[row], axis=1)
        return
    inside = column < size[:, None]
    panel = np.where(inside, values[np.where(inside, row, 0)], np.uint64(2**64 - 1))
    panel.sort(axis=1)
    values[row[inside]] = panel[inside]
