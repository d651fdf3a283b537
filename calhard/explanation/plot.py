"""The picture of a series drawn with characters, for a terminal."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from textwrap import wrap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calhard.explanation.phrases import minute
from calhard.report.picture import SeriesPicture, thinned
from calhard.schema import MICROSECONDS_PER_DAY
from calhard.wording.words import number

Floats = NDArray[np.float64]

HEIGHT = 18
NARROWEST, WIDEST = 40, 200
REACH = 2.0
"""A bound further from the values than this many of their ranges is named and not drawn."""
TICKS = 6
ASCII = str.maketrans(
    "─┈━═│┊┃║┌┐└┘├┤┬┴┼╪╫┿╂╋╞╡╤╧╬╠╣╦╩┝┥┯┷┠┨┰┸┣┫┳┻┏┓┗┛╔╗╚╝±",
    "---=|:!!+++++++++++++++++++++++++++++++++++++++++++~",
)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_BACKGROUND = re.compile(r"\x1b\[48;[0-9;]*m")


def plot_text(
    picture: SeriesPicture, width: int = 80, *, ascii_only: bool = False, colours: bool = False
) -> str:
    """Return a plot of ``width`` columns, a legend below it; a sentence where nothing was kept.

    ``ascii_only`` keeps to ASCII, without ``colours`` there is no escape code in it.
    """
    if not picture.known.any():
        return "No values of this series were kept: there is nothing to plot."
    canvas = _Canvas(picture, min(max(width, NARROWEST), WIDEST), ascii_only=ascii_only)
    drawn = canvas.drawn()
    text = "\n".join(line.rstrip() for line in _clean(drawn, colours=colours).split("\n"))
    legend = wrap("   ".join(part.replace(" ", "\0") for part in canvas.legend), width)
    whole = "\n".join([text.rstrip(), *(line.replace("\0", " ") for line in legend)])
    return whole.translate(ASCII) if ascii_only else whole


def _clean(text: str, *, colours: bool) -> str:
    """Plotext's text without colours, or without its backgrounds, which are made for white ones."""
    return _BACKGROUND.sub("", text) if colours else _COLOURS.sub("", text)


class _Canvas:
    """One plot while it is drawn; x is days after the audit's moment."""

    def __init__(self, picture: SeriesPicture, width: int, *, ascii_only: bool) -> None:
        import plotext

        self.picture = picture
        self.marker = "*" if ascii_only else "hd"
        self.legend: list[str] = []
        self._plotext: Any = plotext
        self._figure: Any = plotext.figure
        self._width = width

    def drawn(self) -> str:
        """Draw everything; return the plot with colours."""
        figure = self._figure
        figure.clear()
        figure.theme("colorless")
        figure.canvas("default")
        self._plotext.terminal.limit(False, False)
        figure.plot_size(self._width, HEIGHT)
        low, high = self._limits()
        figure.ruler("y").lim(low, high)
        self._x_axis()
        self._bounds(low, high)
        self._windows()
        self._values(low)
        self._forecast()
        text = str(figure.build())
        figure.clear()
        return text

    def _days(self, instant: float) -> float:
        return (instant - self.picture.as_of) / MICROSECONDS_PER_DAY

    def _limits(self) -> tuple[float, float]:
        """Lowest and highest value to be shown, with a bound where it is near."""
        shown = self.picture.value[self.picture.known].tolist()
        if self.picture.forecast is not None:
            shown += [self.picture.forecast.low, self.picture.forecast.high]
        low, high = min(shown), max(shown)
        span = high - low
        for bound in (self.picture.bound_low, self.picture.bound_high):
            if bound is not None and low - REACH * span <= bound <= high + REACH * span:
                low, high = min(low, bound), max(high, bound)
        margin = 0.04 * (high - low) or 0.1 * abs(high) or 1.0
        return low - margin, high + margin

    def _x_axis(self) -> None:
        first = self._days(int(self.picture.time[self.picture.known][0]))
        last = self._days(int(self.picture.time[-1]))
        if self.picture.forecast is not None:
            last = max(last, self._days(self.picture.forecast.time))
        last = max(last, 0.0)
        ticks = np.linspace(first, last, TICKS).tolist()
        labels = [f"{_instant(self.picture.as_of + d * MICROSECONDS_PER_DAY):%m-%d}" for d in ticks]
        self._figure.ruler("x").lim(first, last)
        self._figure.ruler("x").ticks(ticks, labels)

    def _bounds(self, low: float, high: float) -> None:
        drawn = []
        for bound, place in ((self.picture.bound_high, "above"), (self.picture.bound_low, "below")):
            if bound is None:
                continue
            inside = low <= bound <= high
            drawn.append(f"{number(bound)}{'' if inside else f' ({place} the plot)'}")
            if inside:
                self._figure.line(bound, "h", style="dotted", pixel="red")
        if drawn:
            self.legend.append(f"┈ SLO bound {' and '.join(drawn)}")

    def _windows(self) -> None:
        start, onset = self.picture.analysis_start, self.picture.onset
        if start is not None:
            self._figure.line(self._days(start), "v", style="dotted", pixel="blue")
            self.legend.append(f"┊ Now begins {_short(start)}")
        if onset is not None:
            self._figure.line(self._days(onset), "v", style="heavy", pixel="magenta")
            self.legend.append(f"┃ onset {_short(onset)}")

    def _values(self, low: float) -> None:
        time, value, _ = thinned(self.picture, 6 * self._width)
        self._points(time, value, self.marker, "default")
        bad = self.picture.time[self.picture.not_finite]
        if len(bad):
            self._points(bad, np.full(len(bad), low), "x", "red")
            self.legend.append("x not finite")

    def _points(self, time: NDArray[np.int64], value: Floats, symbol: str, colour: str) -> None:
        days = ((time - self.picture.as_of) / MICROSECONDS_PER_DAY).tolist()
        marker = self._plotext.marker(symbol, colour)
        self._figure.draw(self._figure.signal(days, value.tolist(), marker=marker))

    def _forecast(self) -> None:
        ahead = self.picture.forecast
        if ahead is None:
            return
        at = np.full(9, ahead.time)
        self._points(at, np.linspace(ahead.low, ahead.high, 9), "I", "cyan")
        self._points(at[:1], np.array([ahead.value]), "o", "cyan")
        self.legend.append("o forecast with its 95% interval I")


def _instant(us: float) -> datetime:
    return datetime.fromtimestamp(us / 1e6, tz=UTC)


def _short(us: int) -> str:
    return minute(_instant(us))[5:]
