"""The rows of a baseline: what is wrong with them, and one row per model and class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from calhard.judge.pinned import ERROR_SUFFIX

if TYPE_CHECKING:
    from calhard.schema import Metric

KEYS = ("model_id", "class_id")
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def row_problems(
    table: pa.Table, named: Mapping[str, str], specs: Mapping[str, Metric]
) -> Iterator[str]:
    """Yield what is wrong with the rows, the first of each kind; rows count from 1.

    Parameters
    ----------
    table : canonical columns, text and float64, null where nothing is pinned
    named : canonical names to the file's own, for those that it has
    specs : the metrics that can be pinned
    """
    for key in KEYS:
        empty = pc.fill_null(pc.equal(table[key], ""), fill_value=True)
        yield from _told(_bools(empty), named[key], "null or empty", "give every row its key")
    for metric in specs:
        if metric in named:
            yield from _value_problems(table, named, specs[metric])
    yield from _disagreements(table, named)


def _value_problems(table: pa.Table, named: Mapping[str, str], metric: Metric) -> Iterator[str]:
    column, error_name = named[metric.name], metric.name + ERROR_SUFFIX
    value, known = _floats(table[metric.name]), _bools(table[metric.name].is_valid())
    infinite = known & ~np.isfinite(value)
    yield from _told(infinite, column, "not finite", "pin a number, or leave the cell empty")
    outside = known & ~infinite & ((value < metric.low) | (value > metric.high))
    span = f"outside [{metric.low:g}, {metric.high:g}]"
    yield from _told(outside, column, span, "pin a value that the metric can have")
    if error_name not in named:
        return
    error, given = _floats(table[error_name]), _bools(table[error_name].is_valid())
    wrong = given & ~(np.isfinite(error) & (error >= 0))
    remedy = "a standard error is a finite number from 0 on; leave the cell empty if it is unknown"
    yield from _told(wrong, named[error_name], "negative or not finite", remedy)
    alone = given & ~known
    yield from _told(alone, named[error_name], f'has no "{column}"', "pin the value as well")


def _told(rows: Bools, column: str, what: str, remedy: str) -> Iterator[str]:
    found = np.flatnonzero(rows)
    if len(found):
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        yield f'  column "{column}", row {found[0] + 1}{more}: {what}; {remedy}'


def _disagreements(table: pa.Table, named: Mapping[str, str]) -> Iterator[str]:
    """Yield the first two rows of one key that pin different values, for every column."""
    ordered, again = _in_order(table)
    rows = ordered["row"].to_numpy()
    for name in table.schema.names[len(KEYS) :]:
        value = _floats(ordered[name])
        empty = np.isnan(value)
        differs = np.zeros(len(value), np.bool_)
        differs[1:] = (value[1:] != value[:-1]) & ~(empty[1:] & empty[:-1])
        clash = np.flatnonzero(again & differs)
        if len(clash):
            place = int(clash[0])
            model, class_ = (ordered[key][place].as_py() for key in KEYS)
            yield (
                f'  column "{named[name]}", rows {rows[place - 1] + 1} and {rows[place] + 1}: '
                f"both are {model!r} / {class_!r} and disagree; keep one row per model and class"
            )


def without_repeats(table: pa.Table) -> pa.Table:
    """Return sorted rows, one per key, as `PinnedBaselines` holds them."""
    ordered, again = _in_order(table)
    kept = ordered.filter(pa.array(~again))
    fields = {key: kept[key].combine_chunks() for key in KEYS}
    for name in table.schema.names[len(KEYS) :]:
        missing = 0.0 if name.endswith(ERROR_SUFFIX) else np.nan
        fields[name] = pc.fill_null(kept[name].combine_chunks(), missing)
    return pa.table(fields)


def _in_order(table: pa.Table) -> tuple[pa.Table, Bools]:
    """Return rows sorted by key, then by place, and which of them repeat the key before."""
    table = table.append_column("row", pa.array(np.arange(table.num_rows)))
    ordered = table.sort_by([(name, "ascending") for name in (*KEYS, "row")])
    again = np.zeros(ordered.num_rows, np.bool_)
    same = [_same_as_before(ordered[key].combine_chunks()) for key in KEYS]
    again[1:] = same[0] & same[1]
    return ordered, again


def _same_as_before(column: pa.Array) -> Bools:
    return _bools(pc.fill_null(pc.equal(column[1:], column[:-1]), fill_value=False))


def _floats(column: pa.ChunkedArray) -> Floats:
    """Null becomes NaN."""
    return np.asarray(column.to_numpy(zero_copy_only=False), np.float64)


def _bools(column: pa.Array | pa.ChunkedArray) -> Bools:
    return np.asarray(column.to_numpy(zero_copy_only=False), np.bool_)
