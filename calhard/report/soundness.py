"""Whether the night's tests are sound: its p-values by metric, and how far they are inflated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from calhard.report.exhibits import P_BINS, Exhibits
from calhard.wording.names import display_name

HEIGHT = 80


@dataclass(frozen=True, slots=True)
class Histogram:
    """p-values of one metric's level head; bars in percent of the width and pixels of height.

    ``even`` is the height of every bar where nothing has changed, ``factors`` are raw λ above 1 by
    cadence and head.
    """

    metric: str
    total: int
    small: int
    bars: tuple[tuple[float, float, float], ...]
    even: float
    factors: tuple[tuple[str, float], ...]


def histograms(summary: Mapping[str, Any], exhibits: Exhibits) -> list[Histogram]:
    """Return a histogram per metric that has any p-value, in the order of the metrics."""
    return [
        _histogram(metric, counts, _factors(summary, metric))
        for metric, counts in exhibits.p_values.items()
        if sum(counts)
    ]


def _histogram(
    metric: str, counts: tuple[int, ...], factors: tuple[tuple[str, float], ...]
) -> Histogram:
    total, top, width = sum(counts), max(counts), 100.0 / P_BINS
    bars = tuple(
        (round(i * width, 2), width, round(HEIGHT * n / top, 1)) for i, n in enumerate(counts)
    )
    even = round(HEIGHT * (1.0 - total / P_BINS / top), 1)
    return Histogram(metric, total, counts[0], bars, even, factors)


def _factors(summary: Mapping[str, Any], metric: str) -> tuple[tuple[str, float], ...]:
    """Raw λ of a metric's families, told only where it is above 1."""
    told = ((*name.rsplit("/", 2), value) for name, value in summary["lambda"].items())
    return tuple(
        (f"{display_name(cadence)}, {display_name(head)} head", value)
        for owner, cadence, head, value in told
        if owner == metric
    )
