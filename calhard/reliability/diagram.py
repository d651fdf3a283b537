"""A reliability diagram as a value: its cells, their consistency band, and what they say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from calhard.reliability.band import consistency_band
from calhard.reliability.pool import CELLS, Pooled

if TYPE_CHECKING:
    import pyarrow as pa

TOLERANCE = 1e-9
"""A mean label this near to its band is within it."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Labels whose scores are alike: ``low`` to ``high``, with their mean score and mean label.

    It is cell ``number`` of those of its ``width``, counted from score 0. ``count`` is how many
    labels there are, ``effective_count`` how many equal weights would scatter as much. ``band_low``
    to ``band_high`` is where the mean label would lie in 95 % of the cases if the scores were
    calibrated.
    """

    number: int
    width: float
    low: float
    high: float
    count: int
    weight: float
    mean_score: float
    mean_label: float
    effective_count: float
    band_low: float
    band_high: float

    @property
    def side(self) -> int:
        """1 above its band (more came true than the score said), −1 below it, 0 within."""
        above = self.mean_label > self.band_high + TOLERANCE
        return int(above) - int(self.mean_label < self.band_low - TOLERANCE)


@dataclass(frozen=True, slots=True)
class Diagram:
    """The reliability of one model and class over some periods.

    Attributes
    ----------
    cells : at most 15, by score; those without labels are not in it
    clamped : labels whose score lies at the calibrator's bounds
    merged : bins that were too small and joined a neighbour
    periods : how many periods are pooled
    first, last : starts of the first and of the last one; None where nothing is pooled
    """

    model_id: str
    class_id: str
    cells: tuple[Cell, ...]
    clamped: int = 0
    merged: int = 0
    periods: int = 0
    first: datetime | None = None
    last: datetime | None = None

    @classmethod
    def of_rows(cls, model_id: str, class_id: str, rows: Iterable[Mapping[str, Any]]) -> Diagram:
        """Return the diagram of one window's rows of the table ``reliability``, sorted by cell."""
        rows = list(rows)
        whole = rows[0] if rows else {}
        names = [name for name in Cell.__slots__ if name != "number"]
        return cls(
            model_id,
            class_id,
            tuple(Cell(row["cell"], *(row[name] for name in names)) for row in rows),
            sum(row["clamped"] for row in rows),
            sum(row["merged"] for row in rows),
            whole.get("periods", 0),
            whole.get("first_period"),
            whole.get("last_period"),
        )

    @property
    def top(self) -> float:
        """The score at which its last cell would end, at most 1."""
        return min(CELLS * max((cell.width for cell in self.cells), default=1.0), 1.0)

    @property
    def n(self) -> int:
        """How many labels there are."""
        return sum(cell.count for cell in self.cells)

    @property
    def outside(self) -> int:
        """How many cells lie outside of their band."""
        return sum(cell.side != 0 for cell in self.cells)

    @property
    def expected(self) -> float:
        """How many of the cells chance alone would put outside, were the scores calibrated."""
        scores, counts = (
            np.array([getattr(cell, name) for cell in self.cells], np.float64)
            for name in ("mean_score", "effective_count")
        )
        return float(consistency_band(scores, counts).chance.sum()) if self.cells else 0.0

    @property
    def distance(self) -> float:
        """Mean distance from the diagonal, weighted: Σ w·|mean score − mean label| / Σ w."""
        top = max((cell.weight for cell in self.cells), default=1.0)
        shares = [cell.weight / top for cell in self.cells]
        apart = [abs(cell.mean_score - cell.mean_label) for cell in self.cells]
        told = sum(w * d for w, d in zip(shares, apart, strict=True))
        return told / sum(shares) if shares else 0.0

    @property
    def verdict(self) -> str:
        """How many cells lie outside of the band, and how many chance would put there."""
        if not self.cells:
            return "no labels"
        cells = "1 cell" if len(self.cells) == 1 else f"{len(self.cells)} cells"
        chance = f"{self.expected:.1f} expected by chance"
        return f"{self.outside} of {cells} outside the 95% band, {chance}"

    @property
    def span(self) -> str:
        """The days of its periods, ``2026-05-25 to 2026-05-31``."""
        if self.first is None or self.last is None:
            return ""
        ends = [f"{self.first:%Y-%m-%d}", f"{self.last:%Y-%m-%d}"]
        return " to ".join(dict.fromkeys(ends))


def table_columns(pooled: Pooled) -> dict[str, Any]:
    """Return the columns of the table ``reliability`` that follow the keys, cell by cell."""
    band = consistency_band(pooled.mean_score, pooled.effective_count)
    names = ("cell", "width", "low", "high", "count", "weight", "mean_score", "mean_label")
    counts = ("effective_count", "clamped", "merged", "periods")
    return {
        **{name: getattr(pooled, name) for name in (*names, *counts)},
        "band_low": band.low,
        "band_high": band.high,
        "first_period": pooled.first.astype("datetime64[us]"),
        "last_period": pooled.last.astype("datetime64[us]"),
    }


def diagram_of(model_id: str, class_id: str, pooled: Pooled) -> Diagram:
    """Return the diagram of the cells of one group."""
    columns = {name: values.tolist() for name, values in table_columns(pooled).items()}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    for row in rows:
        row |= {name: row[name].replace(tzinfo=UTC) for name in ("first_period", "last_period")}
    return Diagram.of_rows(model_id, class_id, rows)


def diagrams_of(table: pa.Table) -> dict[tuple[str, str], dict[str, Diagram]]:
    """Return the diagrams of rows of the table ``reliability``, by model and class, and window."""
    rows: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for row in table.to_pylist():
        rows.setdefault((row["model_id"], row["class_id"], row["window"]), []).append(row)
    found: dict[tuple[str, str], dict[str, Diagram]] = {}
    for (model_id, class_id, window), own in rows.items():
        diagram = Diagram.of_rows(model_id, class_id, own)
        found.setdefault((model_id, class_id), {})[window] = diagram
    return found
