"""The rules for predictions: which are refused, and what state the others are in."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from calhard.history.account import Example, RowAccount
from calhard.history.columns import EXAMPLE, ColumnPlan
from calhard.history.convert import to_microseconds
from calhard.history.ids import Bools, Floats, Ints, Keys, Names, Pairs, pair_codes
from calhard.history.rows import names_in, tag_codes
from calhard.history.rules import YEAR_1990, CheckedBatch, Span
from calhard.measure.examples import example_codes
from calhard.measure.reported import Reported
from calhard.measure.rows import (
    BAD_LABEL,
    CONFLICTING,
    MASKED,
    MISMATCH,
    MISSING,
    OUT_OF_RANGE,
    UNLABELLED,
    USED,
    WEIGHTLESS,
    PredictionRows,
    States,
)
from calhard.schema import LARGEST, WHOLE_MODEL

Rule = tuple[str, str, str, Bools]
"""(outcome, reason, canonical column, rows)."""

EXTREME = "weight outside of 1e-100 to 1e100"
"""Squares of such weights could not be added up, or would be none."""

UNUSED = {
    OUT_OF_RANGE: ("score is not in [0, 1]", "score"),
    MISMATCH: ("mask contradicts score and label", "mask"),
    UNLABELLED: ("label is null", "label"),
    MISSING: ("score is null", "score"),
    MASKED: ("masked", "mask"),
    BAD_LABEL: ("label is not in [0, 1]", "label"),
    WEIGHTLESS: ("weight is 0", "weight"),
    CONFLICTING: ("same model, class, example_id and timestamp, other values", "example_id"),
}
"""How each state but `USED` is told: its reason, and the column whose cell is its example."""


def row_states(
    score: Reported, label: Reported, mask: Reported | None, weight: Floats | None
) -> States:
    """Return the one state of each row, shape (R,); see `calhard.measure.rows`.

    Where several fit, the first of these: what the mask says where it is false, `OUT_OF_RANGE`,
    what is missing, `BAD_LABEL`, `WEIGHTLESS`. A null mask is none.
    """
    state = np.full(len(score.value), USED, np.int8)
    if weight is not None:
        state[weight == 0.0] = WEIGHTLESS
    state[~label.probability] = BAD_LABEL
    no_label, no_score = _nulls(label), _nulls(score)
    state[no_label] = UNLABELLED
    state[no_score] = MISSING
    lacking = no_label | no_score
    if mask is not None:
        state[lacking & (mask.value == 1.0)] = MISMATCH
    state[~score.probability & ~no_score] = OUT_OF_RANGE
    if mask is not None:
        masked = mask.value == 0.0
        state[masked] = MISMATCH
        state[masked & lacking] = MASKED
    return state


def _nulls(column: Reported) -> Bools:
    return np.zeros(len(column.value), np.bool_) if column.null is None else column.null


class Predicted(CheckedBatch):
    """A batch of predictions against the rules for rows of a history, and its own."""

    def __init__(
        self,
        batch: pa.RecordBatch,
        plan: ColumnPlan,
        file: str,
        first_row: int,
        keys: Keys,
        timezone: str | None,
    ) -> None:
        model, class_ = (names_in(batch, plan, name) for name in ("model_id", "class_id"))
        pairs = pair_codes(model, class_, lambda _: True, keys)
        time = to_microseconds(batch[plan.source["timestamp"]], timezone)
        none = np.zeros(batch.num_rows)
        names = (model, class_)
        super().__init__(batch, plan, file, first_row, names, pairs, time, none, timezone)
        self.score, self.label = self._column("score"), self._column("label")
        self.mask = self._column("mask") if "mask" in plan.source else None
        self.weights = self._weights()
        self.own = [rule for rule in self._own_rules() if rule[3].any()]

    def rows(
        self, keys: Keys, tags: tuple[str, ...], latest_us: int, account: RowAccount
    ) -> PredictionRows:
        """Return the rows with a usable key and instant; count the others, and those unused."""
        keep = self.refuse(Span(YEAR_1990, latest_us, latest_us), account)
        state = row_states(self.score, self.label, self.mask, self.weights)
        self._account_for(state, keep, account)
        rows = PredictionRows(
            self.pairs.code,
            self.stamp,
            self.score.value,
            self.label.value,
            self.weights,
            state,
            self._examples(),
            {tag: tag_codes(self.batch, self.plan, tag, keys) for tag in tags},
        )
        return rows if keep is None else rows.take(keep)

    def _column(self, name: str) -> Reported:
        column = self.plan.source[name]
        return Reported.of(self.batch[column], column, self.first_row)

    def _weights(self) -> Floats | None:
        """Weights, 1 where null; None without a column of them."""
        if "weight" not in self.plan.source:
            return None
        found = self._column("weight")
        return found.value if found.null is None else np.where(found.null, 1.0, found.value)

    def _examples(self) -> Ints | None:
        column = self.plan.source.get(EXAMPLE)
        return None if column is None else example_codes(self.batch[column])

    def _all_stay(self, span: Span) -> bool:
        return not self.own and super()._all_stay(span)

    def _rules(self, span: Span) -> list[Rule]:
        return [*super()._rules(span), *self.own]

    def _own_rules(self) -> list[Rule]:
        whole = "class_id __all__ is made by measure"
        rules = [("rejected", whole, "class_id", _of_class(WHOLE_MODEL, self.names[1], self.pairs))]
        weight = self.weights
        if weight is not None:
            finite = np.isfinite(weight)
            rules += [
                ("rejected", "weight is not finite", "weight", ~finite),
                ("rejected", "weight is negative", "weight", weight < 0.0),
                ("rejected", EXTREME, "weight", finite & (weight > LARGEST)),
                ("rejected", EXTREME, "weight", (weight > 0.0) & (weight < 1.0 / LARGEST)),
            ]
        if self.mask is not None:
            known = (self.mask.value == 0.0) | (self.mask.value == 1.0) | _nulls(self.mask)
            rules.append(("rejected", "mask is neither true nor false", "mask", ~known))
        return rules

    def _account_for(self, state: States, keep: Bools | None, account: RowAccount) -> None:
        """Count the rows that stay, and of them once more those that are not used, by state."""
        counts = np.bincount(state if keep is None else state[keep], minlength=1)
        account.rows += int(counts.sum())
        for unused in (np.flatnonzero(counts[1:]) + 1).tolist():
            reason, column = UNUSED[unused]
            hit = state == unused if keep is None else keep & (state == unused)
            row = int(np.argmax(hit))
            example = Example(self.file, self.first_row + row, self._cell(column, row))
            account.add("unused", reason, int(counts[unused]), example)


def _of_class(name: str, classes: Names, pairs: Pairs) -> Bools:
    """Rows of a class."""
    found = np.array([*(word == name for word in classes.words), False], np.bool_)
    return np.repeat(found[pairs.class_], pairs.length)
