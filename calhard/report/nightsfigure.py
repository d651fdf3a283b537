"""The trailing nights as a picture: verdicts, findings, incidents, compliance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from calhard.report.axis import MONTHS
from calhard.report.figures import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    SEVERITIES,
    SOFT,
    canvas,
    tidy,
)
from calhard.wording.names import display_name
from calhard.wording.words import count

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Summary = Mapping[str, Any]
VERDICTS = {
    "healthy": (GREEN, "H"),
    "needs attention": ("#e69f00", "A"),
    "unhealthy": (SEVERITIES["critical"], "U"),
    "degraded": (PURPLE, "D"),
    "nothing audited": ("#9aa3ad", "–"),
}
LINES = (
    ("regressions", "confirmed regressions", ORANGE, "o", "-"),
    ("violations", "confirmed SLO violations", BLUE, "s", "-"),
    ("warnings", "early warnings", PURPLE, "^", "--"),
    ("unconfirmed", "beyond a bound, within noise", "#9aa3ad", "v", ":"),
)
TICKS, FEWEST = 10, 7


def nights_figure(nights: Sequence[tuple[str, Summary]]) -> Figure:
    """Return the picture of some nights' summaries, by date and oldest first."""
    last, summary = nights[-1]
    fleet = display_name(str(summary["fleet"]), 40)
    first = f" since {nights[0][0]}" if len(nights) > 1 else ""
    told = f"{count(len(nights), 'night')} up to {last}{first}; nights without an audit are gaps."
    figure = canvas(8.2, f"Fleet {fleet}: violations and regressions over nights", told)
    parts = figure.subplots(4, 1, sharex=True, height_ratios=(0.35, 3, 2, 1.7))
    days = [date.fromisoformat(night).toordinal() for night, _ in nights]
    summaries = [summary for _, summary in nights]
    _verdicts(parts[0], days, summaries)
    _findings(parts[1], days, summaries)
    _incidents(parts[2], days, summaries)
    _compliance(parts[3], days, summaries)
    _dates(parts[3], days)
    return figure


def _verdicts(axes: Axes, days: Sequence[int], summaries: Sequence[Summary]) -> None:
    for day, summary in zip(days, summaries, strict=True):
        colour, letter = VERDICTS.get(str(summary["verdict"]), ("#9aa3ad", "?"))
        axes.scatter([day], [0], marker="s", s=130, color=colour)
        axes.text(
            day, 0, letter, color="white", ha="center", va="center", fontsize=8, weight="bold"
        )
    axes.set_ylim(-1, 1)
    axes.set_yticks([0], ["verdict"])
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=9, colors=SOFT, labelbottom=False)
    there = {str(summary["verdict"]) for summary in summaries}
    key = "   ".join(f"{letter} {word}" for word, (_, letter) in VERDICTS.items() if word in there)
    axes.set_title(key, loc="right", fontsize=8.5, color=SOFT)


def _findings(axes: Axes, days: Sequence[int], summaries: Sequence[Summary]) -> None:
    for name, label, colour, marker, style in LINES:
        x, y = _broken_at_gaps(days, [float(s["counts"][name]) for s in summaries])
        axes.plot(
            x,
            y,
            style,
            color=colour,
            marker=marker,
            markersize=4.5,
            label=label,
            linewidth=1.6,
            clip_on=False,
            zorder=3,
        )
    _from_zero(axes)
    axes.set_ylabel("findings", color=SOFT)
    _key(axes)
    for name, _, colour, _, _ in LINES[:2]:
        value = summaries[-1]["counts"][name]
        axes.annotate(
            f"{value:,}", (days[-1], value), (7, 0), textcoords="offset points", va="center",
            color=colour, fontsize=9, weight="bold",
        )  # fmt: skip


def _incidents(axes: Axes, days: Sequence[int], summaries: Sequence[Summary]) -> None:
    below = [0] * len(days)
    for severity, colour in SEVERITIES.items():
        heights = [int(s["severity"].get(severity, 0)) for s in summaries]
        axes.bar(
            days, heights, 0.7, bottom=below, color=colour, label=severity, edgecolor=SOFT, lw=0.4
        )
        below = [a + b for a, b in zip(below, heights, strict=True)]
    _from_zero(axes)
    axes.set_ylabel("incidents", color=SOFT)
    _key(axes)


def _compliance(axes: Axes, days: Sequence[int], summaries: Sequence[Summary]) -> None:
    rates = [s["compliance"]["rate"] for s in summaries]
    values = [float("nan") if rate is None else 100.0 * rate for rate in rates]
    goal = 100.0 * summaries[-1]["compliance"]["goal"]
    x, y = _broken_at_gaps(days, values)
    axes.plot(x, y, color=BLUE, marker="o", markersize=4.5, label="SLO compliance of seven nights")
    axes.axhline(goal, color=INK, linestyle=(0, (5, 3)), linewidth=1.0, label=f"goal {goal:g} %")
    tidy(axes)
    axes.margins(y=0.25)
    low, high = axes.get_ylim()
    axes.set_yticks([tick for tick in axes.get_yticks() if low <= tick <= 100.0])
    axes.set_ylim(low, high)
    axes.set_ylabel("%", color=SOFT)
    _key(axes)


def _broken_at_gaps(
    days: Sequence[int], values: Sequence[float]
) -> tuple[list[float], list[float]]:
    """The line's points, with a hole where a night has none before it."""
    x, y = list[float](), list[float]()
    for i, (day, value) in enumerate(zip(days, values, strict=True)):
        if i and day - days[i - 1] > 1:
            x, y = [*x, day - 0.5], [*y, float("nan")]
        x, y = [*x, float(day)], [*y, value]
    return x, y


def _from_zero(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    tidy(axes)
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_ylim(0, max(1.0, axes.get_ylim()[1]) * 1.22)


def _key(axes: Axes) -> None:
    axes.legend(
        loc="upper left", ncols=4, fontsize=8.5, frameon=False, borderaxespad=0.1, labelcolor=INK
    )


def _dates(axes: Axes, days: Sequence[int]) -> None:
    """Ticks at nights, the last one always among them, no more than have room."""
    step = -(-(days[-1] - days[0] + 1) // TICKS)
    ticks = list(range(days[-1], days[0] - 1, -step))[::-1]
    axes.set_xticks(ticks, [_day(tick) for tick in ticks])
    room = max(0.8, 0.03 * (days[-1] - days[0]))
    first = min(days[0], days[-1] - FEWEST + 1)  # a night alone is no wider than one of a week
    axes.set_xlim(first - room, days[-1] + room)


def _day(ordinal: int) -> str:
    day = date.fromordinal(ordinal)
    return f"{day.day} {MONTHS[day.month - 1]}"
