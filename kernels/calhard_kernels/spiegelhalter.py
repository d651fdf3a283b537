"""Spiegelhalter's z: whether the Brier score is what it would be if the scores were true.

Source: Spiegelhalter 1986.
"""

from __future__ import annotations

from dataclasses import dataclass

from calhard_kernels._array import Array, namespace
from calhard_kernels.blocks import by_blocks
from calhard_kernels.outcomes import Outcomes
from calhard_kernels.ragged import segment_sum
from calhard_kernels.special import normal_p


@dataclass(frozen=True, slots=True)
class Spiegelhalter:
    """z and two-sided p of each group, (G,); z is standard normal for calibrated scores."""

    z: Array
    p: Array


def spiegelhalter(o: Outcomes) -> Spiegelhalter:
    """Return Spiegelhalter's test of calibration of each group.

    z = Σ w (y − s)(1 − 2s) / √(Σ w² (1 − 2s)² s (1 − s)), p = P(|N(0, 1)| ≥ |z|). The scale of the
    weights does not matter. z > 0: the Brier score is worse than the scores promise.

    NaN where the variance is 0: without rows, or where every score is 0, ½ or 1. Beside other
    rows, a score of ½ counts for nothing, and one of 0 or 1 for the variance neither, while its
    label, if it is a surprise, still moves z. The law of z holds for labels 0 and 1: soft ones
    scatter less, and p is too large.
    """
    return by_blocks(_test, o)


def _test(o: Outcomes) -> Spiegelhalter:
    xp = namespace(o.score)
    s, tilt = o.score, 1.0 - 2.0 * o.score
    surprise = (o.label - s) * tilt
    spread = tilt * tilt * s * (1.0 - s)
    if o.weight is not None:
        surprise = o.weight * surprise
        spread = o.weight * o.weight * spread
    variance = segment_sum(spread, o.start, o.stop)
    sd = xp.sqrt(xp.where(variance > 0.0, variance, float("nan")))
    z = segment_sum(surprise, o.start, o.stop) / sd
    return Spiegelhalter(z, normal_p(z))
