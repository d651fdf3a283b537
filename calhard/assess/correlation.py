"""Lag-1 correlations of each head, and the fleet's sketch of them: integers that add up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calhard.assess.columns import SHORT, Columns, unpack
from calhard.assess.windows import CADENCES
from calhard_kernels._array import Array
from calhard_kernels.effective import (
    LINEAR_TREND,
    ONE_SIDE,
    TWO_SIDES,
    UNKNOWN_SPLIT,
    Correlation,
    Prior,
    lag1_correlation,
)
from calhard_kernels.moments import Moments

CORRELATED = ("level", "scan", "slope", "variance")
"""Heads whose test needs a lag-1 correlation, in the sketch's order."""

_Z_EDGES = np.linspace(-0.70, 2.10, 561)
_V_EDGES = np.concatenate(([0.0], np.geomspace(1e-4, 2.0, 400)))
_Z_BINS, _V_BINS = len(_Z_EDGES) - 1, len(_V_EDGES) - 1
MIN_FAMILY = 20
"""A smaller family has no prior worth shrinking to."""


def head_correlation(columns: Columns, head: str) -> Correlation | None:
    """Return a head's raw lag-1 correlations, None where the head was not prepared."""
    n_a, n_b = columns["n_reference"], columns["n_analysis"]
    if head == "level":
        return _level(unpack(columns, "level_a", n_a), unpack(columns, "level_b", n_b), n_b)
    if head == "scan" and "scan_day" in columns:
        before = unpack(columns, "scan_a", columns["scan_n_a"])
        after = unpack(columns, "scan_b", columns["scan_n_b"])
        return lag1_correlation((before, after), UNKNOWN_SPLIT)
    if head == "slope" and "slope" in columns:
        residual = unpack(columns, "slope_residual", n_a + n_b)
        return lag1_correlation((residual,), LINEAR_TREND)
    if head == "variance" and "spread_iqr_a" in columns:
        sides = (unpack(columns, "spread_a", n_a), unpack(columns, "spread_b", n_b))
        return lag1_correlation(sides, TWO_SIDES)
    return None


def _level(a: Moments, b: Moments, n_b: Array) -> Correlation:
    """Both windows, or the reference alone where the analysis window is short."""
    both, alone = lag1_correlation((a, b), TWO_SIDES), lag1_correlation((a,), ONE_SIDE)
    short = n_b < SHORT
    return Correlation(np.where(short, alone.z, both.z), np.where(short, alone.v, both.v))


@dataclass(frozen=True, slots=True)
class CorrelationSketch:
    """Histograms of z and v by metric, cadence and head: int64, shape (M, C, H, bins).

    ``zero`` and ``+`` make it a sum over blocks, shards and workers in any order.
    """

    counts: NDArray[np.int64]

    @classmethod
    def zero(cls, metrics: int) -> CorrelationSketch:
        """Return the sketch of no series at all."""
        shape = (metrics, len(CADENCES), len(CORRELATED), _Z_BINS + _V_BINS)
        return cls(np.zeros(shape, np.int64))

    def __add__(self, other: CorrelationSketch) -> CorrelationSketch:
        """Return the sketch of both fleets together."""
        return CorrelationSketch(self.counts + other.counts)

    def add(self, metric: int, columns: Columns) -> None:
        """Count the tested series of one metric."""
        cadence = columns["cadence"].astype(np.int64)
        for h, head in enumerate(CORRELATED):
            found = head_correlation(columns, head)
            if found is None:
                continue
            used = np.isfinite(found.z) & np.isfinite(found.v) & (columns["raw_a_squares"] > 0)
            self._count(metric, cadence[used], h, found.z[used], found.v[used])

    def _count(self, metric: int, cadence: Array, head: int, z: Array, v: Array) -> None:
        z_bin = np.clip(np.searchsorted(_Z_EDGES, z, side="right") - 1, 0, _Z_BINS - 1)
        v_bin = np.clip(np.searchsorted(_V_EDGES, v, side="right") - 1, 0, _V_BINS - 1)
        target = self.counts[metric, :, head, :]
        np.add.at(target, (cadence, z_bin), 1)
        np.add.at(target, (cadence, _Z_BINS + v_bin), 1)

    def prior(self, metric: int, cadence: int, head: str) -> Prior | None:
        """Return μ = median z and τ² = max((IQR z/1.349)² − median v, 0); None below 20 series."""
        counts = self.counts[metric, cadence, CORRELATED.index(head)]
        z, v = counts[:_Z_BINS], counts[_Z_BINS:]
        if z.sum() < MIN_FAMILY:
            return None
        low, middle, high = (_quantile(z, _Z_EDGES, q) for q in (0.25, 0.5, 0.75))
        spread = ((high - low) / 1.349) ** 2 - _quantile(v, _V_EDGES, 0.5)
        return Prior(middle, max(spread, 0.0))


def _quantile(counts: NDArray[np.int64], edges: NDArray[np.float64], q: float) -> float:
    """Quantile of a histogram, linear within its bin."""
    below = np.concatenate(([0], np.cumsum(counts))).astype(np.float64)
    rank = q * below[-1]
    k = int(np.clip(np.searchsorted(below, rank, side="left") - 1, 0, len(counts) - 1))
    part = (rank - below[k]) / max(float(counts[k]), 1.0)
    return float(edges[k] + part * (edges[k + 1] - edges[k]))
