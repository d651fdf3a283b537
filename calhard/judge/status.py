"""What may be said of a series at all: ok, insufficient, indeterminate or failed, and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from calhard.assess.columns import FLAT_SLOTS, Columns
from calhard.assess.windows import PAUSES
from calhard.schema import MICROSECONDS_PER_DAY, STATUSES, Metric
from calhard_kernels._array import Array, safe_divide

OK, INSUFFICIENT, INDETERMINATE, FAILED = range(len(STATUSES))

CAUSES = (
    "conflicting duplicate rows",
    "values that are not finite or out of range",
    "events where none is allowed",
    "no recent sample",
    "one value repeated",
    "too few samples",
    "too many bad values in the reference window",
)
"""Why a status is not ok, in the order of the rules; the coverage table counts by them."""
REMEDIES = (
    "publish one row per model, class and timestamp",
    "mend the metric's source; the evidence table names the series",
    "see the model's score pipeline; the evidence table names the series",
    "check that the model still reports; if it is retired, list it under retired_models",
    "check that the metric is computed anew in every period",
    "wait until enough history has gathered",
    "mend the metric's source, or raise regression.bad_tolerance",
)

FLAT_FACTOR = 3.0
"""A flatline is at least this many times as long as the longest run in the reference."""
STALE_SPACINGS = PAUSES
"""A source is stale without a sample for more than this many of its own median spacings.

Those of its rows, before dense ones become slots; and for longer than its second longest pause:
an irregular source pauses often.
"""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """The least and the most that a series may have to be judged."""

    min_reference: int
    min_analysis: int
    bad_share: float
    """Share of bad values in the reference above which nothing can be said."""


Words = Callable[[Columns, int, Tolerance], str]
"""Tells, of one row, why."""


@dataclass(frozen=True, slots=True)
class Status:
    """Status code (index into `schema.STATUSES`), its cause, the words, and a failure's onset."""

    code: Array
    cause: Array
    """Index into `CAUSES`; −1 where the status is ok."""
    reason: list[str]
    onset_day: Array


def judge_status(columns: Columns, metric: Metric, tolerance: Tolerance) -> Status:
    """Return the status of every series of one metric.

    A deterministic failure (bad or forbidden values, a stuck or silent source) comes before
    everything but conflicting rows; then come too few samples, unless it is bad ones that made them
    few, then a reference full of bad ones.
    """
    n_a, n_b = columns["n_reference"], columns["n_analysis"]
    faults = _faults(columns, metric, tolerance)
    bad = columns["bad_reference"]
    spoiled = safe_divide(bad, bad + n_a) > tolerance.bad_share
    spoiled &= bad + n_a >= tolerance.min_reference
    few = (n_a < tolerance.min_reference) | (n_b < tolerance.min_analysis)
    rules = [
        (INDETERMINATE, columns["conflicting"] > 0),
        *((FAILED, found) for found, _, _ in faults),
        (INSUFFICIENT, few & ~spoiled),
        (INDETERMINATE, spoiled),
    ]
    which = np.select([found for _, found in rules], range(len(rules)), default=-1)
    code = np.where(which < 0, OK, np.array([code for code, _ in rules])[which])
    onset = np.full(len(n_a), np.nan)
    for place, (_, day, _) in enumerate(faults, start=1):
        onset = np.where(which == place, day, onset)
    words = [_conflict, *(say for _, _, say in faults), _few, _bad_reference]
    reason = [""] * len(n_a)
    for row in np.flatnonzero(which >= 0):
        reason[row] = words[which[row]](columns, int(row), tolerance)
    return Status(code, which, reason, onset)


def _faults(
    columns: Columns, metric: Metric, tolerance: Tolerance
) -> list[tuple[Array, Array, Words]]:
    """Deterministic failures in the order in which they are told: (rows, onset, words)."""
    spacing = columns["spacing_raw"]
    stale_days = columns["sent_day"] + spacing / MICROSECONDS_PER_DAY
    due = np.fmax(STALE_SPACINGS * spacing, columns["pause"])
    silent = -columns["sent_day"] * MICROSECONDS_PER_DAY > due
    stale = silent & (columns["n_reference"] >= tolerance.min_reference) & (spacing > 0)
    return [
        (columns["bad_analysis"] > 0, columns["first_bad_day"], _bad_values(metric)),
        (columns["total_week"] > 0, columns["first_bad_day"], _events),
        (stale, stale_days, _stale),
        (_flat(columns, metric), _flat_onset(columns), _stuck),
    ]


def _flat(columns: Columns, metric: Metric) -> Array:
    run = columns["closing_run"]
    least = np.fmax(FLAT_SLOTS, FLAT_FACTOR * columns["reference_run"])
    at_bound = (columns["last_value"] == metric.low) | (columns["last_value"] == metric.high)
    return (columns["tested"] > 0) & (run >= least) & ~at_bound


def _flat_onset(columns: Columns) -> Array:
    span = (columns["closing_run"] - 1.0) * columns["spacing"] / MICROSECONDS_PER_DAY
    return columns["last_day"] - span


def _conflict(columns: Columns, row: int, tolerance: Tolerance) -> str:
    del columns, row, tolerance
    return "rows with the same model, class and timestamp disagree"


def _bad_values(metric: Metric) -> Words:
    def say(columns: Columns, row: int, tolerance: Tolerance) -> str:
        del tolerance
        count = int(columns["bad_analysis"][row])
        return f"{count} of the analysis window's values are not finite{_outside(metric)}"

    return say


def _outside(metric: Metric) -> str:
    unbounded = np.isinf(metric.low) and np.isinf(metric.high)
    return "" if unbounded else f" or outside [{metric.low:g}, {metric.high:g}]"


def _events(columns: Columns, row: int, tolerance: Tolerance) -> str:
    del tolerance
    return f"{int(columns['total_week'][row])} in the analysis window where none is allowed"


def _stale(columns: Columns, row: int, tolerance: Tolerance) -> str:
    del tolerance
    hours = columns["spacing_raw"][row] / 3_600e6
    return f"no sample for {-columns['sent_day'][row] * 24:.6g} h; one is due every {hours:.6g} h"


def _stuck(columns: Columns, row: int, tolerance: Tolerance) -> str:
    del tolerance
    return (
        f"the last {int(columns['closing_run'][row])} values are all {columns['last_value'][row]:g}"
    )


def _few(columns: Columns, row: int, tolerance: Tolerance) -> str:
    missing = int(np.nan_to_num(columns["n_missing"][row]))
    return (
        f"{int(columns['n_reference'][row])} reference and {int(columns['n_analysis'][row])} "
        f"analysis samples; {tolerance.min_reference} and {tolerance.min_analysis} are needed"
        + (f"; {missing} row(s) have no value" if missing else "")
    )


def _bad_reference(columns: Columns, row: int, tolerance: Tolerance) -> str:
    bad = int(columns["bad_reference"][row])
    total = bad + int(columns["n_reference"][row])
    return (
        f"{bad} of {total} reference values are not finite or out of range; "
        f"at most {tolerance.bad_share:.0%} may be"
    )
