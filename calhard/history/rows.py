"""Batches of a file become clean rows: typed arrays, and every refused row accounted for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from calhard.history.account import Example, RowAccount
from calhard.history.columns import ColumnPlan
from calhard.history.convert import ColumnError, to_floats, to_microseconds
from calhard.history.ids import SOUND, Bools, Codes, Ints, Keys, Names, Pairs, pair_codes
from calhard.series import NOT_FINITE

Floats = NDArray[np.float64]

YEAR_1990 = 631_152_000_000_000
"""1990-01-01 in microseconds since 1970: earlier timestamps are a wrong unit or a zero."""


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

    def holds(self, model_id: str) -> bool:
        """Return whether a model is read."""
        return (self.after is None or model_id > self.after) and (
            self.through is None or model_id <= self.through
        )

    def promised(self, model_id: str) -> bool:
        """Return whether a model lies where the footer says that all do."""
        return (self.low is None or model_id >= self.low) and (
            self.high is None or model_id <= self.high
        )


@dataclass(frozen=True, slots=True)
class Rows:
    """Clean rows: ``pair`` codes of `Keys`, microseconds, metrics (NaN null, inf not finite)."""

    pair: Codes
    timestamp: Ints
    values: Mapping[str, Floats]
    total_samples: Floats
    tags: Mapping[str, Codes]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.pair)

    def take(self, which: Ints | Bools | slice) -> Rows:
        """Return some of the rows."""
        return Rows(
            self.pair[which],
            self.timestamp[which],
            {name: v[which] for name, v in self.values.items()},
            self.total_samples[which],
            {name: v[which] for name, v in self.tags.items()},
        )


def concatenate(parts: Sequence[Rows]) -> Rows:
    """Return all rows of some parts, in order."""
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    return Rows(
        np.concatenate([p.pair for p in parts]),
        np.concatenate([p.timestamp for p in parts]),
        {name: np.concatenate([p.values[name] for p in parts]) for name in first.values},
        np.concatenate([p.total_samples for p in parts]),
        {name: np.concatenate([p.tags[name] for p in parts]) for name in first.tags},
    )


@dataclass(frozen=True, slots=True)
class Cleaner:
    """Cleans batches into `Rows` of the same metrics and tags, whatever the file holds."""

    keys: Keys
    metrics: Sequence[str]
    tags: Sequence[str]
    timezone: str | None
    span: Span
    account: RowAccount

    def reading(self, *, owned: bool, low: str | None, high: str | None) -> Cleaner:
        """Return a cleaner of rows that are counted here or not, and of promised models."""
        return replace(self, span=replace(self.span, owned=owned, low=low, high=high))

    def clean(self, batch: pa.RecordBatch, plan: ColumnPlan, file: str, first_row: int) -> Rows:
        """Return the rows of a batch that can be audited; the others are accounted for.

        Raises
        ------
        ColumnError
            The timestamps are in no known unit, or the file's footer lies about its models.
        """
        model, class_ = (_names(batch, plan, name) for name in ("model_id", "class_id"))
        pairs = pair_codes(model, class_, self.span.holds, self.keys)
        self._keep_promise(model, pairs)
        time = to_microseconds(batch[plan.source["timestamp"]], self.timezone)
        checked = _Checked(
            batch, plan, file, first_row, (model, class_), pairs, time, _floats(batch, plan)
        )
        keep = checked.refuse(self.span, self.account)
        rows = Rows(
            pairs.code,
            checked.stamp,
            {name: _floats(batch, plan, name) for name in self.metrics},
            checked.weight,
            {name: self._words(batch, plan, name) for name in self.tags},
        )
        return rows if keep is None else rows.take(keep)

    def _keep_promise(self, model: Names, pairs: Pairs) -> None:
        """Raise where a model lies outside what the footer says: its shard would not see it."""
        if all(map(self.span.promised, model.words)):
            return
        used = np.unique(pairs.model[model.faults[pairs.model] == SOUND]).tolist()
        strays = [model.words[i] for i in used if not self.span.promised(model.words[i])]
        if strays:
            raise ColumnError(
                f"the footer says that models lie between {self.span.low!r} and "
                f"{self.span.high!r}, but {strays[0]!r} is there",
                "write the file again: its statistics are wrong",
            )

    def _words(self, batch: pa.RecordBatch, plan: ColumnPlan, name: str) -> Codes:
        """Codes of a tag's values; −1 where there is none or one that is no name."""
        if name not in plan.constants and name not in plan.source:
            return np.full(batch.num_rows, -1, np.int32)
        names = _names(batch, plan, name)
        sound = (names.faults[:-1] == SOUND).tolist()
        codes = [
            self.keys.word(name, word) if ok else -1
            for word, ok in zip(names.words, sound, strict=True)
        ]
        return np.array([*codes, -1], np.int32)[names.index]


def _names(batch: pa.RecordBatch, plan: ColumnPlan, name: str) -> Names:
    if name in plan.constants:
        return Names.constant(plan.constants[name], batch.num_rows)
    return Names.of(batch[plan.source[name]])


def _floats(batch: pa.RecordBatch, plan: ColumnPlan, name: str = "total_samples") -> Floats:
    """A column as float64: NaN where null, inf where a value was reported and is not finite."""
    if name not in plan.source:
        return np.full(batch.num_rows, np.nan)
    column = to_floats(batch[plan.source[name]])
    values: Floats = column.to_numpy(zero_copy_only=False)
    with np.errstate(over="ignore", invalid="ignore"):
        finite = bool(np.isfinite(np.add.reduce(values)))  # one pass; a false no costs another
    if finite:
        return values
    bad = ~np.isfinite(values)
    reported = column.is_valid().to_numpy(zero_copy_only=False)
    return np.where(bad & reported, NOT_FINITE, values)


class _Checked:
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
    ) -> None:
        self.batch, self.plan, self.file, self.first_row = batch, plan, file, first_row
        self.names, self.pairs, self.weight = names, pairs, weight
        self.unknown = time.is_null() if time.null_count else None
        self.stamp: Ints = (time.fill_null(0) if time.null_count else time).to_numpy()

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
        if self.stamp.min() < earliest or self.stamp.max() > latest:
            return False
        if "total_samples" not in self.plan.source:
            return True
        return not ((self.weight < 0) | np.isinf(self.weight)).any()

    def _rules(self, span: Span) -> list[tuple[str, str, str, Bools]]:
        """(outcome, reason, column, rows), the worst first."""
        rules = [
            ("rejected", reason, column, found)
            for column, reason, found in self.pairs.refused(*self.names)
        ]
        if self.unknown is not None:
            rules += self._unknown_instants()
        stamp, weight = self.stamp, self.weight
        return [
            *rules,
            ("rejected", "timestamp before 1990", "timestamp", stamp < YEAR_1990),
            ("rejected", "timestamp in the future", "timestamp", stamp > span.latest_us),
            ("rejected", "total_samples is negative", "total_samples", weight < 0),
            ("rejected", "total_samples is not finite", "total_samples", np.isinf(weight)),
            ("outside", "after as_of", "timestamp", stamp > span.as_of_us),
            ("outside", "older than any window", "timestamp", stamp < span.since_us),
        ]

    def _unknown_instants(self) -> list[tuple[str, str, str, Bools]]:
        unknown: Bools = self.unknown.to_numpy(zero_copy_only=False)  # type: ignore[union-attr]  # asked only where there are some
        column = self.batch[self.plan.source["timestamp"]]
        null: Bools = column.is_null().to_numpy(zero_copy_only=False)
        return [
            ("rejected", "timestamp is null", "timestamp", unknown & null),
            ("rejected", "timestamp in an hour that its zone skips", "timestamp", unknown & ~null),
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


def _raw(cell: pa.Scalar) -> bytes | int:
    """A cell as the file holds it."""
    if pa.types.is_dictionary(cell.type):
        cell = cell.dictionary[cell.index.as_py()]
    if pa.types.is_timestamp(cell.type):
        return int(cell.value)
    held: bytes = cell.as_buffer().to_pybytes()[:80]
    return held
