"""The metrics of every group, from its sorted outcomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calhard.history.ids import Floats, Ints
from calhard.measure.device import to_host
from calhard.measure.tables import EXTRAS
from calhard.plan import Measure
from calhard_kernels._array import namespace
from calhard_kernels.bins import FEWEST_BINS, Bins, equal_width
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
from calhard_kernels.ragged import segment_sum


def metric_values(o: Outcomes, bins: Bins, c_hat: Floats, measure: Measure) -> dict[str, Floats]:
    """Return every metric of every group, (G,) NumPy float64; NaN where it has no value.

    The arrays of ``o`` decide where they are computed. So few rows that no cut could fill the bins
    have no ``merged_bin_rate``: it would tell of their number, not of the scores.

    Parameters
    ----------
    bins : of equal mass
    c_hat : float64, shape (G,)
    measure : bounds, least sizes and further statistics
    """
    xp = namespace(o.score)
    c_hat = xp.asarray(c_hat)
    width = equal_width(o)
    aece, dece = calibration_error(o, bins), calibration_error(o, width)
    slope, parts = cox(o), brier(o, width)
    nan, fillable = float("nan"), o.n >= measure.min_bin * FEWEST_BINS
    bound = tau(o.n, bins.asked, c_hat, measure.min_tau)
    found = {
        "n_bins": xp.where(o.n > 0, xp.astype(bins.asked, xp.float64), nan),
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
        "merged_bin_rate": xp.where(fillable, merged_bin_rate(bins, measure.min_bin), nan),
        "mean_score": mean_score(bins),
        "mean_label": mean_label(bins),
    }
    for name in measure.extras:
        found |= dict(zip(EXTRAS[name], FURTHER[name](o), strict=True))
    return {name: to_host(values) for name, values in found.items()}


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


def bin_values(o: Outcomes, bins: Bins, measure: Measure) -> dict[str, NDArray[Any]]:
    """Return the columns of the bin table but its keys, (B,) NumPy arrays, and each bin's group.

    ``merged_with`` is −1 for none: a bin of fewer than ``min_bin`` rows is merged with the next one
    that holds rows, the last one with the one before it; a lone bin with none.
    """
    xp = namespace(o.score)
    clamped = (o.score <= measure.clamp_low) | (o.score >= measure.clamp_high)
    found = {
        "group": bins.group,
        "bin": bins.number,
        "low": xp.take(o.score, bins.start),
        "high": xp.take(o.score, bins.stop - 1),
        "count": bins.count,
        "weight": bins.weight,
        "mean_score": bins.score,
        "mean_label": bins.label,
        "clamped": segment_sum(xp.astype(clamped, xp.float64), bins.start, bins.stop),
    }
    table = {name: to_host(column) for name, column in found.items()}
    partner = _partners(table["group"], table["bin"])
    return table | {"merged_with": np.where(table["count"] < measure.min_bin, partner, -1)}


def _partners(group: Ints, number: Ints) -> Ints:
    """The bin with which each would be merged."""
    border = group[1:] != group[:-1]
    last, first = np.append(border, [True] * (len(group) > 0)), np.insert(border, 0, True)
    first = first[: len(group)]
    found: Ints = np.where(last, np.where(first, -1, np.roll(number, 1)), np.roll(number, -1))
    return found
