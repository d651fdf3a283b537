"""The model as a whole: the rows of class ``__all__``, top label or all classes pooled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from calhard.history.ids import Bools, Codes, Ints, Keys
from calhard.measure.grouping import Groups
from calhard.measure.rows import NO_EXAMPLE, USED, PredictionRows
from calhard.measure.settings import Settings
from calhard.schema import MICROSECONDS_PER_DAY, WHOLE_MODEL

UNCLEAR = 0.9
"""Share of rows that share an instant with another of their class: beyond it, instants are none.

So large that busy hours do not turn one rule into the other: of 200,000 examples a day whose
timestamps are whole seconds a tenth still stands alone.
"""


@dataclass(frozen=True, slots=True)
class WholeModel:
    """Rows of class ``__all__``, and which of them stand for an example by its top label."""

    rows: PredictionRows
    top: Bools


def whole_model(
    rows: PredictionRows, groups: Groups, keys: Keys, settings: Settings
) -> WholeModel | None:
    """Return the rows of every model that has two classes or more in a period; None without any.

    *Top label*: of the rows of one example the one with the largest score (of equal ones that of
    the first class by name): its score is the model's confidence, its label whether the model was
    right. An example is what shares a model and an ``example_id`` (and a timestamp, where ids are
    used again within the period), or without such ids a model and a timestamp. One of which a row
    is not used, or a class stands twice, is left out.

    *Pooled*: the rows of all classes together.

    ``auto`` takes top labels where there are ids, or where timestamps tell examples apart: not all
    are midnights, and at least a tenth of the rows share theirs with no other row of their class.
    This is decided for each model and period by its own rows. Rows that are not used are in it
    either way, so that their counts are those of all classes.
    """
    rule = settings.plan.measure.whole_model
    if rule == "none":
        return None
    cell = _cells(rows, groups, keys.pairs, by_model=settings.period.rows is not None)
    chosen = np.flatnonzero(cell >= 0)
    if not len(chosen):
        return None
    rows, cell = rows.take(chosen), cell[chosen]
    by_top = np.zeros(len(rows), np.bool_)
    top = by_top
    if rule != "pooled":
        order, examples = _by_example(rows, cell, _class_ranks(keys.pairs)[rows.pair])
        rows, cell = rows.take(order), cell[order]
        by_top = np.ones(len(rows), np.bool_) if rule == "top_label" else examples.told(rows, cell)
        top = by_top & examples.top(rows)
    keep = np.where(by_top, top | (rows.state != USED), True)
    return WholeModel(replace(rows, pair=_whole_pairs(rows.pair, keys)).take(keep), top[keep])


def _cells(
    rows: PredictionRows, groups: Groups, pairs: Sequence[tuple[str, str]], *, by_model: bool
) -> Ints:
    """Number the model and period of every row; −1 where the model has a single class in it."""
    names = {name: code for code, name in enumerate(dict.fromkeys(model for model, _ in pairs))}
    model = np.array([names[name] for name, _ in pairs], np.int64)
    if by_model:
        there = np.flatnonzero(np.bincount(rows.pair, minlength=len(pairs)))
        cell, classes = model[rows.pair], np.bincount(model[there], minlength=len(names))
    else:
        _, period = np.unique(groups.start, return_inverse=True)
        joint = model[groups.pair] * (int(period.max()) + 1) + period
        _, of_group = np.unique(joint, return_inverse=True)
        cell, classes = of_group[groups.code], np.bincount(of_group)
    several = classes >= 2
    number: Ints = np.where(several, np.cumsum(several) - 1, -1)[cell]
    return number


def _class_ranks(pairs: Sequence[tuple[str, str]]) -> Ints:
    """Each pair's class, as its place among all of them by name."""
    rank = {name: place for place, name in enumerate(sorted({class_ for _, class_ in pairs}))}
    return np.array([rank[class_] for _, class_ in pairs], np.int64)


def _whole_pairs(pair: Codes, keys: Keys) -> Codes:
    """The code of each row's model as a whole."""
    whole = np.zeros(len(keys.pairs), np.int32)
    for code in np.flatnonzero(np.bincount(pair, minlength=len(whole))).tolist():
        whole[code] = keys.pair(keys.pairs[code][0], WHOLE_MODEL)
    found: Codes = whole[pair]
    return found


@dataclass(frozen=True, slots=True)
class _Examples:
    """Rows sorted by cell, example and class: where an example begins, and which say something."""

    head: Ints
    """(E,) the first row of every example."""
    named: Bools
    """(R,) whether the row's example is told by an id."""
    again: Bools
    """(R,) whether the row's class stands in its example a second time."""

    def spread(self, values: Bools) -> Bools:
        """Return each example's value at each of its rows."""
        return np.repeat(values, np.diff(np.append(self.head, len(self.again))))

    def told(self, rows: PredictionRows, cell: Ints) -> Bools:
        """Return for each row whether the examples of its model and period can be told apart."""
        midnight = rows.timestamp % MICROSECONDS_PER_DAY == 0
        unclear = self.spread(np.logical_or.reduceat(self.again, self.head))
        size = np.bincount(cell)
        by_instant = np.bincount(cell, midnight) < size
        by_instant &= np.bincount(cell, unclear) <= UNCLEAR * size
        found: Bools = ((np.bincount(cell, self.named) == size) | by_instant)[cell]
        return found

    def top(self, rows: PredictionRows) -> Bools:
        """Return which row has the largest score of its example; none where a row is not sound."""
        bad = self.again | (rows.state != USED)
        sound = ~np.logical_or.reduceat(bad, self.head)
        score = np.where(bad, -1.0, rows.score)
        largest = self.spread(np.maximum.reduceat(score, self.head)) == score
        place = np.where(largest, np.arange(len(score)), len(score))
        first = np.minimum.reduceat(place, self.head)[sound]
        top = np.zeros(len(score), np.bool_)
        top[first] = True
        return top


def _by_example(rows: PredictionRows, cell: Ints, class_rank: Ints) -> tuple[Ints, _Examples]:
    """Return the order of rows by cell, example and class, and the examples in that order."""
    named = np.zeros(len(rows), np.bool_)
    key, moment = rows.timestamp, np.zeros(len(rows), np.int64)
    if rows.example is not None:
        named = rows.example != NO_EXAMPLE
        key = np.where(named, rows.example, key)
        moment = np.where(named & _reused(rows, rows.example, cell, class_rank), rows.timestamp, 0)
    order = np.lexsort((class_rank, moment, key, named, cell))
    fresh = np.ones(len(order), np.bool_)
    columns = [column[order] for column in (cell, named, key, moment)]
    fresh[1:] = np.logical_or.reduce([column[1:] != column[:-1] for column in columns])
    classes = class_rank[order]
    again = ~fresh
    again[1:] &= classes[1:] == classes[:-1]
    return order, _Examples(np.flatnonzero(fresh), named[order], again)


def _reused(rows: PredictionRows, example: Ints, cell: Ints, class_rank: Ints) -> Bools:
    """Rows of a model and period in which an id has a class at two instants: ids are used again."""
    order = np.lexsort((rows.timestamp, class_rank, example, cell))
    alike = np.ones(max(len(order) - 1, 0), np.bool_)
    for column in (cell, example, class_rank):
        alike &= column[order][1:] == column[order][:-1]
    stamp = rows.timestamp[order]
    twice = np.flatnonzero(alike & (stamp[1:] != stamp[:-1]))
    found: Bools = np.isin(cell, cell[order][twice])
    return found
