"""A reliability diagram as a PNG or an SVG, drawn with matplotlib (extra ``plots``)."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from warnings import catch_warnings, filterwarnings

from calhard.errors import ConfigError
from calhard.reliability.diagram import Cell, Diagram
from calhard.wording.names import display_name
from calhard.wording.words import count, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INCHES, DPI = (6.4, 7.2), 120
MISSING = (
    "a reliability diagram is drawn with matplotlib, which is not installed; install the extra: "
    'pip install "calhard[plots]"'
)
WITHIN, OUTSIDE, BAND = "#1f4e79", "#d55e00", "#9ecae1"
MARKERS = {0: "o", 1: "^", -1: "v"}
"""Shapes tell the side of the band as the colours do, for those who do not see these."""
LOG_FROM = 50.0
"""Counts that differ by more than this factor are shown on a logarithmic scale."""
LARGEST_MARK, LEAST_MARK = 90.0, 22.0


def plot_reliability(diagram: Diagram, path: str | os.PathLike[str]) -> None:
    """Write the picture of a diagram; the suffix of ``path`` says whether as PNG or as SVG.

    The same diagram gives the same bytes with the same matplotlib.

    Raises
    ------
    ConfigError
        Another suffix, or matplotlib is not installed; the message says how to install it.
    """
    kind = check_suffix(path)
    Path(path).write_bytes(picture_bytes(diagram, kind))


def check_suffix(path: str | os.PathLike[str]) -> str:
    """Return ``png`` or ``svg``, what a picture's name says that it is.

    Raises
    ------
    ConfigError
        It says something else.
    """
    target = Path(path)
    kind = target.suffix.lower().removeprefix(".")
    if kind not in {"png", "svg"}:
        told = display_name(target.name, 100)
        raise ConfigError(f"{told}: a diagram is a .png or an .svg; name the file reliability.png")
    return kind


def check_drawable(path: str | os.PathLike[str]) -> None:
    """Refuse what cannot become a picture, before there is anything to draw.

    Raises
    ------
    ConfigError
        Another suffix than .png or .svg, no such folder, or no matplotlib.
    """
    check_suffix(path)
    folder = Path(path).absolute().parent
    if not folder.is_dir():
        raise ConfigError(f"{display_name(str(folder), 200)}: no such folder for a diagram")
    if find_spec("matplotlib") is None:
        raise ConfigError(MISSING)


def picture_bytes(diagram: Diagram, kind: str = "png") -> bytes:
    """Return the picture of a diagram as ``png`` (768 × 864 pixels) or ``svg``.

    Raises
    ------
    ConfigError
        matplotlib is not installed; the message says how to install it.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as e:
        raise ConfigError(MISSING) from e
    figure = Figure(figsize=INCHES, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    names = " / ".join(display_name(n, 40) for n in (diagram.model_id, diagram.class_id))
    # No name may be read as a formula, which matplotlib takes between two dollars.
    figure.suptitle(names, fontsize=11, fontweight="bold", parse_math=False)
    draw(upper, lower, diagram)
    upper.set_title("\n".join(title_lines(diagram)), fontsize=8, parse_math=False)
    figure.legend(loc="outside lower center", ncols=5, fontsize=8, frameon=False)
    buffer = io.BytesIO()
    # The salt names the parts of an SVG, which is random otherwise; a date would be the clock's.
    with rc_context({"svg.hashsalt": "calhard", "svg.fonttype": "path"}), catch_warnings():
        filterwarnings("ignore", "Glyph")  # a name's letter that no font has becomes a box
        nothing = {"Date": None} if kind == "svg" else None
        figure.savefig(buffer, format=kind, metadata=nothing)
    return buffer.getvalue()


def title_lines(diagram: Diagram) -> list[str]:
    """Return what stands over a diagram: its periods and labels, metrics, and its verdict."""
    span = f"{diagram.span}, " if diagram.span else ""
    first = f"{span}{count(diagram.periods, 'period')}, {count(diagram.n, 'label')}"
    return [f"{first}, {number(diagram.distance, 2)} off on average", diagram.verdict]


def draw(upper: Axes, lower: Axes, diagram: Diagram, *, labelled: bool = True) -> None:
    """Draw the cells into one pair of axes, and their counts into the one below."""
    upper.plot(
        [0, 1],
        [0, 1],
        color="#777777",
        lw=0.9,
        ls="--",
        zorder=2.5,
        label=_if(labelled, "calibrated"),
    )
    _band(upper, diagram.cells, labelled=labelled)
    _points(upper, diagram.cells, labelled=labelled)
    top = diagram.top
    tallest = max((max(cell.mean_label, cell.band_high) for cell in diagram.cells), default=top)
    for axes in (upper, lower):
        axes.set_xlim(-0.01 * top, 1.01 * top)
    upper.set_ylim(-0.02 * max(tallest, top), 1.02 * max(tallest, top))
    upper.set_ylabel("share that came true")
    upper.grid(visible=True, alpha=0.25)
    upper.set_axisbelow(True)
    _counts(lower, diagram.cells)


def _if(wanted: bool, label: str) -> str | None:
    return label if wanted else None


def _band(axes: Axes, cells: Sequence[Cell], *, labelled: bool) -> None:
    for place, cell in enumerate(cells):
        label = _if(labelled and place == 0, "95% consistency band")
        axes.plot(
            [cell.mean_score] * 2,
            [cell.band_low, cell.band_high],
            color=BAND,
            lw=9,
            solid_capstyle="butt",
            label=label,
            zorder=2,
        )


def _points(axes: Axes, cells: Sequence[Cell], *, labelled: bool) -> None:
    most = max((cell.count for cell in cells), default=1)
    looks = {0: ("within the band", WITHIN), 1: ("above it", OUTSIDE), -1: ("below it", OUTSIDE)}
    score = [cell.mean_score for cell in cells]
    axes.plot(score, [cell.mean_label for cell in cells], color="#555555", lw=0.8, zorder=3)
    for side, (label, colour) in looks.items():
        mine = [cell for cell in cells if cell.side == side]
        if not mine:
            continue
        axes.scatter(
            [cell.mean_score for cell in mine],
            [cell.mean_label for cell in mine],
            s=[max(LARGEST_MARK * cell.count / most, LEAST_MARK) for cell in mine],
            marker=MARKERS[side],
            color=colour,
            edgecolor="white",
            linewidth=0.7,
            label=_if(labelled, label),
            zorder=4,
        )


def _counts(axes: Axes, cells: Sequence[Cell]) -> None:
    """Bars of how many labels there are, as wide as the cells."""
    left = [cell.number * cell.width for cell in cells]
    width = [cell.width for cell in cells]
    counts = [cell.count for cell in cells]
    axes.bar(left, counts, width=width, align="edge", color=WITHIN, alpha=0.6, ec="white")
    spread = max(counts, default=1) / min(counts, default=1)
    if spread > LOG_FROM:
        axes.set_yscale("log")
    axes.set_ylabel("labels (log)" if spread > LOG_FROM else "labels")
    axes.set_xlabel("score")
    axes.grid(visible=True, axis="y", alpha=0.25)
    axes.set_axisbelow(True)
    _thousands(axes)


def _thousands(axes: Any) -> None:
    """Counts with commas instead of powers of ten."""
    from matplotlib.ticker import FuncFormatter

    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
