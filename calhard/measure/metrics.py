"""The metrics of every group, from its sorted outcomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from calhard.history.ids import Floats, Ints
from calhard.measure.tables import EXTRAS
from calhard.plan import Measure
from calhard_kernels.bins import Bins, equal_width
from calhard_kernels.brier import brier
from calhard_kernels.calibration import (
    calibration_error,
    clamp_rate,
    debiased_squared_error,
    mean_label,
    mean_score,
    merged_bin_rate,
    tau,
)
from calhard_kernels.cox import cox
from calhard_kernels.outcomes import Outcomes


def metric_values(o: Outcomes, bins: Bins, c_hat: Floats, measure: Measure) -> dict[str, Floats]:
    """Return every metric of every group, (G,) float64; NaN where it has no value.

    Parameters
    ----------
    bins : of equal mass
    c_hat : float64, shape (G,)
    measure : bounds, least sizes and further statistics
    """
    width = equal_width(o)
    aece, dece = calibration_error(o, bins), calibration_error(o, width)
    slope, parts = cox(o), brier(o, width)
    bound = tau(o.n, bins.asked, c_hat, measure.min_tau)
    found = {
        "n_bins": np.where(o.n > 0, bins.asked, np.nan),
        "aece": aece.value,
        "aece_standard_error": aece.standard_error,
        "dece": dece.value,
        "dece_standard_error": dece.standard_error,
        "ece_debiased": debiased_squared_error(bins),
        "alpha": slope.slope,
        "alpha_standard_error": slope.slope_standard_error,
        "intercept": slope.intercept,
        "intercept_standard_error": slope.intercept_standard_error,
        "brier": parts.score,
        "reliability": parts.reliability,
        "resolution": parts.resolution,
        "uncertainty": parts.uncertainty,
        "tau": bound,
        "aece_minus_tau": aece.value - bound,
        "c_hat": c_hat,
        "clamp_rate": clamp_rate(o, measure.clamp_low, measure.clamp_high),
        "merged_bin_rate": merged_bin_rate(bins, measure.min_bin),
        "mean_score": mean_score(bins),
        "mean_label": mean_label(bins),
    }
    for name in measure.extras:
        found |= dict(zip(EXTRAS[name], FURTHER[name](o), strict=True))
    return found


def _smooth(o: Outcomes) -> tuple[Floats, ...]:
    from calhard_kernels.smooth import smooth_ece

    return (smooth_ece(o),)


def _cumulative(o: Outcomes) -> tuple[Floats, ...]:
    from calhard_kernels.cumulative import cumulative_error

    found = cumulative_error(o)
    return found.mad, found.kuiper, found.p


def _spiegelhalter(o: Outcomes) -> tuple[Floats, ...]:
    from calhard_kernels.spiegelhalter import spiegelhalter

    found = spiegelhalter(o)
    return found.z, found.p


FURTHER: Mapping[str, Callable[[Outcomes], tuple[Floats, ...]]] = {
    "smooth_ece": _smooth,
    "ecce": _cumulative,
    "spiegelhalter": _spiegelhalter,
}


def bin_values(o: Outcomes, bins: Bins, measure: Measure) -> dict[str, Floats | Ints]:
    """Return the columns of the bin table but its keys, (B,); ``merged_with`` is −1 for none.

    A bin of fewer than ``min_bin`` rows is merged with the next one that holds rows, the last one
    with the one before it; a lone bin with none.
    """
    group = bins.group
    small = bins.count < measure.min_bin
    no_next = np.append(group[1:] != group[:-1], True)
    no_last = np.insert(group[1:] != group[:-1], 0, True)
    following, before = np.roll(bins.number, -1), np.roll(bins.number, 1)
    partner = np.where(no_next, np.where(no_last, -1, before), following)
    clamped = (o.score <= measure.clamp_low) | (o.score >= measure.clamp_high)
    return {
        "bin": bins.number,
        "low": o.score[bins.start],
        "high": o.score[bins.stop - 1],
        "count": bins.count,
        "weight": bins.weight,
        "mean_score": bins.score,
        "mean_label": bins.label,
        "merged_with": np.where(small, partner, -1),
        "clamped": np.add.reduceat(clamped, bins.start, dtype=np.int64)
        if len(bins.start)
        else bins.count,
    }
