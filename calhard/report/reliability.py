"""Geometry of the two reliability diagrams of a card; the template draws them. All in pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from calhard.reliability import Cell, Diagram
from calhard.report.axis import Axis, tick_text, value_ticks
from calhard.wording.words import count

SIDE, LEFT, TOP = 210, 44, 8
"""The plotting area is a square of ``SIDE``, ``LEFT`` and ``TOP`` from the corner."""
STRIP, GAP = 34, 7
"""Height of the counts below it, and the room between them."""
WIDTH, HEIGHT = LEFT + SIDE + 10, TOP + SIDE + GAP + STRIP + 34
FLOOR = TOP + SIDE + GAP + STRIP
"""Where the counts stand on."""
MARK = 4.5
WINDOWS = {"reference": "Before", "analysis": "Now"}
"""Windows of the table ``reliability`` in the order in which they stand, and their names."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on both axes and its number."""

    x: float
    y: float
    text: str


@dataclass(frozen=True, slots=True)
class ReliabilityPlot:
    """One diagram. ``line``, ``within``, ``above`` and ``below`` are paths; the band is boxes."""

    window: str
    told: str
    verdict: str
    band: tuple[Box, ...]
    bars: tuple[Box, ...]
    ticks: tuple[Tick, ...]
    line: str
    within: str
    above: str
    below: str


@dataclass(frozen=True, slots=True)
class Frame:
    """Where scores and shares stand: both from 0 to ``reach``."""

    reach: float

    def x(self, score: float) -> float:
        """Pixels from the left."""
        return round(LEFT + SIDE * score / self.reach, 1)

    def y(self, share: float) -> float:
        """Pixels from the top."""
        return round(TOP + SIDE * (1.0 - share / self.reach), 1)


def reliability_plots(diagrams: Mapping[str, Diagram]) -> tuple[ReliabilityPlot, ...]:
    """Return the plots of a model-class's windows, the earlier first, on the same scale."""
    cells = [cell for diagram in diagrams.values() for cell in diagram.cells]
    tops = [diagram.top for diagram in diagrams.values()]
    highest = max([*tops, *(max(c.mean_label, c.band_high) for c in cells)], default=1.0)
    frame = Frame(min(highest * 1.02, 1.0))
    there = (window for window in WINDOWS if window in diagrams)
    return tuple(_plot(WINDOWS[window], diagrams[window], frame) for window in there)


def _plot(window: str, diagram: Diagram, frame: Frame) -> ReliabilityPlot:
    cells = diagram.cells
    labels = f"{count(diagram.n, 'label')} in {count(diagram.periods, 'period')}"
    sides = {side: [cell for cell in cells if cell.side == side] for side in (0, 1, -1)}
    ticks = value_ticks(Axis(0.0, frame.reach))
    return ReliabilityPlot(
        window=window,
        told=f"{diagram.span}, {labels}",
        verdict=diagram.verdict,
        band=tuple(_band(cell, frame) for cell in cells),
        bars=tuple(_bars(cells, frame)),
        ticks=tuple(Tick(frame.x(t), frame.y(t), tick_text(t, ticks)) for t in ticks),
        line=_path(cells, frame),
        within="".join(f"M{x} {y}h0" for x, y in _places(sides[0], frame)),
        above="".join(_triangle(x, y, -MARK) for x, y in _places(sides[1], frame)),
        below="".join(_triangle(x, y, MARK) for x, y in _places(sides[-1], frame)),
    )


def _places(cells: Sequence[Cell], frame: Frame) -> list[tuple[float, float]]:
    return [(frame.x(cell.mean_score), frame.y(cell.mean_label)) for cell in cells]


def _path(cells: Sequence[Cell], frame: Frame) -> str:
    steps = " ".join(f"{x} {y}" for x, y in _places(cells, frame))
    return f"M{steps}" if cells else ""


def _triangle(x: float, y: float, reach: float) -> str:
    """A filled triangle whose tip points up where ``reach`` is negative."""
    tip, base = y + reach, y - reach
    left, right = round(x - MARK, 1), round(x + MARK, 1)
    return f"M{x} {tip:.1f}L{right} {base:.1f}L{left} {base:.1f}Z"


def _band(cell: Cell, frame: Frame) -> Box:
    top, foot = frame.y(cell.band_high), frame.y(cell.band_low)
    return Box(round(frame.x(cell.mean_score) - 3.5, 1), top, 7.0, max(round(foot - top, 1), 1.0))


def _bars(cells: Sequence[Cell], frame: Frame) -> list[Box]:
    """How many labels there are; the least of them can still be seen."""
    most = max((cell.count for cell in cells), default=1)
    found = []
    for cell in cells:
        left, right = (frame.x((cell.number + i) * cell.width) for i in (0, 1))
        height = max(round(STRIP * cell.count / most, 1), 1.0)
        width = max(round(right - left - 1.0, 1), 1.0)
        found.append(Box(left, round(FLOOR - height, 1), width, height))
    return found
