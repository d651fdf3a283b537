"""What a night's evidence pins: the means of its windows, and how sure they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from calhard.judge.pinned import ERROR_SUFFIX, REFERENCE
from calhard.plan.globs import matched
from calhard_kernels.effective import variance_inflation

KEYS = ["model_id", "class_id"]
Window = Literal["reference", "analysis"]
Floats = NDArray[np.float64]
_WEIGHTED = {"reference": "baseline_value", "analysis": "week_value"}
"""The means that the SLO compares, weighted by labels."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which series of a night are pinned, and by which of its windows.

    Parameters
    ----------
    window : ``reference``, what was normal, or ``analysis``, what was judged
    models, classes : globs
    metrics : names
    """

    window: Window
    metrics: tuple[str, ...]
    models: tuple[str, ...] = ("*",)
    classes: tuple[str, ...] = ("*",)


def values_of(evidence: Path, chosen: Selection) -> pa.Table:
    """Return the rows that a night's evidence pins: one per model and class, sorted.

    The value is the window's mean, weighted by labels where the SLO compares that one. Its
    standard error is s √(VIF(φ, n)/n) with s² = S/(n − VIF), of the window's n slots: as the
    audit has it for equal weights. Series that could not be audited pin nothing.

    Parameters
    ----------
    evidence : the night's ``evidence.parquet``
    """
    table = _read(evidence, chosen)
    parts = (
        _metric(table.filter(pc.equal(table["metric"], name)), name, chosen)
        for name in chosen.metrics
    )
    there = [part for part in parts if part.num_rows]
    found = there[0] if there else table.select(KEYS).slice(0, 0)
    for part in there[1:]:
        found = found.join(part, KEYS, join_type="full outer")
    return found.sort_by([(key, "ascending") for key in KEYS])


def merged(new: pa.Table, old: pa.Table | None) -> pa.Table:
    """Return what is pinned anew, and of what is not the values that were pinned before."""
    if old is None:
        return new
    names = list(dict.fromkeys([*values_in(old), *values_in(new)]))
    both = new.join(old, KEYS, join_type="full outer", right_suffix="/old")
    fields = {key: both[key] for key in KEYS}
    for name in names:
        mine, theirs = (_column(both, n) for n in _places(name, new, old))
        error = name + ERROR_SUFFIX
        mine_e, theirs_e = (_column(both, n) for n in _places(error, new, old))
        is_new = mine.is_valid()
        fields[name] = pc.if_else(is_new, mine, theirs)
        fields[error] = pc.if_else(is_new, mine_e, theirs_e)
    return pa.table(fields).sort_by([(key, "ascending") for key in KEYS])


def values_in(table: pa.Table) -> list[str]:
    """Return the metrics that a baseline holds."""
    return [n for n in table.schema.names if n not in KEYS and not n.endswith(ERROR_SUFFIX)]


def _places(name: str, new: pa.Table, old: pa.Table) -> tuple[str, str]:
    """Where a column of both stands after the join."""
    mine = name if name in new.schema.names else ""
    theirs = "" if name not in old.schema.names else f"{name}/old" if mine else name
    return mine, theirs


def _column(table: pa.Table, name: str) -> pa.ChunkedArray:
    if name:
        return table[name]
    return pa.chunked_array([pa.nulls(table.num_rows, pa.float64())])


def _read(evidence: Path, chosen: Selection) -> pa.Table:
    """The series that are chosen and were audited."""
    window, weighted = chosen.window, _WEIGHTED[chosen.window]
    wanted = [*KEYS, "metric", "baseline_source", "phi", weighted]
    wanted += [f"{window}_mean", f"{window}_sd", f"n_{window}"]
    rows = (pc.field("status") == "ok") & pc.field("metric").isin(list(chosen.metrics))
    table = pq.read_table(
        evidence,
        columns=wanted,
        filters=rows,
        partitioning=None,
        page_checksum_verification=True,
    )
    for key, globs in (("model_id", chosen.models), ("class_id", chosen.classes)):
        table = table.filter(pa.array(matched(globs, table[key].to_pylist())))
    return table


def _metric(rows: pa.Table, metric: str, chosen: Selection) -> pa.Table:
    window = chosen.window
    value, error = _mean(rows, window), _error(rows, window)
    known = np.isfinite(value)
    return pa.table(
        {
            **{key: rows[key] for key in KEYS},
            metric: pa.array(value, mask=~known),
            metric + ERROR_SUFFIX: pa.array(error, mask=~(known & np.isfinite(error))),
        }
    ).filter(pa.array(known))


def _mean(rows: pa.Table, window: Window) -> Floats:
    plain, weighted = (_floats(rows, name) for name in (f"{window}_mean", _WEIGHTED[window]))
    usable = np.isfinite(weighted)
    if window == "reference":  # else it is an earlier pin
        usable &= _words(rows, "baseline_source") == REFERENCE
    found: Floats = np.where(usable, weighted, plain)
    return found


def _error(rows: pa.Table, window: Window) -> Floats:
    sd, phi = _floats(rows, f"{window}_sd"), _floats(rows, "phi")
    n = np.maximum(_floats(rows, f"n_{window}"), 1.0)
    inflation = variance_inflation(np.where(np.isfinite(phi), phi, 0.0), n)
    slot = sd**2 * (n - 1.0) / np.maximum(n - inflation, 1.0)
    found: Floats = np.sqrt(slot * inflation / n)
    return found


def _floats(table: pa.Table, name: str) -> Floats:
    return np.asarray(table[name].to_numpy(zero_copy_only=False), np.float64)


def _words(table: pa.Table, name: str) -> NDArray[np.object_]:
    return np.asarray(table[name].to_pylist(), dtype=object)


def check_metrics(asked: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return those of the asked metrics that cannot be pinned."""
    return [name for name in asked if name not in known]
