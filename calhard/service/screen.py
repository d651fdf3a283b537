"""A cheap look at every sample, to tell when the whole judgement is worth its time.

Source: Page 1954 (cumulative sums).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

REFERENCE, LIMIT = 0.5, 6.0
"""A cumulative sum grows by what exceeds half a standard deviation; beyond 6 it is worth a look."""
SPREAD_REFERENCE, SPREAD_LIMIT = 0.25, 12.0
"""The same for (z² − 1)/√2, which grows with the variance."""
LARGEST = 4.0
"""One wild value counts no more than this many standard deviations."""
LEAST = 8
"""Fewer values have no spread to go by."""


class Screen:
    """Two-sided cumulative sums of one metric about the mean and spread of its kept values.

    With z = (x − mean)/sd of what is kept: U ← max(0, U + z − ½), D ← max(0, D − z − ½) and
    V ← max(0, V + (z² − 1)/√2 − ¼). It never decides anything: it tells when the whole judgement,
    which costs a thousand times as much, is worth its time.
    """

    __slots__ = ("_anchor", "_count", "_down", "_spread", "_square", "_sum", "_up", "tripped")

    def __init__(self) -> None:
        self._anchor = math.nan
        self._count = 0
        self._sum = self._square = 0.0
        self._up = self._down = self._spread = 0.0
        self.tripped = False

    def add(self, x: float) -> None:
        """Take in a finite value."""
        if self._count == 0:
            self._anchor, self._sum, self._square = x, 0.0, 0.0
        y = x - self._anchor
        if self._count >= LEAST:
            self._look(y)
        self._sum += y
        self._square += y * y
        self._count += 1

    def forget(self, x: float) -> None:
        """Take out a value that is no longer kept; NaN and inf were never taken in."""
        if math.isfinite(x):
            y = x - self._anchor
            self._sum -= y
            self._square -= y * y
            self._count -= 1

    def refresh(self, values: Floats) -> None:
        """Add up anew what is kept: rounding never outlives one filling of the history."""
        kept = values[np.isfinite(values)]
        self._count = len(kept)
        self._anchor = float(kept[0]) if len(kept) else math.nan
        centred = kept - self._anchor
        with np.errstate(over="ignore"):  # squares of absurd values: whatever they trip is right
            self._sum, self._square = float(np.sum(centred)), float(np.sum(centred * centred))

    def _look(self, y: float) -> None:
        mean = self._sum / self._count
        variance = self._square / self._count - mean * mean
        if variance <= 1e-12 * max(mean * mean, self._square / self._count):
            self.tripped |= y != mean and abs(y - mean) > 1e-9 * (abs(self._anchor) + abs(y))
            return
        z = max(-LARGEST, min(LARGEST, (y - mean) / math.sqrt(variance)))
        self._up = max(0.0, self._up + z - REFERENCE)
        self._down = max(0.0, self._down - z - REFERENCE)
        growth = (z * z - 1.0) * math.sqrt(0.5)
        self._spread = max(0.0, self._spread + growth - SPREAD_REFERENCE)
        self.tripped |= max(self._up, self._down) > LIMIT or self._spread > SPREAD_LIMIT

    def rest(self) -> None:
        """Start the sums anew after a judgement; what is known of mean and spread stays."""
        self._up = self._down = self._spread = 0.0
        self.tripped = False
