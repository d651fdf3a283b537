"""Batches of a file become clean rows: typed arrays, and every refused row accounted for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from calhard.history.account import RowAccount
from calhard.history.columns import ColumnPlan
from calhard.history.convert import ColumnError, to_floats, to_microseconds
from calhard.history.ids import SOUND, Bools, Codes, Floats, Ints, Keys, Names, Pairs, pair_codes
from calhard.history.rules import CheckedBatch, Span
from calhard.series import NOT_FINITE


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
        checked = self.check(batch, plan, file, first_row)
        keep = checked.refuse(self.span, self.account)
        rows = Rows(
            checked.pairs.code,
            checked.stamp,
            {name: floats_in(batch, plan, name) for name in self.metrics},
            checked.weight,
            {name: tag_codes(batch, plan, name, self.keys) for name in self.tags},
        )
        return rows if keep is None else rows.take(keep)

    def check(
        self, batch: pa.RecordBatch, plan: ColumnPlan, file: str, first_row: int
    ) -> CheckedBatch:
        """Return a batch's ids, instants and weights, ready to be held against the rules.

        Raises
        ------
        ColumnError
            As of `clean`.
        """
        model, class_ = (names_in(batch, plan, name) for name in ("model_id", "class_id"))
        pairs = pair_codes(model, class_, self.span.holds, self.keys)
        self._keep_promise(model, pairs)
        time = to_microseconds(batch[plan.source["timestamp"]], self.timezone)
        names, weight = (model, class_), floats_in(batch, plan)
        return CheckedBatch(batch, plan, file, first_row, names, pairs, time, weight, self.timezone)

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


def tag_codes(batch: pa.RecordBatch, plan: ColumnPlan, name: str, keys: Keys) -> Codes:
    """Return codes of a tag's values; −1 where there is none or one that is no name."""
    if name not in plan.constants and name not in plan.source:
        return np.full(batch.num_rows, -1, np.int32)
    names = names_in(batch, plan, name)
    sound = (names.faults[:-1] == SOUND).tolist()
    codes = [
        keys.word(name, word) if ok else -1 for word, ok in zip(names.words, sound, strict=True)
    ]
    return np.array([*codes, -1], np.int32)[names.index]


def names_in(batch: pa.RecordBatch, plan: ColumnPlan, name: str) -> Names:
    """Return a column of names, or the one that the file's path tells."""
    if name in plan.constants:
        return Names.constant(plan.constants[name], batch.num_rows)
    return Names.of(batch[plan.source[name]])


def floats_in(batch: pa.RecordBatch, plan: ColumnPlan, name: str = "total_samples") -> Floats:
    """Return a column as float64: NaN where null, inf where what was reported is not finite."""
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
