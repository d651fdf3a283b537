"""Healthy series and the faults that are planted in them, in units of the series' own sd."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

Floats = NDArray[np.float64]
Noise = Literal["normal", "t5", "weekly", "daily"]
NOISES: tuple[Noise, ...] = ("normal", "t5", "weekly", "daily")

Fault = Literal["step", "drift", "variance", "oscillation", "transient"]
FAULTS: tuple[Fault, ...] = ("step", "drift", "variance", "oscillation", "transient")
"""Faults of the noise; those of the source (flatline, NaN, …) are planted in a fleet."""

TRANSIENT_SLOTS = 15
HOURS_OF_DAY, DAYS_OF_WEEK = 24, 7


def healthy_series(
    rng: np.random.Generator,
    series: int,
    n: int,
    *,
    phi: float = 0.0,
    noise: Noise = "normal",
    slots_per_day: int = 24,
) -> Floats:
    """Return stationary series of mean 0 and innovations' variance 1 − φ², shape (series, n).

    AR(1) with lag-1 correlation ``phi``; ``t5`` has Student-t innovations of 5 degrees of freedom
    and unit variance; ``weekly`` adds an effect of the weekday and ``daily`` one of the hour, each
    of about one sd and different for every series.
    """
    draw = rng.standard_t(5, (series, n)) / np.sqrt(5.0 / 3.0) if noise == "t5" else None
    white = rng.standard_normal((series, n)) if draw is None else draw
    first = white[:, :1].copy()
    white *= np.sqrt(1.0 - phi * phi)
    white[:, :1] = first
    x: Floats = lfilter([1.0], [1.0, -phi], white, axis=1) if phi else white
    slot = np.arange(n)
    if noise == "weekly":
        effect = rng.standard_normal((series, DAYS_OF_WEEK))
        x = x + effect[:, (slot // slots_per_day) % DAYS_OF_WEEK]
    if noise == "daily":
        phase = rng.uniform(0.0, 2.0 * np.pi, (series, 1))
        size = rng.uniform(0.5, 2.0, (series, 1))
        x = x + size * np.sin(2.0 * np.pi * slot / HOURS_OF_DAY + phase)
    return x


def plant(
    x: Floats, fault: Fault, size: float, at: int, *, period: float = 8.0, until: int | None = None
) -> Floats:
    """Return the series with a fault from slot ``at`` on.

    Parameters
    ----------
    x : shape (series, n), in sd
    size : step, rise of the drift at its end, amplitude, height of the transient: in sd; for
        ``variance`` the factor on the sd
    period : of an oscillation, in slots
    until : end of a transient, 15 slots after ``at`` by default
    """
    x = x.copy()
    late = x[:, at:]
    slots = late.shape[1]
    if fault == "step":
        late += size
    elif fault == "drift":
        late += size * np.linspace(0.0, 1.0, slots)
    elif fault == "variance":
        late *= size
    elif fault == "oscillation":
        late += size * np.cos(2.0 * np.pi * np.arange(slots) / period)
    else:
        late[:, : (until - at) if until is not None else TRANSIENT_SLOTS] += size
    return x
