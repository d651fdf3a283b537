"""How values are spread over the fleet: counted, so that no order of batches changes a digit."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

CELLS = 2**16
_SIGN, _ALL = np.uint32(2**31), np.uint32(2**32 - 1)
_HUGE = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True)
class Levels:
    """Counts of values in cells that are 0.8 % wide (one for each upper half of a float32).

    A quantile is right to half of that, with 512 KB of memory whatever the fleet's size.
    """

    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(CELLS, np.int64))

    def add(self, values: NDArray[np.float64]) -> None:
        """Count values; those that are not finite are left out."""
        finite = np.clip(values[np.isfinite(values)], -_HUGE, _HUGE)
        bits = (finite.astype(np.float32) + np.float32(0.0)).view(np.uint32)  # −0 becomes 0
        cells = (bits ^ np.where(bits & _SIGN, _ALL, _SIGN)) >> np.uint32(16)
        found, often = np.unique(cells, return_counts=True)
        self.counts[found] += often

    @property
    def total(self) -> int:
        """How many values were counted."""
        return int(self.counts.sum())

    def quantile(self, share: float) -> float | None:
        """Return the value below which that share lies, to three digits; None of no values."""
        total = self.total
        if not total:
            return None
        sums = np.cumsum(self.counts)
        cell = int(np.searchsorted(sums, max(share * total, 1.0)))
        low, high = _edge(cell), _edge(cell + 1)
        if low == 0.0:
            return 0.0
        inside = (share * total - (sums[cell] - self.counts[cell])) / self.counts[cell]
        return float(f"{low + (high - low) * min(max(float(inside), 0.0), 1.0):.3g}")


def _edge(cell: int) -> float:
    """The lower end of a cell."""
    bits = np.uint32(min(cell, CELLS - 1) << 16)
    plain = bits ^ (_SIGN if bits & _SIGN else _ALL)
    return float(np.clip(np.array([plain]).view(np.float32)[0], -_HUGE, _HUGE))
