"""How far scores are from the frequencies they promise: ECE of any bins, τ, clamping, merging."""

from __future__ import annotations

from dataclasses import dataclass

from calhard_kernels._array import Array, namespace, safe_divide
from calhard_kernels.bins import Bins
from calhard_kernels.outcomes import Outcomes
from calhard_kernels.ragged import first_row, segment_sum, spread

CLAMPED = (0.001, 0.999)
"""Scores at or beyond these sit at the calibrator's bounds."""

SMALLEST_BIN = 3
"""A bin with fewer rows is merged with a neighbour."""

C_HAT = 1.5
TAU_FLOOR = 0.015

ROUNDING = 1e-12
"""A mean gap within this of 0 is 0."""

FEWEST_EFFECTIVE_ROWS = 1.5
"""A bin worth fewer rows than this says nothing of its label's variance."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """An estimate of each group and its standard error, both (G,)."""

    value: Array
    standard_error: Array


def calibration_error(o: Outcomes, bins: Bins) -> Estimate:
    """Return the expected calibration error of each group over ``bins``, in [0, 1].

    ``value`` = Σ_b |Σ w (s − y)| / Σ w, which is Σ_b w_b/W · |mean s_b − mean y_b|: AECE over
    `equal_mass` bins, DECE over `equal_width` bins. NaN for a group without rows.

    ``standard_error`` by the delta method with the bins held fixed: row i moves the value by
    w_i ψ_i / Σ w, ψ_i = ±(s_i − y_i) − value with the sign of its bin's gap (+ where that is 0 to
    rounding, so that a balanced bin does not pass for a certain one, and no bit of a sum decides);
    the error is √(Σ w² ψ²) / Σ w. NaN with fewer than 2 rows.

    The error is honest where the gaps are larger than their noise. Where a bin is calibrated its
    sign is noise: |gap| then scatters less than gap, and the error is too large, by
    1/√(1 − 2/π) = 1.66 where every bin is calibrated. It never tells of the bias of a plug-in ECE,
    which is positive and grows with the number of bins: see `tau` and `debiased_squared_error`.

    Source: Naeini, Cooper & Hauskrecht 2015; Nixon et al. 2019; delta method: van der Vaart 1998.
    """
    xp = namespace(o.score)
    weight = bins.group_weight
    value = bins.total(xp.abs(bins.gap)) / weight
    of_bin = xp.take(value, bins.group)
    # ψ² = (s − y ∓ value)²: the sign is put on the value, once a bin
    shift = xp.where(bins.gap < -ROUNDING * bins.weight, -of_bin, of_bin)
    rows = o.score - o.label
    rows -= spread(shift, _row_offsets(bins))
    if o.weight is not None:
        rows *= o.weight
    rows *= rows
    error = xp.sqrt(segment_sum(rows, o.start, o.stop)) / weight
    return Estimate(value, xp.where(o.n < 2, float("nan"), error))


def _row_offsets(bins: Bins) -> Array:
    """Offsets (B + 1,) of the bins' rows, which follow each other without a gap."""
    xp = namespace(bins.start)
    return xp.concat([xp.zeros((1,), dtype=xp.int64), bins.stop])


def debiased_squared_error(bins: Bins) -> Array:
    """Return Σ_b w_b/W · [(s_b − y_b)² − y_b (1 − y_b)/(n_b − 1)] of each group, (G,).

    s_b and y_b are a bin's mean score and label, n_b its rows, or with weights the
    (Σ w)² / Σ w² rows of equal weight that it is worth. The second term is what chance alone adds
    to the first, so the mean over calibrated groups is 0 and single values may be negative. A bin
    of one row (worth fewer than 1.5) contributes 0. With soft labels, which scatter less than
    y_b (1 − y_b), it takes off too much. NaN for a group without rows.

    Source: Kumar, Liang & Ma 2019.
    """
    xp = namespace(bins.weight)
    n = bins.effective_count
    enough = n >= FEWEST_EFFECTIVE_ROWS
    chance = safe_divide(bins.label * (1.0 - bins.label), xp.where(enough, n - 1.0, 0.0))
    squared = (bins.score - bins.label) ** 2 - chance
    return bins.mean(xp.where(enough, squared, 0.0))


def clamp_rate(o: Outcomes, low: float = CLAMPED[0], high: float = CLAMPED[1]) -> Array:
    """Return the share, by weight, of scores ≤ ``low`` or ≥ ``high``, (G,); NaN if no rows."""
    xp = namespace(o.score)
    bound = xp.zeros(o.n.shape, dtype=xp.float64)
    low_end = first_row(o.score, o.start, o.stop, bound + low, strict=True)
    high_begin = first_row(o.score, low_end, o.stop, bound + high, strict=False)
    clamped = _weight(o, o.start, low_end) + _weight(o, high_begin, o.stop)
    return clamped / xp.where(o.n > 0, _weight(o, o.start, o.stop), float("nan"))


def _weight(o: Outcomes, start: Array, stop: Array) -> Array:
    """Σ w of rows start to stop − 1 of each group."""
    xp = namespace(o.score)
    if o.weight is None:
        return xp.astype(stop - start, xp.float64)
    return segment_sum(o.weight, start, stop)


def merged_bin_rate(bins: Bins, min_bin: int = SMALLEST_BIN) -> Array:
    """Return the share of the bins asked for with fewer than ``min_bin`` rows, (G,).

    Empty bins count; rows count, whatever their weight. NaN for a group without rows.
    """
    xp = namespace(bins.weight)
    full = bins.total(xp.astype(bins.count >= min_bin, xp.float64))
    asked = xp.astype(bins.asked, xp.float64)
    return xp.where(bins.filled, (asked - full) / asked, float("nan"))


def tau(n: Array, k: Array, c_hat: Array | float = C_HAT, floor: float = TAU_FLOOR) -> Array:
    """Return τ = max(floor, ĉ √(K/N)): the calibration error that N labels in K bins explain, (G,).

    ``n`` and ``k`` (G,) integers; ``c_hat`` one number or (G,): the confidence threshold ĉ of each
    group's class. NaN where ``n`` is 0. An AECE above τ is more than chance makes of a calibrated
    model.
    """
    xp = namespace(n, k)
    rows, count = xp.astype(n, xp.float64), xp.astype(k, xp.float64)
    found = c_hat * xp.sqrt(count / xp.where(n > 0, rows, float("nan")))
    return xp.maximum(found, xp.full_like(found, floor))


def mean_score(bins: Bins) -> Array:
    """Return the weighted mean score of each group, (G,) in [0, 1]; NaN if it has no rows."""
    return bins.mean(bins.score)


def mean_label(bins: Bins) -> Array:
    """Return the weighted mean label of each group, (G,) in [0, 1]; NaN if it has no rows."""
    return bins.mean(bins.label)
