"""Accumulators by name: flat float columns, one value per series, that travel and are stored."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from calhard.schema import HEADS
from calhard_kernels._array import Array
from calhard_kernels.moments import Moments

Columns = dict[str, Array]
"""Accumulators of S series: name to float64, shape (S,); NaN where a series has none."""

SHORT = 24
"""Analysis windows with fewer slots have no variance or spectrum of their own."""
FLAT_SLOTS = 24
"""A source that repeats one value is stuck after at least so many slots."""
RECENT = (1, 2, 3, 5, 7)
"""Last slots whose mean the level head tests in a short window."""
LEAST_SPREAD = 3
"""Fewer values have no spread worth naming."""
NIGHTS = 7
"""Nights of the analysis window, 0 the last one."""

_MOMENTS = ("shift", "offset", "squares", "cross")


def pack(prefix: str, found: Moments) -> Columns:
    """Return moments as four columns; their n is a column of its own."""
    return {f"{prefix}_{name}": getattr(found, name) for name in _MOMENTS}


def unpack(columns: Columns, prefix: str, n: Array) -> Moments:
    """Return the moments that `pack` stored under ``prefix``, of ``n`` values each."""
    return Moments(n, *(columns[f"{prefix}_{name}"] for name in _MOMENTS))


def _moments(*prefixes: str) -> tuple[str, ...]:
    return tuple(f"{prefix}_{name}" for prefix in prefixes for name in _MOMENTS)


_ALWAYS = (
    "tested",
    "cadence",
    "spacing",
    "spacing_raw",
    "pause",
    "conflicting",
    "n_reference",
    "n_analysis",
    "n_night",
    "n_missing",
    "bad_reference",
    "bad_analysis",
    "total_week",
    "first_bad_day",
    "last_value",
    "last_day",
    "sent_day",
    "reference_day",
    "analysis_day",
    "reference_median",
    "closing_run",
    "reference_run",
    *_moments("raw_a", "raw_b", "level_a", "level_b", "share_a", "share_b"),
    "closing_10",
    "closing",
    "alike",
    *(f"recent_{kind}{k}" for kind in ("", "raw_") for k in RECENT),
    *(f"{kind}_{side}" for side in "ab" for kind in ("mean", "kish", "labels")),
    *(f"night_{kind}_{k}" for k in range(NIGHTS) for kind in ("mean", "kish", "labels")),
    "labels_week",
    "labels_night",
)
_BY_HEAD = {
    "level": (),
    "scan": (
        *_moments("scan_a", "scan_b"),
        "scan_n_a",
        "scan_n_b",
        "scan_found",
        "scan_day",
        "scan_change",
    ),
    "slope": (
        *_moments("slope_residual"),
        "slope_level",
        "slope",
        "slope_centre",
        "slope_time_squares",
        "slope_total",
        "slope_curvature",
        "slope_last",
        "slope_first_day",
        "slope_last_day",
        "volatility",
    ),
    "variance": (
        *_moments("spread_a", "spread_b"),
        "spread_iqr_a",
        "spread_iqr_b",
        "spread_iqr_half",
    ),
    "oscillation": ("cycle_p", "cycle_period", "cycle_amplitude", "cycle_before", "cycle_half"),
}


def accumulators(heads: frozenset[str]) -> tuple[str, ...]:
    """Return the names of all columns that an assessment with these heads stores, in order."""
    return _ALWAYS + tuple(name for head in HEADS if head in heads for name in _BY_HEAD[head])


def to_batch(columns: Columns, strings: dict[str, list[str]] | None = None) -> pa.RecordBatch:
    """Return numeric columns (and columns of strings) as a record batch."""
    fields = {name: pa.array(np.ascontiguousarray(values)) for name, values in columns.items()}
    for name, values in (strings or {}).items():
        fields[name] = pa.array(values, pa.string())
    return pa.RecordBatch.from_pydict(fields)


def to_columns(batch: pa.RecordBatch) -> Columns:
    """Return a batch's numeric columns as arrays."""
    return {
        field.name: batch.column(i).to_numpy(zero_copy_only=True)
        for i, field in enumerate(batch.schema)
        if not pa.types.is_string(field.type)
    }
