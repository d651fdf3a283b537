"""The reliability of both windows in words and as a table: what share of the labels came true."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from calhard.reliability import Cell, Diagram
from calhard.wording.words import count, number

if TYPE_CHECKING:
    from calhard.explanation.facts import SeriesFacts

WINDOWS = {"analysis": "Now", "reference": "Before"}
"""Windows of the table ``reliability`` as an explanation calls them, in its order."""
ABOUT_SCORES = frozenset(
    {
        *("aece", "dece", "ece_debiased", "aece_minus_tau", "alpha", "intercept"),
        *("brier", "reliability", "resolution", "clamp_rate", "merged_bin_rate"),
        *("smooth_ece", "ecce_mad", "ecce_kuiper", "ecce_p", "spiegelhalter_z", "spiegelhalter_p"),
        *("mean_score", "mean_label"),
    }
)
"""Metrics of how scores and labels agree, to which a diagram has something to say."""
HEADINGS = ("scores", "labels", "mean", "came true", "95% band", "")
SIDES = {1: "above", 0: "", -1: "below"}


def came_true(facts: SeriesFacts) -> list[str]:
    """What share of the labels came true, score by score, in both windows."""
    if facts.metric not in ABOUT_SCORES:
        return []
    lines: list[str] = []
    for window, word in WINDOWS.items():
        diagram = facts.reliability.get(window)
        if diagram is not None:
            lines += [f"{word}: {summary(diagram)}", *table_lines(diagram.cells)]
    return lines


def summary(diagram: Diagram) -> str:
    """Return how many labels a diagram has, how far they lie from their scores, and the verdict."""
    labels = f"{count(diagram.n, 'label')} in {count(diagram.periods, 'period')}"
    return f"{labels}, on average {number(diagram.distance, 2)} off; {diagram.verdict}"


def table_lines(cells: Sequence[Cell]) -> list[str]:
    """Return a table of cells as lines of text, headings first."""
    rows = [HEADINGS, *(_row(cell) for cell in cells)]
    wide = [max(len(row[i]) for row in rows) for i in range(len(HEADINGS))]
    return [_line(row, wide) for row in rows]


def _line(row: Sequence[str], wide: Sequence[int]) -> str:
    first, *numbers, band, side = row
    middle = (f"{cell:>{w}}" for cell, w in zip(numbers, wide[1:4], strict=True))
    parts = [f"{first:<{wide[0]}}", *middle, f"{band:<{wide[4]}} {side}"]
    return "  ".join(parts).rstrip()


def _row(cell: Cell) -> tuple[str, ...]:
    return (
        f"{number(cell.low, 2)} to {number(cell.high, 2)}",
        f"{cell.count:,}",
        number(cell.mean_score, 2),
        number(cell.mean_label, 3),
        f"{number(cell.band_low, 2)} to {number(cell.band_high, 2)}",
        SIDES[cell.side],
    )
