"""Geometry of a series' plot; the template draws it. x in percent of the width, y in pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from calhard.report.axis import Axis, at, day_text, day_ticks, tick_text, value_axis, value_ticks
from calhard.report.picture import SeriesPicture, thinned
from calhard.wording.words import number

HEIGHT = 170
"""Pixels of the plotting area."""
GRID = 2_000
"""Steps of the line across the width; more would not be seen."""
FEW = 60
"""Up to so many values each has a dot."""
ABOVE, BELOW, LINE, ROOM = 4.0, 13.0, 13.0, 40.0
"""Pixels from a line up or down to its words, from words to words, and of free room at the top."""
ENOUGH = 14.0
"""A window narrower than so many percent of the width has no room for its name."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A line across the plot at x or y, and what stands beside it; at ``level``, if it has one."""

    place: float
    text: str
    level: float = 0.0


@dataclass(frozen=True, slots=True)
class Band:
    """A shaded window; ``text`` is empty where there is no room for it."""

    kind: str
    x: float
    width: float
    text: str


@dataclass(frozen=True, slots=True)
class Interval:
    """A forecast: its night from x over ``width``, its interval from ``top`` down, its mean."""

    x: float
    width: float
    top: float
    height: float
    mean: float


@dataclass(frozen=True, slots=True)
class Plot:
    """All that is drawn of a series.

    ``line`` and ``dots`` are paths on a grid of `GRID` by `HEIGHT`; ``lost`` are the places of
    values that were not finite, ``outside`` the bounds that are too far away to be drawn, and
    ``level`` is where the onset's words stand.
    """

    picture: SeriesPicture
    line: str
    dots: str
    bands: tuple[Band, ...]
    days: tuple[Mark, ...]
    values: tuple[Mark, ...]
    bounds: tuple[Mark, ...]
    baseline: Mark | None
    onset: Mark | None
    level: float
    forecast: Interval | None
    lost: tuple[float, ...]
    outside: tuple[float, ...]

    @property
    def count(self) -> int:
        """How many values there are, drawn or thinned out."""
        return int(self.picture.known.sum())

    @property
    def ends(self) -> tuple[datetime, datetime]:
        """When the first and the last value were measured."""
        time = self.picture.time[self.picture.known]
        return at(int(time[0])), at(int(time[-1]))

    @property
    def extremes(self) -> tuple[float, float]:
        """The smallest and the largest value."""
        return float(np.nanmin(self.picture.value)), float(np.nanmax(self.picture.value))


@dataclass(frozen=True, slots=True)
class Frame:
    """Where instants and values stand."""

    picture: SeriesPicture
    start: int
    stop: int
    levels: Axis

    @classmethod
    def of(cls, picture: SeriesPicture) -> Frame:
        """Return the frame that holds the values, their windows and the forecast."""
        values = picture.value[picture.known].tolist()
        ahead, stop = picture.forecast, picture.as_of
        if ahead is not None:
            values += [ahead.low, ahead.high]
            stop = max(stop, ahead.time)
        first = int(picture.time[picture.known][0])
        start = min(first, picture.reference_start or first)
        wanted = (picture.baseline, picture.bound_low, picture.bound_high)
        return cls(picture, start, max(stop, start + 1), value_axis(values, wanted))

    def share(self, us: int) -> float:
        """How far an instant is from the left end to the right one."""
        return (us - self.start) / (self.stop - self.start)

    def x(self, us: int) -> float:
        """Percent of the width."""
        return round(100.0 * self.share(us), 2)

    def y(self, value: float) -> float:
        """Pixels from the top."""
        return round(HEIGHT * (1.0 - self.levels.share(value)), 1)

    def holds(self, value: float | None) -> bool:
        """Whether a value can be seen."""
        return value is not None and self.levels.low <= value <= self.levels.high


def plot(picture: SeriesPicture) -> Plot | None:
    """Return the plot of a series; None where it has no value to be drawn."""
    if not picture.known.any():
        return None
    frame = Frame.of(picture)
    time, value, stretch = thinned(picture)
    steps = [round(GRID * frame.share(us)) for us in time.tolist()]
    levels = [round(frame.y(v)) for v in value.tolist()]
    ticks = value_ticks(frame.levels)
    bounds = [b for b in (picture.bound_low, picture.bound_high) if b is not None]
    marks = _bounds([Mark(frame.y(b), _bound(b)) for b in bounds if frame.holds(b)])
    return Plot(
        picture=picture,
        line=_path(steps, levels, stretch.tolist()),
        dots=_dots(steps, levels) if len(steps) <= FEW else "",
        bands=tuple(_bands(frame)),
        days=tuple(Mark(frame.x(d), day_text(d)) for d in day_ticks(frame.start, frame.stop)),
        values=tuple(Mark(frame.y(t), tick_text(t, ticks)) for t in ticks),
        bounds=marks,
        baseline=_baseline(frame),
        onset=_onset(frame),
        level=_free_level(marks),
        forecast=_forecast(frame),
        lost=tuple(frame.x(us) for us in picture.time[picture.not_finite][:FEW].tolist()),
        outside=tuple(b for b in bounds if not frame.holds(b)),
    )


def _path(steps: Sequence[int], levels: Sequence[int], stretch: Sequence[int]) -> str:
    """An SVG path in relative steps, which are short; a new stretch begins with a move.

    A value alone in its stretch is a line of no length, which round ends show as a dot.
    """
    parts = [f"M{steps[0]} {levels[0]}h0"]
    for i in range(1, len(steps)):
        if stretch[i] != stretch[i - 1]:
            parts.append(f"M{steps[i]} {levels[i]}h0")
        else:
            parts.append(f"l{steps[i] - steps[i - 1]} {levels[i] - levels[i - 1]}")
    return "".join(parts)


def _dots(steps: Sequence[int], levels: Sequence[int]) -> str:
    return "".join(f"M{x} {y}h0" for x, y in zip(steps, levels, strict=True))


def _bands(frame: Frame) -> Iterator[Band]:
    """The windows as far as they hold anything: reference, analysis, and the last night in it."""
    picture = frame.picture
    split = picture.analysis_start
    if picture.reference_start is not None:
        end = int(picture.time[picture.known][-1]) if split is None else split
        yield _band("reference", frame, picture.reference_start, end)
    if split is not None:
        yield _band("analysis", frame, split, picture.as_of)
        if picture.night_start > split:
            yield _band("night", frame, picture.night_start, picture.as_of)


def _band(kind: str, frame: Frame, start: int, stop: int) -> Band:
    x = frame.x(start)
    width = round(max(frame.x(stop) - x, 0.0), 2)
    return Band(kind, x, width, kind if width >= ENOUGH and kind != "night" else "")


def _bound(value: float) -> str:
    return f"SLO bound {number(value, 3)}"


def _bounds(marks: Sequence[Mark]) -> tuple[Mark, ...]:
    """Bounds with levels for their words, which never overprint: outside of both where they fit."""
    if len(marks) < 2:
        return tuple(replace(mark, level=_above(mark) or mark.place + BELOW) for mark in marks)
    lower, upper = marks  # pixels count from the top
    top = _above(upper) or upper.place + BELOW
    bottom = lower.place + BELOW if lower.place + BELOW < HEIGHT else lower.place - ABOVE
    if bottom - top < LINE:
        top, bottom = (top, top + LINE) if top + LINE < HEIGHT else (bottom - LINE, bottom)
    return replace(lower, level=round(bottom, 1)), replace(upper, level=round(top, 1))


def _above(mark: Mark) -> float | None:
    """The level of words above a line, where there is room for them."""
    return mark.place - ABOVE if mark.place > ROOM else None


def _baseline(frame: Frame) -> Mark | None:
    base = frame.picture.baseline
    if base is None or not frame.holds(base):
        return None
    return Mark(frame.y(base), f"baseline {number(base, 3)}")


def _onset(frame: Frame) -> Mark | None:
    onset = frame.picture.onset
    if onset is None:
        return None
    return Mark(min(max(frame.x(onset), 0.0), 100.0), f"onset {day_text(onset)} {at(onset):%H:%M}")


def _free_level(bounds: Sequence[Mark]) -> float:
    """The highest line of words that no bound and none of its words crosses."""
    taken = [y for b in bounds for y in (b.place, b.level - ABOVE)]
    levels = (
        13.0,
        33.0,
        53.0,
        73.0,
        93.0,
    )  # each of two bounds and their words is near one at most
    return next(y for y in levels if all(abs(y - ABOVE - other) > 9.0 for other in taken))


def _forecast(frame: Frame) -> Interval | None:
    ahead = frame.picture.forecast
    if ahead is None:
        return None
    x, top = frame.x(ahead.start), frame.y(ahead.high)
    width, height = frame.x(ahead.time) - x, frame.y(ahead.low) - top
    return Interval(x, round(width, 2), top, round(height, 1), frame.y(ahead.value))
