"""What the fleet tells the judge: priors, inflation factors, thresholds of significance."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from calhard.assess.correlation import CORRELATED, CorrelationSketch
from calhard.assess.windows import CADENCES, Clock
from calhard.judge.pinned import PinnedBaselines
from calhard.schema import HEADS, Metric
from calhard_kernels.effective import Prior
from calhard_kernels.inflation import NULL_SCORES, inflation_from_histogram, score_histogram
from calhard_kernels.scan_null import ScanNull

if TYPE_CHECKING:
    from calhard.plan import AuditPlan

SCORE_BINS = len(score_histogram(np.empty(0)))
OSCILLATION_NULL = (0.51, 2.87)
"""Chi-square scores of the oscillation head's healthy p at q50 and q90, by simulation at n = 200.

Whitening by an estimated φ tilts the spectrum, which shows in the bulk of Fisher's p and not in its
tail: with the standard quantiles healthy fleets have λ = 1.14, and weak cycles go unseen.
"""
NULL_SCORES_OF = {"oscillation": OSCILLATION_NULL}


@dataclass(frozen=True, slots=True)
class Ruling:
    """All that turns accumulators into evidence; small, and the same for every worker."""

    plan: AuditPlan
    clock: Clock
    metrics: Mapping[str, Metric]
    priors: Mapping[tuple[int, int, str], Prior | None]
    """By metric index, cadence index and head."""
    pinned: PinnedBaselines | None = None
    """What drift is measured against, where a row of it is pinned."""

    def priors_of(self, metric: int) -> dict[tuple[int, str], Prior | None]:
        """Return one metric's priors by cadence and head."""
        return {(c, head): p for (m, c, head), p in self.priors.items() if m == metric}


def fit_priors(sketch: CorrelationSketch, metrics: int) -> dict[tuple[int, int, str], Prior | None]:
    """Return the prior of every family and head of a fleet's sketch."""
    return {
        (m, c, head): sketch.prior(m, c, head)
        for m in range(metrics)
        for c in range(len(CADENCES))
        for head in CORRELATED
    }


@dataclass(frozen=True, slots=True)
class ScoreSketch:
    """Histograms of chi-square scores by metric, cadence and head: int64, (M, C, H, bins)."""

    counts: NDArray[np.int64]

    @classmethod
    def zero(cls, metrics: int) -> ScoreSketch:
        """Return the sketch of no series at all."""
        return cls(np.zeros((metrics, len(CADENCES), len(HEADS), SCORE_BINS), np.int64))

    def __add__(self, other: ScoreSketch) -> ScoreSketch:
        """Return the sketch of both fleets together."""
        return ScoreSketch(self.counts + other.counts)

    def add(
        self, metric: int, head: str, cadence: NDArray[np.int64], p: NDArray[np.float64]
    ) -> None:
        """Count the p-values of one head of one metric; NaN is ignored."""
        for c in np.unique(cadence):
            self.counts[metric, c, HEADS.index(head)] += score_histogram(p[cadence == c])

    def factors(self) -> NDArray[np.float64]:
        """Return raw λ of every family and head, shape (M, C, H)."""
        found = np.ones(self.counts.shape[:3])
        for m, c, h in np.ndindex(*found.shape):
            null = NULL_SCORES_OF.get(HEADS[h], NULL_SCORES)
            found[m, c, h] = inflation_from_histogram(self.counts[m, c, h], null_scores=null)
        return found


@cache
def scan_null() -> ScanNull:
    """Return the simulated null of the scan head, shipped as package data."""
    text = files("calhard.assess").joinpath("scan_null.json").read_text(encoding="utf-8")
    table = json.loads(text)
    return ScanNull(*(np.array(table[name], np.float64) for name in ("n", "phi", "tail", "score")))
