"""The two heads of level: between the windows, and at the split that tears a series apart best.

All arrays have shape (S,).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from calhard.assess.columns import RECENT, SHORT, Columns, unpack
from calhard.judge.head import Head
from calhard_kernels._array import Array, safe_divide
from calhard_kernels.effective import (
    TWO_SIDES,
    Correlation,
    effective_welch,
    lag1_correlation,
    pooled_welch,
    reference_welch,
)
from calhard_kernels.moments import Moments, mean_difference
from calhard_kernels.scan_null import ScanNull, scan_p
from calhard_kernels.welch import Test, cohens_d

KEPT, KEPT_ALIKE = 0.5, 0.33
"""The last slots keep at least this share of a step, else it was a transient that went away."""
ROUNDING = 1e-20
"""Variance over step², below which two sides are constants that rounding has touched."""
STEEPER = 1.5
"""A split of its own dates a change where its step is this many times that of the windows."""
UNEQUAL_P = 0.01
"""Largest p of Welch's test at the split that the scan head chose."""


def lasts(columns: Columns, base: Array, step: Array) -> Array:
    """Return whether the window's end keeps a step of that size from ``base``, in its direction.

    The last 15 slots keep half of it and so do the last 10; where neighbours are alike the last 20
    keep half and the last 10, which tell less then, a third.
    """
    sign, size = np.sign(step), np.abs(step)
    share = np.where(columns["alike"] > 0, KEPT_ALIKE, KEPT)
    kept = (columns["closing"] - base) * sign >= KEPT * size
    return kept & ((columns["closing_10"] - base) * sign >= share * size)


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
    gate: Array = lasts(columns, a.mean, step)
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


def if_lasting(head: Head, columns: Columns) -> Head:
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
    stays = lasts(columns, before.mean, step)
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
        change = columns[f"recent_raw_{k}"]
        found = Head(p, best.gate, safe_divide(change, sd), change, onset)
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
    p = np.where(a.squares + b.squares <= ROUNDING * (a.n + b.n) * step**2, 1.0, p)
    gate = (np.abs(d) >= min_effect) & lasts(columns, a.mean, step)
    gate &= effective_welch(a, b, correlation).p <= UNEQUAL_P
    return Head(
        np.where(columns["scan_found"] > 0, p, np.nan),
        gate,
        d,
        columns["scan_change"],
        columns["scan_day"],
    )
