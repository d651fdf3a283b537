"""Whether the night's tests are sound, as a picture: inflation factors and p-values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from calhard.report.exhibits import P_BINS
from calhard.report.figures import BLUE, INK, SOFT, canvas, tidy
from calhard.schema import HEADS
from calhard.wording.names import display_name
from calhard.wording.words import count

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

Summary = Mapping[str, Any]
FAMILIES, HISTOGRAMS, COLUMNS = 14, 12, 4
FULL_COLOUR = 4.0
"""A factor from which on the colour stays the same."""
CAP = 2.0


def soundness_figure(summary: Summary) -> Figure:
    """Return the picture of a night's inflation factors λ and of its p-values."""
    families = _families(summary["lambda"])
    counts = {n: told["p_values"] for n, told in summary.get("metrics", {}).items()}
    shown = [name for name, bars in counts.items() if sum(bars)][:HISTOGRAMS]
    rows = -(-len(shown) // COLUMNS)
    heights = (1.0 + 0.3 * max(len(families), 1), 0.5 + 1.9 * max(rows, 1))
    fleet = display_name(str(summary["fleet"]), 40)
    figure = canvas(1.0 + sum(heights), f"Fleet {fleet}: are the tests sound?", _told(summary))
    parts: Any = figure.subfigures(2, 1, height_ratios=heights, squeeze=False)
    above, below = parts[:, 0]
    _factors(above, families)
    _histograms(below, {name: counts[name] for name in shown}, rows)
    return figure


def _told(summary: Summary) -> str:
    worst = max(summary["lambda"].values(), default=1.0)
    if worst <= CAP:
        return f"The largest inflation factor λ is {worst:.3g}: chance explains the tests' spread."
    return (
        f"The largest inflation factor λ is {worst:.3g}, above {CAP:g}: more is off in its family "
        "than chance explains."
    )


def _families(factors: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Raw λ by metric and cadence, then head; the largest first."""
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for name, value in factors.items():
        metric, cadence, head = name.rsplit("/", 2)
        found[f"{display_name(metric, 30)}, {cadence}"][head] = value
    ranked = sorted(found.items(), key=lambda item: (-max(item[1].values()), item[0]))
    return dict(ranked[:FAMILIES])


def _factors(part: SubFigure, families: Mapping[str, Mapping[str, float]]) -> None:
    axes = part.subplots()
    axes.set_title("Inflation factor λ by family and head", loc="left", fontsize=10, color=INK)
    axes.spines[:].set_visible(False)
    if not families:
        axes.set(xticks=[], yticks=[])
        axes.text(0, 0.5, "No family of at least 100 series has a λ above 1.", color=SOFT)
        return
    cells = [[told.get(head, 1.0) for head in HEADS] for told in families.values()]
    axes.pcolormesh(
        cells, cmap="Blues", vmin=0.8, vmax=FULL_COLOUR, edgecolors="white", linewidth=1.5
    )
    axes.invert_yaxis()
    for y, row in enumerate(cells):
        for x, value in enumerate(row):
            ink = "white" if value > 0.55 * FULL_COLOUR else INK
            text = f"{value:.2f}" if value > 1.0 else "1"
            axes.text(x + 0.5, y + 0.5, text, ha="center", va="center", color=ink, fontsize=8)
    axes.set_xticks([x + 0.5 for x in range(len(HEADS))], HEADS)
    axes.set_yticks([y + 0.5 for y in range(len(families))], list(families))
    for label in axes.get_yticklabels():
        label.set_parse_math(False)
    axes.tick_params(length=0, labelsize=8.5, colors=INK)


def _histograms(part: SubFigure, counts: Mapping[str, list[int]], rows: int) -> None:
    if not counts:
        part.text(0.02, 0.6, "No p-value was computed.", color=SOFT)
        return
    part.suptitle(
        "p-values of the level test: flat at the dashed line where nothing has changed",
        x=0.01, ha="left", fontsize=10, color=INK,
    )  # fmt: skip
    grid = part.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axes, (metric, bars) in zip(grid, counts.items(), strict=False):
        _histogram(axes, metric, bars)
    for axes in grid[len(counts) :]:
        axes.axis("off")


def _histogram(axes: Axes, metric: str, bars: list[int]) -> None:
    total = sum(bars)
    axes.bar(
        [(i + 0.5) / P_BINS for i in range(P_BINS)], bars, 0.9 / P_BINS, color=BLUE, alpha=0.75
    )
    axes.axhline(total / P_BINS, color=INK, linestyle=(0, (4, 3)), linewidth=1.0)
    told = f"{display_name(metric, 26)}\n{count(total, 'series', 'series')}, {bars[0]:,} below 0.05"
    axes.set_title(told, loc="left", fontsize=8.5, color=INK, parse_math=False)
    tidy(axes)
    axes.tick_params(labelsize=8)
    axes.set(xlim=(0, 1), xticks=[0, 0.5, 1])
    axes.locator_params(axis="y", nbins=3)
