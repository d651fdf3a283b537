"""Changes of a calibration error that a change of the number of labels explains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from calhard.assess.columns import Columns
from calhard.judge.head import Head
from calhard.judge.slo import tau_shift
from calhard_kernels._array import Array

CALIBRATION_ERRORS = frozenset({"aece", "dece"})
"""Metrics that move with the number of labels alone."""
OF_LEVEL = ("level", "scan", "slope")


def unless_explained(heads: Mapping[str, Head], columns: Columns) -> dict[str, Head]:
    """Close the gates of heads that a change of the labels per slot by more than 2× explains.

    A plug-in error of N labels in K bins has a part of the order of √(K/N) that says nothing of the
    model: fewer labels raise it and widen its scatter. A change of level or trend in the direction
    of Δτ, and of the scatter where labels became fewer, is explained where it is no larger than Δτ.
    A larger one is not.
    """
    shift = tau_shift(columns["labels_a"], columns["labels_b"])
    found = dict(heads)
    for name in (*OF_LEVEL, "variance"):
        if name in found:
            moved = found[name].change if name in OF_LEVEL else np.maximum(found[name].change, 0.0)
            explained = (moved * shift > 0) & (np.abs(moved) <= np.abs(shift))
            found[name] = _closed(found[name], explained)
    return found


def _closed(head: Head, where: Array) -> Head:
    return replace(head, gate=head.gate & ~where)
