"""The Brier score and Murphy's three parts of it."""

from __future__ import annotations

from dataclasses import dataclass

from calhard_kernels._array import Array, namespace
from calhard_kernels.bins import Bins
from calhard_kernels.outcomes import Outcomes
from calhard_kernels.ragged import segment_sum


@dataclass(frozen=True, slots=True)
class Brier:
    """Brier score and its parts for each group, (G,); NaN for a group without rows.

    score is in [0, 1], 0 is perfect; reliability and resolution in [0, 1], uncertainty in [0, ¼].
    """

    score: Array
    reliability: Array
    resolution: Array
    uncertainty: Array


def brier(o: Outcomes, bins: Bins) -> Brier:
    """Return the Brier score of each group and Murphy's parts over ``bins`` (of equal width).

    With ȳ the mean label, s_b and y_b a bin's means, all weighted:

    - score = Σ w (s − y)² / Σ w
    - reliability = Σ_b w_b (s_b − y_b)² / Σ w, the part that calibration would remove
    - resolution = Σ_b w_b (y_b − ȳ)² / Σ w, what the bins tell apart
    - uncertainty = ȳ (1 − ȳ), of the labels alone, soft ones too

    score = reliability − resolution + uncertainty holds exactly where all scores within a bin are
    equal and labels are 0 or 1. Otherwise the within-bin variance of the scores, less twice their
    within-bin covariance with the labels, remains; and with soft labels − Σ w y (1 − y) / Σ w.

    Source: Brier 1950; Murphy 1973; Stephenson, Coelho & Jolliffe 2008.
    """
    xp = namespace(o.score)
    rows = o.score - o.label
    rows *= rows
    if o.weight is not None:
        rows *= o.weight
    label = bins.mean(bins.label)
    return Brier(
        score=segment_sum(rows, o.start, o.stop) / bins.group_weight,
        reliability=bins.mean((bins.score - bins.label) ** 2),
        resolution=bins.mean((bins.label - xp.take(label, bins.group)) ** 2),
        uncertainty=label * (1.0 - label),
    )
