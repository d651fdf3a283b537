"""What the figures of a night have in common: canvas, colours, fonts. Drawn with matplotlib."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from warnings import catch_warnings, filterwarnings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI, WIDE = 120, 11.0
INK, SOFT, GRID = "#1b1f24", "#57606a", "#d5dae0"
BLUE, ORANGE, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#8c6bb1"
"""Colours that people tell apart who do not see all of them (Okabe and Ito); shapes differ too."""
SEVERITIES = {
    "critical": "#6b0f1a",
    "severe": "#c8401c",
    "moderate": "#f29b4b",
    "minor": "#fbdcae",
}
"""From dark to light: told apart in grey as well."""


def can_draw() -> bool:
    """Return whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def canvas(height: float, title: str, told: str) -> Figure:
    """Return an empty figure of a height in inches, with a title and a sentence below it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDE, height), dpi=DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    # No name may be read as a formula, which matplotlib takes between two dollars.
    text = f"{title}\n"
    figure.suptitle(
        text,
        x=0.01,
        ha="left",
        fontsize=14,
        fontweight="bold",
        color=INK,
        parse_math=False,
        linespacing=1.7,
    )
    figure.text(0.01, 1.0 - 0.45 / height, told, va="top", color=SOFT, fontsize=9, parse_math=False)
    return figure


def tidy(axes: Axes, *, grid: str | None = "y") -> None:
    """Take away all lines of a part that tell nothing."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GRID)
    axes.tick_params(colors=SOFT, labelsize=9, length=0)
    axes.set_axisbelow(True)
    if grid is not None:
        axes.grid(axis="y" if grid == "y" else "x", color=GRID, linewidth=0.6)


def save(figure: Figure, file: Path) -> None:
    """Write a figure as PNG; the same figure gives the same bytes with the same matplotlib."""
    with catch_warnings():
        filterwarnings("ignore", "Glyph")  # a name's letter that no font has becomes a box
        figure.savefig(file, format="png", metadata={"Software": None})
