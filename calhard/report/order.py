"""The order in which reports list findings: the most urgent first, then by key."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Ranks = NDArray[np.float64]

SCALES: dict[str, dict[str, tuple[str, ...]]] = {
    "violations": {
        "verdict": ("violated", "unconfirmed"),
        "direction": ("worse", "better"),
        "severity": ("critical", "high", "medium", "low"),
    },
    "regressions": {"severity": ("critical", "severe", "moderate", "minor")},
    "warnings": {"warning_level": ("red", "orange", "yellow")},
}
"""Columns by which a table is ranked, the first one decides; each from the worst on."""


def ranked(name: str, table: pa.Table) -> pa.Table:
    """Return a night's table by urgency; rows of one rank keep their order."""
    keys = [
        _rank(table[column].to_pylist(), scale) for column, scale in SCALES.get(name, {}).items()
    ]
    if name == "warnings":
        keys.append(-np.asarray(table["risk"].to_numpy(), np.float64))
    if not keys or not table.num_rows:
        return table
    return table.take(np.lexsort(keys[::-1]))


def _rank(words: list[str], scale: tuple[str, ...]) -> Ranks:
    place = {word: i for i, word in enumerate(scale)}
    return np.array([place[word] for word in words], np.float64)
