"""The five regression heads: what each says of every series, before the fleet has its say.

All arrays have shape (S,). A head that is off for a series has p = NaN.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from calhard.assess.accumulate import trend_of
from calhard.assess.columns import SHORT, Columns, unpack
from calhard.assess.correlation import CORRELATED, head_correlation
from calhard.judge.head import Head, reference_sd
from calhard.judge.levels import if_lasting, level_head, scan_head
from calhard_kernels._array import Array, safe_divide
from calhard_kernels.effective import (
    Correlation,
    Prior,
    effective_welch,
    shrink,
)
from calhard_kernels.moments import mean_difference
from calhard_kernels.scan_null import ScanNull
from calhard_kernels.slope import slope_test
from calhard_kernels.welch import Test

SPREAD_RATIO, SPREAD_RATIO_HALF = 1.4, 1.2
"""Least ratio of quartile ranges, overall and in either half of the analysis window."""
AMPLITUDE = 1.0
"""Least amplitude of a cycle, in reference standard deviations."""
NOT_NEW = 0.5
"""A cycle that had this share of its amplitude in the reference window is not new."""
STEADY = 0.5
"""A cycle keeps this share of its amplitude in both halves of the window; a bump does not."""
CYCLES = 3.0
"""A cycle goes round at least this often in the analysis window."""


def slope_head(columns: Columns, correlation: Correlation, min_effect: Array) -> Head:
    """Linear trend through both windows; the effect is the change it makes in them.

    The gate asks for that change to be as large as a step's must be, and for the last slots to lie
    on the trend's side of the windows' mean: a hump that went away does not.
    """
    fit = trend_of(columns, columns["n_reference"] + columns["n_analysis"])
    change = fit.slope * (columns["slope_last_day"] - columns["slope_first_day"])
    effect = safe_divide(change, reference_sd(columns))
    return Head(
        slope_test(fit, correlation).p,
        ((columns["closing"] - fit.level) * fit.slope > 0) & (np.abs(effect) >= min_effect),
        effect,
        change,
        np.full(len(effect), np.nan),
    )


def variance_head(columns: Columns, correlation: Correlation) -> Head:
    """Brown–Forsythe with effective sizes: growth of the spread in both halves of the window."""
    n_a, n_b = columns["n_reference"], columns["n_analysis"]
    a, b = unpack(columns, "spread_a", n_a), unpack(columns, "spread_b", n_b)
    p = effective_welch(a, b, correlation).p
    base = columns["spread_iqr_a"]
    gate = (mean_difference(a, b) > 0) & (columns["spread_iqr_half"] > 0)
    gate &= columns["spread_iqr_b"] >= SPREAD_RATIO * base
    gate &= columns["spread_iqr_half"] >= SPREAD_RATIO_HALF * base
    raw_a, raw_b = unpack(columns, "raw_a", n_a), unpack(columns, "raw_b", n_b)
    change = np.sqrt(raw_b.variance) - np.sqrt(raw_a.variance)
    return Head(
        np.where(n_b >= SHORT, p, np.nan),
        gate,
        safe_divide(change, reference_sd(columns)),
        change,
        np.full(len(n_a), np.nan),
    )


def oscillation_head(columns: Columns) -> Head:
    """Fisher's g on the whitened analysis window, for a cycle that is large and new."""
    amplitude, sd = columns["cycle_amplitude"], reference_sd(columns)
    new = ~(columns["cycle_before"] > NOT_NEW * amplitude)
    steady = columns["cycle_half"] >= STEADY * amplitude
    steady &= CYCLES * columns["cycle_period"] <= columns["n_analysis"]
    return Head(
        columns["cycle_p"],
        (amplitude >= AMPLITUDE * sd) & (sd > 0) & new & steady,
        safe_divide(amplitude, sd),
        amplitude,
        np.full(len(sd), np.nan),
    )


def judge_heads(
    columns: Columns,
    correlations: Mapping[str, Correlation],
    test: Test,
    min_effect: Array,
    table: ScanNull,
) -> dict[str, Head]:
    """Return what each prepared head says.

    ``correlations`` are shrunk already; ``test`` is the `level_test`, which evidence shows too.
    """
    found = {"level": level_head(columns, correlations["level"], test, min_effect)}
    if "scan" in correlations:
        found["scan"] = scan_head(columns, correlations["scan"], min_effect, table)
    if "slope" in correlations:
        found["slope"] = slope_head(columns, correlations["slope"], min_effect)
    if "scan" in found:
        found |= {
            name: if_lasting(found[name], columns) for name in ("level", "slope") if name in found
        }
    if "variance" in correlations:
        found["variance"] = variance_head(columns, correlations["variance"])
    if "cycle_p" in columns:
        found["oscillation"] = oscillation_head(columns)
    return found


def shrunk_correlations(
    columns: Columns, priors: Mapping[tuple[int, str], Prior | None]
) -> dict[str, Correlation]:
    """Return each prepared head's correlations, shrunk towards those of the series' cadence.

    ``priors`` maps (cadence, head) of this metric to its prior.
    """
    found = {}
    for head in CORRELATED:
        raw = head_correlation(columns, head)
        if raw is None:
            continue
        z, v = raw.z.copy(), raw.v.copy()
        for cadence in np.unique(columns["cadence"]):
            rows = np.flatnonzero(columns["cadence"] == cadence)
            prior = priors.get((int(cadence), head))
            part = shrink(Correlation(raw.z[rows], raw.v[rows]), prior)
            z[rows], v[rows] = part.z, part.v
        found[head] = Correlation(z, v)
    return found
