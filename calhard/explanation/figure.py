"""The picture of a series as a PNG, drawn with matplotlib (extra ``plots``)."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from calhard.errors import ConfigError
from calhard.reliability.figure import draw, title_lines
from calhard.report.picture import SeriesPicture
from calhard.wording.names import display_name
from calhard.wording.words import number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from calhard.reliability import Diagram

INCHES, TALL, DPI = (10.0, 4.5), (10.0, 10.5), 120
WINDOWS = {"reference": "Before", "analysis": "Now"}
"""Windows in the order in which their diagrams stand."""
LONGEST_TITLE, LEGEND_COLUMNS = 150, 7
MISSING = (
    "--png draws with matplotlib, which is not installed; install the extra: "
    'pip install "calhard[plots]"'
)


def png_bytes(
    picture: SeriesPicture, sentence: str = "", diagrams: Mapping[str, Diagram] | None = None
) -> bytes:
    """Return the picture as a PNG of 1,200 × 540 pixels, ``sentence`` under its title.

    ``diagrams``, the reliability of its windows by their name, make it 1,200 × 1,260: they stand
    below, the earlier one on the left.

    Raises
    ------
    ConfigError
        matplotlib is not installed; the message says how to install it.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as e:
        raise ConfigError(MISSING) from e
    figure = Figure(figsize=TALL if diagrams else INCHES, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = _with_diagrams(figure, diagrams) if diagrams else figure.add_subplot()
    _draw(axes, picture)
    names = (picture.model_id, picture.class_id, picture.metric)
    title = " / ".join(display_name(name, 40) for name in names)
    # No name may be read as a formula, which matplotlib takes between two dollars.
    figure.suptitle(title, fontsize=11, fontweight="bold", parse_math=False)
    axes.set_title(display_name(sentence, LONGEST_TITLE), fontsize=8, parse_math=False)
    told = {label: sign for part in figure.axes for sign, label in _labelled(part)}
    figure.legend(
        list(told.values()),
        list(told),
        loc="outside lower center",
        ncols=LEGEND_COLUMNS,
        fontsize=8,
        frameon=False,
    )
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _labelled(axes: Axes) -> Iterator[tuple[Any, str]]:
    """What the legend tells of a part of the figure; parts may have signs in common."""
    return zip(*axes.get_legend_handles_labels(), strict=True)


def _with_diagrams(figure: Figure, diagrams: Mapping[str, Diagram]) -> Axes:
    """Draw reliability diagrams below; return the axes above them."""
    parts = figure.subplot_mosaic(
        [["series"] * len(WINDOWS), list(WINDOWS), [f"{w} counts" for w in WINDOWS]],
        height_ratios=[4.5, 4.5, 1.0],
    )
    for window, word in WINDOWS.items():
        upper, lower = parts[window], parts[f"{window} counts"]
        diagram = diagrams.get(window)
        if diagram is None:
            upper.set_axis_off()
            lower.set_axis_off()
            continue
        draw(upper, lower, diagram)
        first, second = title_lines(diagram)
        upper.set_title(f"{word}: {first}\n{second}", fontsize=8, parse_math=False)
    return parts["series"]


def _draw(axes: Axes, picture: SeriesPicture) -> None:
    _windows(axes, picture)
    known = picture.known
    value = picture.value[known]
    time = _dates(picture.time[known])
    for place, stretch in enumerate(np.unique(picture.stretches)):
        rows = np.flatnonzero(picture.stretches == stretch)
        label = "value" if place == 0 else None
        alone = "." if len(rows) == 1 else ""
        axes.plot(time[rows], value[rows], color="#1f4e79", lw=0.9, marker=alone, label=label)
    bad = _dates(picture.time[picture.not_finite])
    if len(bad):
        floor = np.full(len(bad), value.min() if len(value) else 0.0)
        axes.plot(bad, floor, "x", color="#b00020", ms=5, label="not finite")
    _lines(axes, picture)
    _time_axis(axes)
    axes.set_ylabel(display_name(picture.metric, 40), parse_math=False)
    axes.set_xlabel("UTC", fontsize=8)
    axes.grid(visible=True, alpha=0.25)


def _time_axis(axes: Axes) -> None:
    """Dates that never run into each other."""
    locator = _calendar().AutoDateLocator(maxticks=10)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(_calendar().ConciseDateFormatter(locator))


def _windows(axes: Axes, picture: SeriesPicture) -> None:
    """Shade what is judged; what it is compared with stays plain."""
    if picture.analysis_start is None:
        return
    start, stop = picture.analysis_start, picture.as_of
    axes.axvspan(_date(start), _date(stop), color="#1f4e79", alpha=0.08, label="now (judged)")


def _lines(axes: Axes, picture: SeriesPicture) -> None:
    if picture.baseline is not None:
        axes.axhline(picture.baseline, color="#777777", lw=0.8, ls="--", label="baseline")
    bounds = [b for b in (picture.bound_low, picture.bound_high) if b is not None]
    for place, bound in enumerate(bounds):
        told = f"SLO bound {' and '.join(number(b) for b in bounds)}"
        axes.axhline(bound, color="#b00020", lw=1.0, ls=":", label=told if place == 0 else None)
    if picture.onset is not None:
        axes.axvline(_date(picture.onset), color="#8e24aa", lw=1.3, label="onset")
    ahead = picture.forecast
    if ahead is not None:
        error = [[ahead.value - ahead.low], [ahead.high - ahead.value]]
        told = "forecast, 95% interval"
        axes.errorbar(
            [_date(ahead.time)],
            [ahead.value],
            yerr=error,
            fmt="o",
            ms=4,
            color="#00796b",
            capsize=3,
            label=told,
        )


def _calendar() -> Any:
    """Dates of matplotlib; it ships no types for them."""
    from matplotlib import dates

    return dates


def _dates(us: NDArray[np.int64]) -> NDArray[np.float64]:
    """Instants in matplotlib's own days."""
    return np.asarray(_calendar().date2num(us.astype("datetime64[us]")), np.float64)


def _date(us: int) -> float:
    return float(_dates(np.array([us]))[0])
