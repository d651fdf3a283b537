"""What every plot of one series is drawn from: its values, windows, bounds, onset and forecast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from calhard.schema import MICROSECONDS_PER_DAY, Metric

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

GAP = 2.5
"""Samples further apart than this many of their median spacings are not joined by a line."""
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Forecast:
    """The predicted mean of the night (start, time], and its 95 % interval; µs since 1970 UTC."""

    start: int
    time: int
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class SeriesPicture:
    """One series of one night, ready to be drawn. Instants are µs since 1970 UTC.

    Attributes
    ----------
    time, value : shape (T,), sorted by time; the value is NaN where none was reported or where it
        was not finite
    not_finite : bool, shape (T,); where a value was reported that was not finite
    reference_start, analysis_start : None where nothing of either window was sound
    night_start, as_of : the last night is (night_start, as_of]
    baseline : what its SLO compares with; None where nothing is compared
    bound_low, bound_high : beyond these the SLO is broken; None where there is no such bound
    onset : None where nothing is found, or nothing dates it
    """

    model_id: str
    class_id: str
    metric: str
    time: Ints
    value: Floats
    not_finite: Bools
    reference_start: int | None
    analysis_start: int | None
    night_start: int
    as_of: int
    baseline: float | None
    bound_low: float | None
    bound_high: float | None
    onset: int | None
    forecast: Forecast | None

    @property
    def known(self) -> Bools:
        """Where there is a value, shape (T,)."""
        return ~np.isnan(self.value)

    @property
    def stretches(self) -> Ints:
        """Number of the unbroken stretch that each known value belongs to, shape (known,)."""
        place, time = np.flatnonzero(self.known), self.time[self.known]
        if len(time) < 2:
            return np.zeros(len(time), np.int64)
        apart = np.diff(time) > GAP * np.median(np.diff(self.time))
        return np.concatenate([[0], np.cumsum(apart | (np.diff(place) > 1))])


def series_picture(
    row: Mapping[str, Any],
    series: pa.Table,
    metric: Metric,
    *,
    as_of: int,
    night: int = MICROSECONDS_PER_DAY,
    horizon: int = MICROSECONDS_PER_DAY,
    found: bool = True,
) -> SeriesPicture:
    """Return the picture of one series.

    Parameters
    ----------
    row : its row of the evidence table, `schema.EVIDENCE`, as a dict
    series : the values of its model and class, `schema.series_schema`; may be empty
    metric : the row's metric
    as_of, night, horizon : µs; where the audit's windows end, in the rows' timestamps, and of its
        plan's windows
    found : False hides the onset, which the evidence of a healthy series has as well
    """
    time, value, not_finite = _values(series, metric.name)
    low, high = _bounds(row, metric)
    return SeriesPicture(
        model_id=row["model_id"],
        class_id=row["class_id"],
        metric=metric.name,
        time=time,
        value=value,
        not_finite=not_finite,
        reference_start=_microseconds(row["reference_start"]),
        analysis_start=_microseconds(row["analysis_start"]),
        night_start=as_of - night,
        as_of=as_of,
        baseline=row["baseline_value"],
        bound_low=low,
        bound_high=high,
        onset=_microseconds(row["onset"]) if found else None,
        forecast=_forecast(row, as_of + horizon - night, as_of + horizon),
    )


def _values(series: pa.Table, metric: str) -> tuple[Ints, Floats, Bools]:
    if metric not in series.schema.names:
        return np.empty(0, np.int64), np.empty(0), np.empty(0, np.bool_)
    time = np.asarray(series["timestamp"].cast(pa.int64()).to_numpy(), np.int64)
    raw = np.asarray(series[metric].to_numpy(), np.float64)
    reported = np.asarray(series[metric].is_valid().to_numpy(), np.bool_)
    order = np.argsort(time, kind="stable")
    value = np.where(np.isfinite(raw) & reported, raw, np.nan)
    return time[order], value[order], (reported & ~np.isfinite(raw))[order]


def _bounds(row: Mapping[str, Any], metric: Metric) -> tuple[float | None, float | None]:
    """The lowest and the highest value within the SLO."""
    bound, base = row["slo_bound"], row["baseline_value"]
    if bound is None or metric.slo == "none":
        return None, None
    if metric.slo == "drift":
        return (None, None) if base is None else (base - bound, base + bound)
    return (bound, None) if metric.slo == "floor" else (None, bound)


def _forecast(row: Mapping[str, Any], start: int, stop: int) -> Forecast | None:
    told = [row[name] for name in ("predicted_value", "interval_low", "interval_high")]
    return None if None in told else Forecast(start, stop, *told)


def _microseconds(value: datetime | None) -> int | None:
    if value is None:
        return None
    return (value - datetime(1970, 1, 1, tzinfo=value.tzinfo)) // _MICROSECOND


def thinned(picture: SeriesPicture, points: int = 300) -> tuple[Ints, Floats, Ints]:
    """Return time, value and stretch of about ``points`` known values, (P,) each.

    A longer series is cut into ``points``/2 runs of samples, of each of which the smallest and the
    largest value stay, so that spikes survive; the first and the last value always do.
    """
    known, stretch = picture.known, picture.stretches
    time, value = picture.time[known], picture.value[known]
    if len(time) <= points:
        return time, value, stretch
    edges = np.linspace(0, len(time), points // 2 + 1).astype(np.int64)
    runs = zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
    kept = {0, len(time) - 1}
    for begin, end in runs:
        kept |= {begin + int(f(value[begin:end])) for f in (np.argmin, np.argmax)}
    chosen = np.array(sorted(kept))
    return time[chosen], value[chosen], stretch[chosen]
