"""Pinned baselines: values that were agreed on, which drift is measured against."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from calhard.schema import coverage_row

Floats = NDArray[np.float64]

PINNED, REFERENCE = "pinned", "reference"
"""What `schema.EVIDENCE` calls the two sources of a baseline."""
ERROR_SUFFIX = "_standard_error"
UNIT = "baseline"


@dataclass(frozen=True, slots=True)
class Pin:
    """One metric's pinned values for S series, and their standard errors; both of shape (S,).

    ``value`` is NaN where nothing is pinned; ``error`` is 0 where none is known.
    """

    value: Floats
    error: Floats

    def take(self, rows: NDArray[np.int64]) -> Pin:
        """Return the pins of some of the series."""
        return Pin(self.value[rows], self.error[rows])


@dataclass(frozen=True, slots=True, eq=False)
class PinnedBaselines:
    """All pinned values of a fleet: one row per (model, class).

    Attributes
    ----------
    table : pa.Table
        ``model_id`` and ``class_id`` (string), by which it is sorted and unique; for every metric
        in ``metrics`` its value (float64, NaN: not pinned) and ``<metric>_standard_error``
        (float64, 0: none known).
    metrics : tuple of str
    sha256 : str
        Hash of the file's bytes, as ``sha256sum`` prints it.
    duplicates : int
        Rows of the file that repeated another one.
    """

    table: pa.Table
    metrics: tuple[str, ...]
    sha256: str
    duplicates: int = 0

    def of(self, models: Sequence[str], classes: Sequence[str]) -> Mapping[str, Pin]:
        """Return the pins of some groups, by metric; each of shape (G,).

        Only the rows between the first and the last of the models are looked at, so that a
        worker's memory does not grow with the file beyond the table itself.
        """
        if not len(models):
            return {}
        part = self._between(min(models), max(models))
        place = {key: row for row, key in enumerate(_keys(part))}
        rows = np.array([place.get(key, -1) for key in zip(models, classes, strict=True)], np.int64)
        return {metric: self._pin(part, metric, rows) for metric in self.metrics}

    def _between(self, first: str, last: str) -> pa.Table:
        names, rows = self.table["model_id"], range(self.table.num_rows)
        begin = bisect_left(rows, first, key=lambda row: names[row].as_py())
        end = bisect_right(rows, last, key=lambda row: names[row].as_py())
        return self.table.slice(begin, end - begin)

    def _pin(self, part: pa.Table, metric: str, rows: NDArray[np.int64]) -> Pin:
        value = np.append(part[metric].to_numpy(), np.nan)
        error = np.append(part[metric + ERROR_SUFFIX].to_numpy(), 0.0)
        return Pin(value[rows], error[rows])  # row −1 is the one appended

    def coverage(self, groups: pa.Table) -> list[dict[str, object]]:
        """Return rows of the coverage table: which pins found a model-class of the history."""
        keys = ["model_id", "class_id"]
        lost = self.table.select(keys).join(groups.select(keys), keys, join_type="left anti")
        found = [coverage_row(UNIT, "audited", "", self.table.num_rows - lost.num_rows)]
        if self.duplicates:
            found.append(coverage_row(UNIT, "duplicate", "same model and class", self.duplicates))
        if lost.num_rows:
            model, class_ = min(_keys(lost))
            reason = "pinned, but the history has no such model and class"
            remedy = "check the names, or take the row out of the baseline"
            example = f"{model} / {class_}"
            found.append(coverage_row(UNIT, "missing", reason, lost.num_rows, example, remedy))
        return found


def _keys(table: pa.Table) -> list[tuple[str, str]]:
    return list(zip(table["model_id"].to_pylist(), table["class_id"].to_pylist(), strict=True))
