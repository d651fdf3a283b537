"""SLO tests: how far each window is from its bound, and how sure one can be of it.

All arrays have shape (S,). The same estimator, the label-weighted mean, stands on both sides, or
a pinned value in the reference's place.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calhard.assess.columns import NIGHTS, Columns, unpack
from calhard.judge.pinned import Pin
from calhard_kernels._array import Array, safe_divide
from calhard_kernels.effective import Correlation, effective_df, variance_inflation
from calhard_kernels.moments import Moments
from calhard_kernels.special import student_t_sf

TOLERANCE = 1e-12
"""A value at its bound is within it."""
MIN_TAU, TAU_SCALE = 0.015, 1.5
"""τ(N, K) = max(0.015, 1.5 √(K/N)): the calibration error that N labels explain in K bins."""
LABELS_CHANGED = 2.0
"""Δτ is looked at where the labels per slot changed by more than this factor."""


FEW = 24
"""Windows with fewer slots borrow the reference's variance."""
PINNED_DF = 1e6
"""The error of a pinned value is taken as known."""


@dataclass(frozen=True, slots=True)
class Window:
    """One window of every series against its bound.

    ``value`` NaN means nothing was seen. ``beyond`` compares with the bound and its tolerance;
    ``p`` is for the null that the truth is within: 0 where there is no error at all, 1 where a
    change of the number of labels explains the drift.
    """

    value: Array
    standard_error: Array
    p: Array
    beyond: Array


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a window is compared with, how sure that is, and the noise of one slot.

    ``mean_df`` belongs to ``mean_variance``, ``df`` to ``slot_variance``, which is always the
    reference window's, as its mean ``reference`` is; ``pinned`` (bool) tells where the mean is a
    pinned value.
    """

    mean: Array
    mean_variance: Array
    mean_df: Array
    reference: Array
    slot_variance: Array
    phi: Array
    v: Array
    df: Array
    pinned: Array


def baseline(columns: Columns, correlation: Correlation, pin: Pin | None = None) -> Baseline:
    """Return the pinned values; where there is none, the reference window's label-weighted mean.

    The reference's mean has the error of its effective size. A pinned value has its own standard
    error; without one it is taken as exact and adds no error, so that p = T(−(|Δ| − b)/SE) +
    T(−(|Δ| + b)/SE) has the window's error alone.
    """
    a = unpack(columns, "raw_a", columns["n_reference"])
    phi, kish = correlation.phi, np.maximum(columns["kish_a"], 1.0)
    variance = _slot_variance(a, phi)
    error = variance * variance_inflation(phi, kish) / kish
    df = effective_df(phi, a.n)
    pinned = np.zeros(len(df), np.bool_) if pin is None else np.isfinite(pin.value)
    mean, mean_df = columns["mean_a"], df
    if pin is not None:
        mean = np.where(pinned, pin.value, mean)
        error = np.where(pinned, pin.error**2, error)
        mean_df = np.where(pinned, PINNED_DF, df)
    return Baseline(
        mean, error, mean_df, columns["mean_a"], variance, phi, correlation.v, df, pinned
    )


def _slot_variance(side: Moments, phi: Array) -> Array:
    return side.squares / np.maximum(side.n - variance_inflation(phi, side.n), 1.0)


def week(columns: Columns, base: Baseline, bound: Array, kind: str, explained: Array) -> Window:
    """Return the analysis window against its bound, with its own variance.

    ``explained`` is the drift that a change of the number of labels explains (0 without one): any
    change in its direction that goes beyond it by no more than the bound.
    """
    b = unpack(columns, "raw_b", columns["n_analysis"])
    kish = np.maximum(columns["kish_b"], 1.0)
    # A window of few slots, or of one value, knows its own variance badly; the reference's is the
    # floor then.
    own = _slot_variance(b, base.phi)
    few = (b.n < FEW) | (b.squares == 0)
    own = np.where(few, np.maximum(own, base.slot_variance), own)
    error = own * variance_inflation(base.phi, kish) / kish
    df = np.where(few, base.df, effective_df(base.phi, b.n))
    return _compare(columns["mean_b"], error, df, base, bound, kind, explained)


def nights(
    columns: Columns, base: Baseline, bound: Array, kind: str, *, by_labels: bool
) -> list[Window]:
    """Return each night of the analysis window, the last first, with the reference's variance.

    ``by_labels``: whether a change of the number of labels moves the metric.
    """
    found = []
    for k in range(NIGHTS):
        kish = np.maximum(columns[f"night_kish_{k}"], 1.0)
        error = base.slot_variance * variance_inflation(base.phi, kish) / kish
        value = columns[f"night_mean_{k}"]
        shift = tau_shift(columns["labels_a"], columns[f"night_labels_{k}"])
        explained = np.where(np.isfinite(shift) & by_labels, shift, 0.0)
        found.append(_compare(value, error, base.df, base, bound, kind, explained))
    return found


def _compare(
    value: Array,
    variance: Array,
    df: Array,
    base: Baseline,
    bound: Array,
    kind: str,
    explained: Array,
) -> Window:
    if kind != "drift":
        sign = -1.0 if kind == "floor" else 1.0
        distance, total, freedom, bound = sign * value, variance, df, sign * bound
        beyond = distance > bound + TOLERANCE
    else:
        distance, total = value - base.mean, variance + base.mean_variance
        freedom = _welch_df(variance, df, base)
        beyond = np.abs(distance) > bound + TOLERANCE
    error = np.sqrt(total)
    freedom = 1.0 / (1.0 / freedom + 2.0 * base.v)
    p = _bound_p(distance, bound, error, freedom, two_sided=kind == "drift")
    p = np.where(error > 0, p, np.where(beyond, 0.0, 1.0))
    # τ is what labels explain at most: any change towards it and no further than the bound beyond.
    # They explain a change between the windows, not how far the reference lies from a pin.
    moved = np.clip((value - base.reference) * np.sign(explained), 0.0, np.abs(explained))
    reach = bound + TOLERANCE + moved
    by_labels = beyond & (moved > 0) & (distance * explained > 0) & (np.abs(distance) <= reach)
    seen = np.isfinite(value)
    return Window(
        value,
        np.where(seen, error, np.nan),
        np.where(seen, np.where(by_labels, 1.0, p), np.nan),
        beyond & seen,
    )


def _welch_df(variance: Array, df: Array, base: Baseline) -> Array:
    total = (variance + base.mean_variance) ** 2
    return safe_divide(
        total, variance**2 / df + base.mean_variance**2 / base.mean_df, otherwise=1.0
    )


def _bound_p(distance: Array, bound: Array, error: Array, df: Array, *, two_sided: bool) -> Array:
    """P = T(−(|Δ| − b)/SE) + T(−(|Δ| + b)/SE) for |Δ| ≤ b; one-sided for a level."""
    scale = np.where(error > 0, error, 1.0)
    if not two_sided:
        return student_t_sf((distance - bound) / scale, df)
    size = np.abs(distance)
    near = student_t_sf((size - bound) / scale, df) + student_t_sf((size + bound) / scale, df)
    return np.minimum(near, 1.0)


def tau(labels: Array) -> Array:
    """Return τ(N, K) of N labels with K = ⌊√N⌋ bins, at least 5 and at most 100."""
    n = np.maximum(labels, 1.0)
    bins = np.clip(np.floor(np.sqrt(n)), 5.0, 100.0)
    return np.maximum(MIN_TAU, TAU_SCALE * np.sqrt(bins / n))


def tau_shift(before: Array, after: Array) -> Array:
    """Return Δτ where the labels per slot changed by more than 2×, else 0; NaN where unknown."""
    ratio = safe_divide(after, before, otherwise=np.nan)
    changed = (ratio > LABELS_CHANGED) | (ratio < 1.0 / LABELS_CHANGED)
    known = np.isfinite(before) & np.isfinite(after)
    return np.where(known, np.where(changed, tau(after) - tau(before), 0.0), np.nan)
