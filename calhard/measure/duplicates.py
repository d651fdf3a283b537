"""Rows of one example: those that agree count once, those that contradict each other not at all.

Rows of one example share a model, a class, an ``example_id`` and a timestamp, which is when the
prediction was made: the same id at another instant, in whatever period, is another prediction, as
of a customer who is scored every day. Without ids equal rows are different examples.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calhard.history.account import Example, RowAccount
from calhard.history.ids import Bools, Floats, Ints, Keys
from calhard.measure.examples import FACTORS, GOLDEN
from calhard.measure.manifest import instant_text
from calhard.measure.rows import CONFLICTING, NO_EXAMPLE, PredictionRows
from calhard.measure.rules import UNUSED

AGREE = "same model, class, example_id and timestamp"
DISAGREE, _ = UNUSED[CONFLICTING]


@dataclass(frozen=True, slots=True)
class Settled:
    """Rows without repeated ones, and what became of those."""

    rows: PredictionRows
    account: RowAccount
    """``duplicate`` rows that were left out, and ``unused`` ones that contradict another."""


def settle(rows: PredictionRows, keys: Keys) -> Settled:
    """Return rows of which every example has one, or several that contradict each other.

    Rows contradict each other where both say a score, a label or a weight, and not the same; then
    one of each kind stays and is `CONFLICTING`. Else one stays: one with score and label before
    one that lacks either (a label may arrive as a row of its own, with the score), a usable one
    before another, and of equals the first by its tags. ``rows`` are all rows of their models and
    periods, in any order; the result does not depend on it.
    """
    account = RowAccount()
    if rows.example is None:
        return Settled(rows, account)
    again = _repeated(rows, rows.example)
    if not len(again):
        return Settled(rows, account)
    again = again[_order(rows.take(again), rows.example[again], keys)]
    found = rows.take(again)
    other_example = _changes(found.pair, found.timestamp, rows.example[again])
    other_content = other_example | _changes(found.state, *_values(found))
    head = np.flatnonzero(other_example)
    size = np.diff(head, append=len(found))
    clash = _clashes(found, head)
    conflicting = np.repeat(clash, size)
    keep = np.where(conflicting, other_content, other_example)
    account.add("duplicate", AGREE, int((~keep).sum()))
    clashing = _example(found, head, clash, keys)
    account.add("unused", DISAGREE, int((keep & conflicting).sum()), clashing)
    state, stays = rows.state.copy(), np.ones(len(rows), np.bool_)
    state[again[conflicting]] = CONFLICTING
    stays[again[~keep]] = False
    return Settled(replace(rows, state=state).take(stays), account)


def _repeated(rows: PredictionRows, example: Ints) -> Ints:
    """Return which rows share their example with another, and by chance hardly any other."""
    named = np.flatnonzero(example != NO_EXAMPLE)
    key = example[named].view(np.uint64) + rows.pair[named].astype(np.uint64) * GOLDEN
    key += rows.timestamp[named].view(np.uint64) * FACTORS[0]
    ordered = np.sort(key)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(twice):
        return named[:0]
    at = np.minimum(np.searchsorted(twice, key), len(twice) - 1)
    found: Ints = named[twice[at] == key]
    return found


def _order(rows: PredictionRows, example: Ints, keys: Keys) -> Ints:
    """Sort rows by example, and within an example so that the first is the one to keep."""
    ranks = []
    for tag in sorted(rows.tags, reverse=True):
        words = keys.words.get(tag, [])
        rank = np.full(len(words) + 1, len(words), np.int64)  # a row without the tag comes last
        rank[sorted(range(len(words)), key=words.__getitem__)] = np.arange(len(words))
        ranks.append(rank[rows.tags[tag]])
    lacks = np.isnan(rows.label) + 2 * np.isnan(rows.score)
    content = (*reversed(_values(rows)), rows.state, lacks)
    order: Ints = np.lexsort((*ranks, *content, example, rows.timestamp, rows.pair))
    return order


def _values(rows: PredictionRows) -> tuple[Floats, ...]:
    values = (rows.score, rows.label)
    return values if rows.weight is None else (*values, rows.weight)


def _changes(*columns: NDArray[Any]) -> Bools:
    """Return where any column differs from the row before; the first row does. NaN equals NaN."""
    found = np.zeros(len(columns[0]), np.bool_)
    found[0] = True
    for column in columns:
        none = np.isnan(column)
        found[1:] |= (column[1:] != column[:-1]) & ~(none[1:] & none[:-1])
    return found


def _clashes(rows: PredictionRows, head: Ints) -> Bools:
    """Return which examples have two different scores, labels or weights; NaN says nothing."""
    found = np.zeros(len(head), np.bool_)
    for values in _values(rows):
        found |= np.fmin.reduceat(values, head) < np.fmax.reduceat(values, head)
    return found


def _example(rows: PredictionRows, head: Ints, clash: Bools, keys: Keys) -> Example | None:
    """The first contradiction by model, class and time."""
    heads = head[clash]
    if not len(heads):
        return None
    pair = min(np.unique(rows.pair[heads]).tolist(), key=keys.pairs.__getitem__)
    heads = heads[rows.pair[heads] == pair]
    first = int(heads[np.argmin(rows.timestamp[heads])])
    end = int(np.append(head, len(rows))[np.searchsorted(head, first) + 1])
    model, class_ = keys.pairs[pair]
    stamp = int(rows.timestamp[first])
    told = [f"model_id = {model!r}, class_id = {class_!r}, timestamp = '{instant_text(stamp)}'"]
    for name, values in zip(("score", "label", "weight"), _values(rows), strict=False):
        low, high = (float(f(values[first:end])) for f in (np.fmin.reduce, np.fmax.reduce))
        if low < high:
            told.append(f"{name} = {low} and {high}")
    return Example("", -1, ", ".join(told), (model, class_, stamp))
