"""The five regression heads: what each says of every series, before the fleet has its say.

All arrays have shape (S,). A head that is off for a series has p = NaN.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from calhard.assess.accumulate import trend_of
from calhard.assess.columns import RECENT, SHORT, Columns, unpack
from calhard.assess.correlation import CORRELATED, head_correlation
from calhard_kernels._array import Array, safe_divide
from calhard_kernels.effective import (
    TWO_SIDES,
    Correlation,
    Prior,
    effective_welch,
    lag1_correlation,
    pooled_welch,
    reference_welch,
    shrink,
)
from calhard_kernels.moments import Moments, mean_difference
from calhard_kernels.scan_null import ScanNull, scan_p
from calhard_kernels.slope import slope_test
from calhard_kernels.welch import Test, cohens_d

KEPT = 0.5
"""The last slots keep at least this share of a step, else it was a transient that went away."""
STEEPER = 1.5
"""A split of its own dates a change where its step is this many times that of the windows."""
UNEQUAL_P = 0.01
"""Largest p of Welch's test at the split that the scan head chose."""
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


@dataclass(frozen=True, slots=True)
class Head:
    """One head's word on every series.

    Attributes
    ----------
    p : raw p-value; NaN where the head is off
    gate : whether the change is of a size and a permanence worth reporting
    effect : signed size in reference standard deviations
    change : the same in the metric's unit
    onset_day : days before as_of; NaN where the head does not date a change
    """

    p: Array
    gate: Array
    effect: Array
    change: Array
    onset_day: Array


def reference_sd(columns: Columns) -> Array:
    """Return the raw standard deviation of the reference window (of both where it is 0)."""
    a = unpack(columns, "raw_a", columns["n_reference"])
    b = unpack(columns, "raw_b", columns["n_analysis"])
    sd = np.sqrt(a.variance)
    return np.where(sd > 0, sd, np.sqrt(b.variance))


def lasts(kept: Array, step: Array) -> Array:
    """Return whether what is kept at the end is at least half of the step, in its direction."""
    return kept * np.sign(step) >= KEPT * np.abs(step)


def level_test(columns: Columns, correlation: Correlation) -> Test:
    """Return Welch's test with effective sizes between the winsorised windows."""
    a = unpack(columns, "level_a", columns["n_reference"])
    b = unpack(columns, "level_b", columns["n_analysis"])
    return effective_welch(a, b, correlation)


def level_head(columns: Columns, correlation: Correlation, test: Test, min_effect: Array) -> Head:
    """Level, known split: Welch with effective sizes; short windows by their last slots.

    A series that sits at its lower bound half of the time is also tested by its share of slots
    off the bound; the smaller p counts twice.
    """
    n_a, n_b = columns["n_reference"], columns["n_analysis"]
    a, b = unpack(columns, "level_a", n_a), unpack(columns, "level_b", n_b)
    p, d = test.p, cohens_d(a, b)
    step = mean_difference(a, b)
    change = mean_difference(unpack(columns, "raw_a", n_a), unpack(columns, "raw_b", n_b))
    gate: Array = lasts(columns["closing"] - a.mean, step)
    onset: Array = np.full(len(n_a), np.nan)
    share_p, share_d = _share(columns, n_a, n_b)
    zero_inflated = np.isfinite(share_p)
    p = np.where(zero_inflated, np.minimum(2.0 * np.fmin(p, share_p), 1.0), p)
    size: Array = np.where(zero_inflated, np.fmax(np.abs(d), np.abs(share_d)), np.abs(d))
    short = n_b < SHORT
    if short.any():
        last = _last_slots(columns, a, correlation)
        p, size = np.where(short, last.p, p), np.where(short, np.abs(last.effect), size)
        gate, onset = np.where(short, True, gate), np.where(short, last.onset_day, onset)
        change, d = np.where(short, last.change, change), np.where(short, last.effect, d)
    return Head(p, gate & (size >= min_effect), d, change, onset)


def _if_lasting(head: Head, columns: Columns) -> Head:
    """Close a head's gate where the best split's step, which dates the change, has gone away.

    A transient is higher after its own onset than over the whole window: there half of its step
    is more than noise at the end of the window makes. Short windows and zero-inflated series, whose
    level head reads other things than the split, are left alone.
    """
    before, after = (unpack(columns, side, columns["n_reference"]) for side in ("scan_a", "scan_b"))
    a, b = (
        unpack(columns, "level_a", columns["n_reference"]),
        unpack(columns, "level_b", columns["n_analysis"]),
    )
    step = mean_difference(before, after)
    stays = lasts(columns["closing"] - before.mean, step)
    stays |= np.abs(step) < STEEPER * np.abs(mean_difference(a, b))
    stays |= ~(columns["scan_found"] > 0) | (columns["n_analysis"] < SHORT)
    stays |= np.isfinite(columns["share_a_shift"])
    return replace(head, gate=head.gate & stays)


def _share(columns: Columns, n_a: Array, n_b: Array) -> tuple[Array, Array]:
    """Two-proportion test of slots off the bound, with effective sizes; NaN where not needed."""
    a, b = unpack(columns, "share_a", n_a), unpack(columns, "share_b", n_b)
    used = np.isfinite(a.shift)
    p, d = np.full(len(n_a), np.nan), np.full(len(n_a), np.nan)
    if used.any():
        rows = np.flatnonzero(used)
        a, b = _take(a, rows), _take(b, rows)
        p[rows] = effective_welch(a, b, lag1_correlation((a, b), TWO_SIDES)).p
        d[rows] = cohens_d(a, b)
    return p, d


def _take(found: Moments, rows: Array) -> Moments:
    return Moments(
        *(getattr(found, name)[rows] for name in ("n", "shift", "offset", "squares", "cross"))
    )


def _last_slots(columns: Columns, a: Moments, correlation: Correlation) -> Head:
    """Best of the last 1, 2, 3, 5, 7 slots against the reference's own variance, p × 5."""
    sd = np.sqrt(a.variance)
    best = Head(*(np.full(len(sd), fill) for fill in (np.inf, 0.0, 0.0, 0.0, np.nan)))
    for k in RECENT:
        slots = np.minimum(columns["n_analysis"], k)
        step = columns[f"recent_{k}"]
        p = reference_welch(a, slots, step, correlation).p
        onset = columns["last_day"] - (slots - 1.0) * columns["spacing"] / 86_400e6
        found = Head(p, best.gate, safe_divide(step, sd), step, onset)
        better = p < best.p
        best = Head(
            *(
                np.where(better, getattr(found, name), getattr(best, name))
                for name in ("p", "gate", "effect", "change", "onset_day")
            )
        )
    p = np.where(np.isfinite(best.p), np.minimum(best.p * len(RECENT), 1.0), np.nan)
    onset = np.where(best.change != 0, best.onset_day, np.nan)  # nothing moved: nothing began
    return Head(p, best.gate, best.effect, best.change, onset)


def scan_head(
    columns: Columns, correlation: Correlation, min_effect: Array, table: ScanNull
) -> Head:
    """Level, unknown split: the pooled test at the best split, against its simulated null.

    The pooled variance takes a growth of the spread for a step; Welch's test at the same split
    does not, so the gate asks it too.
    """
    a = unpack(columns, "scan_a", columns["scan_n_a"])
    b = unpack(columns, "scan_b", columns["scan_n_b"])
    d, step = cohens_d(a, b), mean_difference(a, b)
    p0 = pooled_welch(a, b, correlation).p
    p = scan_p(p0, a.n + b.n, correlation.phi, table)
    gate = (np.abs(d) >= min_effect) & lasts(columns["closing"] - a.mean, step)
    gate &= effective_welch(a, b, correlation).p <= UNEQUAL_P
    return Head(
        np.where(columns["scan_found"] > 0, p, np.nan),
        gate,
        d,
        columns["scan_change"],
        columns["scan_day"],
    )


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
    gate = (mean_difference(a, b) > 0) & (base > 0)
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
            name: _if_lasting(found[name], columns) for name in ("level", "slope") if name in found
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
