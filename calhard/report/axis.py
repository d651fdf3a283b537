"""Axes of plots: where ticks stand and what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil, floor, isfinite, log10
from sys import float_info

from calhard.schema import MICROSECONDS_PER_DAY

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
STEP_DAYS = (1, 2, 7, 14, 28, 56, 91, 182, 364, 728)
ROOM = 0.06
"""Share of the values' range that stays free above and below them."""
FAR = 3.0
"""A bound this many times the values' range away would squash them, and is told instead."""


@dataclass(frozen=True, slots=True)
class Axis:
    """A linear axis from ``low`` to ``high``, which differ."""

    low: float
    high: float

    def share(self, value: float) -> float:
        """Return how far a value is from ``low`` to ``high``, 0 to 1; it may lie beyond."""
        scale = max(abs(self.low), abs(self.high))  # differences of huge values would overflow
        low, high = self.low / scale, self.high / scale
        return (value / scale - low) / (high - low)


def value_axis(values: Sequence[float], wanted: Sequence[float | None]) -> Axis:
    """Return an axis that shows all ``values``, and those of ``wanted`` that are not too far."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    span = _span(low, high)
    for value in (v for v in wanted if v is not None):
        if low - FAR * span <= value <= high + FAR * span:
            low, high = min(low, value), max(high, value)
    room = ROOM * _span(low, high) or 1.0  # 0 where the values are the least that there are
    return Axis(max(low - room, -float_info.max), min(high + room, float_info.max))


def _span(low: float, high: float) -> float:
    """Their distance; of one value alone its size, of 0 alone 1."""
    span = high / 2 - low / 2
    return 2 * span if span > 0 and isfinite(2 * span) else max(abs(low), abs(high)) or 1.0


def value_ticks(axis: Axis, most: int = 5) -> list[float]:
    """Return round values on the axis, at most ``most`` and at least one as a rule."""
    span = axis.high / 2 - axis.low / 2
    raw = 2 * (span / most)
    power = 10.0 ** floor(log10(raw)) if raw > 0 else 0.0
    if not (isfinite(raw) and power > 0 and isfinite(10 * power)):
        return []
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw)
    first, last = ceil(axis.low / step), floor(axis.high / step)
    return [n * step for n in range(first, min(last, first + 10) + 1)]


def tick_text(value: float, ticks: Sequence[float]) -> str:
    """Return a tick's value with as many digits as tell it from its neighbours."""
    if abs(value) >= 1e6 or 0 < abs(value) < 1e-5:
        return f"{value:.3g}"
    step = ticks[1] - ticks[0] if len(ticks) > 1 else abs(value) or 1.0
    digits = min(max(0, -floor(log10(step) + 1e-9)), 7)
    short = f"{value:.{digits}f}"
    exact = abs(step * 10**digits - round(step * 10**digits)) < 1e-6
    return short if exact else f"{value:.{digits + 1}f}"


def day_ticks(start: int, stop: int, most: int = 6) -> list[int]:
    """Return UTC midnights from ``start`` to ``stop`` (µs), at most ``most`` evenly apart."""
    days = (stop - start) / MICROSECONDS_PER_DAY
    step = next((d for d in STEP_DAYS if days / d <= most), ceil(days / most))
    last = stop // MICROSECONDS_PER_DAY
    first = -(-start // MICROSECONDS_PER_DAY)
    return [day * MICROSECONDS_PER_DAY for day in range(last, first - 1, -step)][::-1]


def at(us: int) -> datetime:
    """Return an instant in UTC; µs since 1970."""
    return EPOCH + timedelta(microseconds=us)


def day_text(us: int) -> str:
    """Return ``4 May``."""
    when = at(us)
    return f"{when.day} {MONTHS[when.month - 1]}"
