"""What a regression head says of every series, and the unit it says it in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calhard.assess.columns import Columns, unpack
from calhard_kernels._array import Array


@dataclass(frozen=True, slots=True)
class Head:
    """One head's word on every series.

    Attributes
    ----------
    p : raw p-value; NaN where the head is off
    gate : whether the change is of a size and a permanence worth reporting
    effect : signed size: Cohen's d of a step, else in reference standard deviations
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
