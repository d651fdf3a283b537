"""Batches of a file become clean rows: typed arrays, and every refused row accounted for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from calhard.history.account import Example, RowAccount
from calhard.history.columns import ColumnPlan, to_floats, to_microseconds, to_text
from calhard.series import NOT_FINITE

Ints = NDArray[np.int64]
Codes = NDArray[np.int32]
Bools = NDArray[np.bool_]

MAX_ID_BYTES = 1_024
YEAR_1990 = 631_152_000_000_000
"""1990-01-01 in microseconds since 1970: earlier timestamps are a wrong unit or a zero."""
DENSE_TABLE = 2**22
"""Pairs of a batch are counted in a table up to this size, sorted beyond it."""


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

    def holds(self, model_id: str) -> bool:
        """Return whether a model is read."""
        return (self.after is None or model_id > self.after) and (
            self.through is None or model_id <= self.through
        )


class Keys:
    """The (model, class) pairs and tag values seen so far; rows carry their codes."""

    def __init__(self) -> None:
        self.pairs: list[tuple[str, str]] = []
        self._pair_codes: dict[tuple[str, str], int] = {}
        self.words: dict[str, list[str]] = {}
        self._word_codes: dict[str, dict[str, int]] = {}

    def pair(self, model_id: str, class_id: str) -> int:
        """Return the code of a pair, a new one if need be."""
        key = (model_id, class_id)
        code = self._pair_codes.setdefault(key, len(self.pairs))
        if code == len(self.pairs):
            self.pairs.append(key)
        return code

    def word(self, tag: str, value: str) -> int:
        """Return the code of a tag's value."""
        words = self.words.setdefault(tag, [])
        code = self._word_codes.setdefault(tag, {}).setdefault(value, len(words))
        if code == len(words):
            words.append(value)
        return code


@dataclass(frozen=True, slots=True)
class Rows:
    """Clean rows: ``pair`` codes of `Keys`, microseconds, metrics (NaN null, inf not finite)."""

    pair: Codes
    timestamp: Ints
    values: Mapping[str, NDArray[np.float64]]
    total_samples: NDArray[np.float64]
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

    def owning(self, owned: bool) -> Cleaner:
        """Return a cleaner that counts rows without an id, or leaves them to another."""
        return replace(self, span=replace(self.span, owned=owned))

    def clean(self, batch: pa.RecordBatch, plan: ColumnPlan, file: str, first_row: int) -> Rows:
        """Return the rows of a batch that can be audited; the others are accounted for."""
        model, class_ = (self._ids(batch, plan, name) for name in ("model_id", "class_id"))
        pair = self._pairs(model, class_)
        time = to_microseconds(batch[plan.source["timestamp"]], self.timezone)
        known = time.is_valid().to_numpy(zero_copy_only=False)
        stamp = time.fill_null(0).to_numpy(zero_copy_only=False)
        weight = self._floats(batch, plan, "total_samples")
        keep = self._refuse(
            batch, plan, (model, class_, pair), (known, stamp), weight, (file, first_row)
        )
        rows = Rows(
            pair,
            stamp,
            {name: self._floats(batch, plan, name) for name in self.metrics},
            weight,
            {name: self._words(batch, plan, name) for name in self.tags},
        )
        return rows if keep.all() else rows.take(keep)

    def _ids(self, batch: pa.RecordBatch, plan: ColumnPlan, name: str) -> _Ids:
        if name in plan.constants:
            return _Ids.constant(plan.constants[name], batch.num_rows)
        return _Ids.of(to_text(batch[plan.source[name]]))

    def _pairs(self, model: _Ids, class_: _Ids) -> Codes:
        """Codes of the pairs; −1 for an unusable id, −2 for a model that is not read here."""
        wanted = np.array([*(self.span.holds(name) for name in model.names), False], np.bool_)
        width = max(len(class_.names), 1)
        joint = model.code * width + class_.code
        usable = (model.code >= 0) & (class_.code >= 0)
        code = np.where(usable, -2, -1).astype(np.int32)
        read = usable & wanted[model.code]
        code[read] = self._numbered(joint[read], model.names, class_.names)
        return code

    def _numbered(self, joint: Ints, models: Sequence[str], classes: Sequence[str]) -> Codes:
        """Codes of pairs that a batch numbers model × classes + class."""
        width, size = max(len(classes), 1), len(models) * len(classes)
        if size > DENSE_TABLE:
            present, place = np.unique(joint, return_inverse=True)
        else:
            present = np.flatnonzero(np.bincount(joint, minlength=1))
            lookup = np.zeros(max(size, 1), np.int64)
            lookup[present] = np.arange(len(present))
            place = lookup[joint]
        codes = [self.keys.pair(models[j // width], classes[j % width]) for j in present.tolist()]
        return np.array(codes, np.int32)[place]

    def _floats(self, batch: pa.RecordBatch, plan: ColumnPlan, name: str) -> NDArray[np.float64]:
        if name not in plan.source:
            return np.full(batch.num_rows, np.nan)
        column = to_floats(batch[plan.source[name]])
        values: NDArray[np.float64] = column.to_numpy(zero_copy_only=False)
        bad = ~np.isfinite(values)
        if bad.any():
            reported = column.is_valid().to_numpy(zero_copy_only=False)
            values = np.where(bad & reported, NOT_FINITE, values)
        return values

    def _words(self, batch: pa.RecordBatch, plan: ColumnPlan, name: str) -> Codes:
        if name in plan.constants:
            code = self.keys.word(name, plan.constants[name])
            return np.full(batch.num_rows, code, np.int32)
        if name not in plan.source:
            return np.full(batch.num_rows, -1, np.int32)
        ids = _Ids.of(to_text(batch[plan.source[name]]))
        table = np.array([*(self.keys.word(name, w) for w in ids.names), -1], np.int32)
        return table[ids.code]

    def _refuse(
        self,
        batch: pa.RecordBatch,
        plan: ColumnPlan,
        ids: tuple[_Ids, _Ids, Codes],
        time: tuple[Bools, Ints],
        weight: NDArray[np.float64],
        place: tuple[str, int],
    ) -> Bools:
        """Return which rows stay; each other row is counted once, by the first rule it breaks."""
        model, class_, pair = ids
        known, stamp = time
        elsewhere = pair == -2
        rules: list[tuple[str, str, Bools]] = [
            *model.refused("model_id"),
            *class_.refused("class_id"),
            ("rejected", "timestamp is null", ~known),
            ("rejected", "timestamp before 1990", stamp < YEAR_1990),
            ("rejected", "timestamp in the future", stamp > self.span.latest_us),
            ("rejected", "total_samples is negative", weight < 0),
            ("outside", "after as_of", stamp > self.span.as_of_us),
            ("outside", "older than any window", stamp < self.span.since_us),
        ]
        open_ = ~elsewhere if self.span.owned else pair >= 0
        keep = pair >= 0
        for outcome, reason, found in rules:
            hit = open_ & found
            count = int(np.count_nonzero(hit))
            if not count:
                continue
            row = int(np.argmax(hit))
            example = Example(place[0], place[1] + row, _told(batch, plan, reason, row))
            self.account.add(outcome, reason, count, example)
            open_ &= ~hit
            keep &= ~hit
        return keep


def _told(batch: pa.RecordBatch, plan: ColumnPlan, reason: str, row: int) -> str:
    """What stands in the cell that broke the rule."""
    name = next((n for n in ("model_id", "class_id", "total_samples") if n in reason), "timestamp")
    if name not in plan.source:
        return plan.constants.get(name, "")
    try:
        value = batch[plan.source[name]][row].as_py()
    except (UnicodeDecodeError, ValueError, OverflowError):
        value = "unreadable"
    return f"{plan.source[name]} = {str(value)[:80]!r}"


@dataclass(frozen=True, slots=True)
class _Ids:
    """A column of names: distinct ones and each row's index; −1 refused."""

    names: list[str]
    code: Ints
    too_long: Bools
    not_utf8: Bools

    @classmethod
    def constant(cls, name: str, size: int) -> _Ids:
        none = np.zeros(size, np.bool_)
        return cls([name], np.zeros(size, np.int64), none, none)

    @classmethod
    def of(cls, column: pa.DictionaryArray) -> _Ids:
        raw = column.dictionary.cast(pa.binary()).to_pylist()
        names, verdict = [], []
        for word in raw:
            text, problem = _decoded(word)
            verdict.append(problem)
            names.append(text)
        index = column.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        problems = (
            np.array([*verdict, 1], np.int64)[index] if raw else np.ones(len(index), np.int64)
        )
        code = np.where(problems == 0, index, -1)
        return cls(names, code, problems == 2, problems == 3)

    def refused(self, name: str) -> list[tuple[str, str, Bools]]:
        return [
            ("rejected", "id is not UTF-8", self.not_utf8),
            ("rejected", "id longer than 1,024 bytes", self.too_long),
            ("rejected", f"{name} is null or empty", self.code < 0),
        ]


def _decoded(word: bytes | None) -> tuple[str, int]:
    """A name and what is wrong with it: 0 nothing, 1 empty, 2 too long, 3 not UTF-8."""
    if not word:
        return "", 1
    if len(word) > MAX_ID_BYTES:
        return "", 2
    try:
        return word.decode("utf-8"), 0
    except UnicodeDecodeError:
        return "", 3
