"""The rules for rows: which are read, which are refused and how that is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from calhard.history.account import Example, RowAccount
from calhard.history.columns import KNOWN, ColumnPlan
from calhard.history.convert import ColumnError, is_repeated, to_latest_microseconds
from calhard.history.ids import Bools, Floats, Ints, Names, Pairs

YEAR_1990 = 631_152_000_000_000
"""1990-01-01 in microseconds since 1970: earlier timestamps are a wrong unit or a zero."""
_UNTOLD = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class Span:
    """Which rows are read: instants in microseconds since 1970 UTC, models by name."""

    since_us: int
    as_of_us: int
    latest_us: int
    """Later rows lie in the future: clock + skew."""
    after: str | None = None
    through: str | None = None
    """Models with after < model_id ≤ through; None leaves that end open."""
    owned: bool = True
    """Whether rows without a usable id are counted here (another reader sees them too)."""
    low: str | None = None
    high: str | None = None
    """Models that a footer promises, both included; None where there is no promise."""
    refused: frozenset[str] = frozenset()
    """Models that are read by nobody."""

    def holds(self, model_id: str) -> bool:
        """Return whether a model is read."""
        return (
            (self.after is None or model_id > self.after)
            and (self.through is None or model_id <= self.through)
            and model_id not in self.refused
        )

    def promised(self, model_id: str) -> bool:
        """Return whether a model lies where the footer says that all do."""
        return (self.low is None or model_id >= self.low) and (
            self.high is None or model_id <= self.high
        )


class CheckedBatch:
    """A batch's ids, instants and weights, against the rules for rows."""

    def __init__(
        self,
        batch: pa.RecordBatch,
        plan: ColumnPlan,
        file: str,
        first_row: int,
        names: tuple[Names, Names],
        pairs: Pairs,
        time: pa.Array,
        weight: Floats,
        timezone: str | None = None,
    ) -> None:
        self.batch, self.plan, self.file, self.first_row = batch, plan, file, first_row
        self.names, self.pairs, self.weight, self.timezone = names, pairs, weight, timezone
        self.unknown: Any = time.is_null() if time.null_count else None
        self.stamp: Ints = (time.fill_null(0) if time.null_count else time).to_numpy()
        self.known: Ints = known_from(self.stamp, batch, plan, timezone)

    def refuse(self, span: Span, account: RowAccount) -> Bools | None:
        """Count each refused row once, by the first rule it breaks; return which rows stay.

        None where all do.
        """
        if self._all_stay(span):
            return None
        code = self.pairs.code
        open_ = code != -2 if span.owned else code >= 0
        keep: Bools = code >= 0
        for outcome, reason, column, found in self._rules(span):
            hit = open_ & found
            count = int(np.count_nonzero(hit))
            if count:
                row = int(np.argmax(hit))
                example = Example(self.file, self.first_row + row, self._cell(column, row))
                account.add(outcome, reason, count, example)
                open_ &= ~hit
                keep &= ~hit
        return keep

    def _all_stay(self, span: Span) -> bool:
        if not len(self.stamp) or self.unknown is not None or self.pairs.code.min() < 0:
            return False
        earliest, latest = max(YEAR_1990, span.since_us), min(span.as_of_us, span.latest_us)
        if self.stamp.min() < earliest or self.known.max() > latest:
            return False
        if "total_samples" not in self.plan.source:
            return True
        return not ((self.weight < 0) | np.isinf(self.weight)).any()

    def _rules(self, span: Span) -> list[tuple[str, str, str, Bools]]:
        """(outcome, reason, column, rows), the worst first."""
        rules = self.refused_ids()
        if self.unknown is not None:
            rules += self.unknown_instants()
        stamp, weight = self.stamp, self.weight
        return [
            *rules,
            ("rejected", "timestamp before 1990", "timestamp", stamp < YEAR_1990),
            ("rejected", "timestamp in the future", "timestamp", stamp > span.latest_us),
            ("rejected", "total_samples is negative", "total_samples", weight < 0),
            ("rejected", "total_samples is not finite", "total_samples", np.isinf(weight)),
            ("outside", "after as_of", "timestamp", stamp > span.as_of_us),
            *self._not_yet_known(span),
            ("outside", "older than any window", "timestamp", stamp < span.since_us),
        ]

    def _not_yet_known(self, span: Span) -> list[tuple[str, str, str, Bools]]:
        """Rows of periods that are not over yet, or were measured late: no fault of theirs."""
        if self.known is self.stamp:
            return []
        late = self.known > min(span.as_of_us, span.latest_us)
        return [("outside", "not yet known at as_of", KNOWN, late)]

    def refused_ids(self) -> list[tuple[str, str, str, Bools]]:
        """Return (outcome, reason, column, rows) of every fault that an id can have."""
        return [
            ("rejected", reason, column, found)
            for column, reason, found in self.pairs.refused(*self.names)
        ]

    def unknown_instants(self) -> list[tuple[str, str, str, Bools]]:
        """Return (outcome, reason, column, rows) of the ways in which an instant is none."""
        unknown: Bools = self.unknown.to_numpy(zero_copy_only=False)
        column = self.batch[self.plan.source["timestamp"]]
        null: Bools = column.is_null().to_numpy(zero_copy_only=False)
        twice: Bools = is_repeated(column, self.timezone).to_numpy(zero_copy_only=False)
        return [
            ("rejected", reason, "timestamp", unknown & found)
            for reason, found in (
                ("timestamp is null", null),
                ("timestamp in an hour that the clock repeats", twice),
                ("timestamp in an hour that its zone skips", ~null & ~twice),
            )
        ]

    def _cell(self, name: str, row: int) -> str:
        """What stands in the cell that broke the rule."""
        if name in self.plan.constants:
            return f"{name} = {self.plan.constants[name][:80]!r}"
        column = self.plan.source[name]
        cell = self.batch[column][row]
        try:
            value = cell.as_py()
        except (ValueError, OverflowError):  # not UTF-8, or an instant that Python cannot hold
            return f"{column} = {_raw(cell)!r}"
        told = "null" if value is None else repr(value if isinstance(value, str) else str(value))
        return f"{column} = {told if len(told) <= 82 else told[:80] + '…'}"


def known_from(stamp: Ints, batch: pa.RecordBatch, plan: ColumnPlan, timezone: str | None) -> Ints:
    """Return since when the rows of a batch are known, µs, shape (N,).

    No row is known before its timestamp ``stamp``, and one that tells nothing is known from it;
    ``stamp`` itself where the file has no such column.

    Raises
    ------
    ColumnError
        Integers that cannot be seconds.
    """
    if KNOWN not in plan.source:
        return stamp
    column = plan.source[KNOWN]
    try:
        told = to_latest_microseconds(batch[column], timezone)
    except ColumnError as e:
        raise ColumnError(f'column "{column}": {e.reason}', e.remedy) from e
    since: Ints = (told.fill_null(_UNTOLD) if told.null_count else told).to_numpy()
    return np.maximum(stamp, since)


def _raw(cell: pa.Scalar) -> bytes | int:
    """A cell as the file holds it."""
    if pa.types.is_dictionary(cell.type):
        cell = cell.dictionary[cell.index.as_py()]
    if pa.types.is_timestamp(cell.type):
        return int(cell.value)
    held: bytes = cell.as_buffer().to_pybytes()[:80]
    return held
