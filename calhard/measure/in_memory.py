"""Predictions and outcomes become calibration metrics per model, class and period."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from calhard.measure.table import PredictionTable
from calhard.plan import parse_duration
from calhard.schema import MICROSECONDS_PER_DAY, TIMESTAMP

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

HISTORY = pa.schema(
    [
        ("model_id", pa.string()),
        ("class_id", pa.string()),
        ("timestamp", TIMESTAMP),
        ("aece", pa.float64()),
        ("dece", pa.float64()),
        ("clamp_rate", pa.float64()),
        ("score_range_violations", pa.int64()),
        ("total_samples", pa.int64()),
        ("unusable_rows", pa.int64()),
    ]
)
MONDAY = 4 * MICROSECONDS_PER_DAY
"""1970-01-05: periods are counted from it, so that weeks begin on Mondays."""
FEWEST_BINS, MOST_BINS = 5, 100
EDGES = np.arange(1, 15) / 15
"""Inner edges of the 15 bins of DECE; a score at an edge lies in the bin above it."""
CLAMPED = (0.001, 0.999)
"""Scores at or beyond these sit at the calibrator's bounds."""


def period_history(predictions: pa.Table, period: str = "1d") -> pa.Table:
    """Return one row per model, class and period that has any prediction, sorted by them.

    With n the rows used, s their scores and y their labels (Σ over bins b, |b| rows each):

    - ``aece`` = Σ |b|/n · |mean s_b − mean y_b| over K = ⌊√n⌋ bins of equal size, at least 5 and at
      most 100, cut by rank as `numpy.array_split` does; equal scores share the bin of the first.
    - ``dece``: the same sum over the 15 bins [k/15, (k+1)/15), the last one closed.
    - ``clamp_rate``: share of s ≤ 0.001 or s ≥ 0.999.
    - ``score_range_violations``: scores that are not finite or outside [0, 1].
    - ``total_samples`` = n; ``unusable_rows``: rows left out, because the score is null or violates
      its range, or the label is neither 0 nor 1. Both together are all rows.

    ``timestamp`` is the start of the period, [start, start + period) in UTC; weeks begin on
    Mondays. Where no row can be used the metrics are null. The order of rows does not matter. A
    plug-in calibration error moves with n alone; ``total_samples`` lets the audit see that.

    Parameters
    ----------
    predictions : pa.Table
        ``model_id``, ``class_id`` (text or integers), ``timestamp`` (any that a history may hold),
        ``score`` and ``label`` (numbers; labels may be booleans). Other columns are ignored.
    period : str
        Such as ``"1d"``, ``"7d"`` or ``"1h"``.

    Raises
    ------
    InputError
        A column is missing or holds no such values, or a row has no key or no timestamp.
    ValueError
        ``period`` is no duration.

    Source: Naeini, Cooper & Hauskrecht 2015; Nguyen & O'Connor 2015; Nixon et al. 2019.
    """
    width = parse_duration(period)
    rows = PredictionTable.of(predictions)
    groups = _Groups.of(rows, width)
    used = rows.in_range & np.isin(rows.label, (0.0, 1.0))
    size = len(groups.start)
    history = {
        **groups.keys(),
        **_metrics(groups.code[used], rows.score[used], rows.label[used], size),
        "score_range_violations": _count(groups.code[rows.violates], size),
        "total_samples": _count(groups.code[used], size),
        "unusable_rows": _count(groups.code[~used], size),
    }
    return pa.table([history[name] for name in HISTORY.names], schema=HISTORY)


def _count(code: Ints, size: int) -> Ints:
    return np.bincount(code, minlength=size).astype(np.int64)


def _metrics(code: Ints, score: Floats, label: Floats, size: int) -> dict[str, pa.Array]:
    """Return the metrics of every group from its usable rows; null where it has none."""
    order = np.lexsort((label, score, code))  # by label too: a sum must not depend on row order
    code, score, label = code[order], score[order], label[order]
    n = np.bincount(code, minlength=size)
    clamped = (score <= CLAMPED[0]) | (score >= CLAMPED[1])
    sums = {
        "aece": _gap(code, _rank_bins(code, score, n), score - label, size),
        "dece": _gap(code, np.searchsorted(EDGES, score, side="right"), score - label, size),
        "clamp_rate": np.bincount(code, weights=clamped, minlength=size),
    }
    return {name: pa.array(total / np.maximum(n, 1), mask=n == 0) for name, total in sums.items()}


def _gap(code: Ints, bins: Ints, gap: Floats, size: int) -> Floats:
    """Σ_b |Σ (s − y)| of every group; the rows of a bin stand together."""
    if not len(code):
        return np.zeros(size)
    heads = np.flatnonzero(_changes(code) | _changes(bins))
    sums = np.abs(np.add.reduceat(gap, heads))
    return np.asarray(np.bincount(code[heads], sums, minlength=size), np.float64)


def _rank_bins(code: Ints, score: Floats, n: Ints) -> Ints:
    """Return each row's bin of equal mass; rows are sorted by group and score.

    Of n = q·K + r rows the first r bins take q + 1 rows, the others q.
    """
    if not len(code):
        return code
    bins = np.clip(np.floor(np.sqrt(n)), FEWEST_BINS, MOST_BINS).astype(np.int64)
    each, larger = np.divmod(n, bins)
    place = np.arange(len(code))
    first_of_tie = np.maximum.accumulate(np.where(_changes(code) | _changes(score), place, 0))
    rank = first_of_tie - (np.cumsum(n) - n)[code]
    each, larger = each[code], larger[code]
    in_larger = larger * (each + 1)
    beyond = larger + (rank - in_larger) // np.maximum(each, 1)
    found: Ints = np.where(rank < in_larger, rank // (each + 1), beyond)
    return found


def _changes(values: Ints | Floats) -> Bools:
    """Return where a value differs from the one before; the first does."""
    changed = np.ones(len(values), np.bool_)
    changed[1:] = values[1:] != values[:-1]
    return changed


@dataclass(frozen=True, slots=True)
class _Groups:
    """Every row's (model, class, period) as a code, and what the codes mean, in their order."""

    code: Ints
    model: list[str]
    class_: list[str]
    start: Ints

    @classmethod
    def of(cls, rows: PredictionTable, width: int) -> _Groups:
        names, ranks = zip(*(_ranked(column) for column in (rows.model, rows.class_)), strict=True)
        period = (rows.timestamp - MONDAY) // width
        order = np.lexsort((period, ranks[1], ranks[0]))
        sorted_keys = [key[order] for key in (*ranks, period)]
        new = np.zeros(len(order), np.bool_)
        for key in sorted_keys:
            new |= _changes(key)
        code = np.empty(len(order), np.int64)
        code[order] = np.cumsum(new) - 1
        model, class_, start = (key[new] for key in sorted_keys)
        return cls(
            code,
            [names[0][i] for i in model.tolist()],
            [names[1][i] for i in class_.tolist()],
            start * width + MONDAY,
        )

    def keys(self) -> dict[str, pa.Array]:
        """Return the key columns of the history."""
        return {
            "model_id": pa.array(self.model, pa.string()),
            "class_id": pa.array(self.class_, pa.string()),
            "timestamp": pa.array(self.start).cast(TIMESTAMP),
        }


def _ranked(column: pa.DictionaryArray) -> tuple[list[str], Ints]:
    """Return a column's distinct names in order, and each row's place among them."""
    names = column.dictionary.to_pylist()
    order = sorted(range(len(names)), key=names.__getitem__)
    rank = np.empty(len(names), np.int64)
    rank[order] = np.arange(len(names))
    return [names[i] for i in order], rank[column.indices.to_numpy()]
