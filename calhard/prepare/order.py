"""Rows of a table in the order of their keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from calhard.history.ids import Bools, Ints
from calhard.history.permutation import by_group
from calhard.prepare.keys import Key

DENSE = 2**22
"""Pairs of a table are counted in a table up to this size, sorted beyond it."""
LARGEST = 2**62
"""Of the numbers that a pair and an instant make together."""
KeyNames = tuple[str, str, str]
"""Columns of the model, the class and the timestamp."""


def in_order(table: pa.Table, names: KeyNames) -> pa.Table:
    """Return a table's rows by (model, class, timestamp); those of one key keep their order."""
    pair, groups = _pairs(table, names)
    stamp = stamps(table, names)
    if _is_sorted(pair, stamp):
        return table
    order = by_group(pair, groups)
    if not _is_sorted(pair[order], stamp[order]):
        order = _by_key(pair, groups, stamp)
    return table.combine_chunks().take(pa.array(order))


def _by_key(pair: Ints, groups: int, stamp: Ints) -> Ints:
    """Places of rows by pair and instant, as they came where both are equal.

    As one number the two are sorted several times as fast, if not in a stable way.
    """
    first = int(stamp.min())
    span = int(stamp.max()) - first + 1
    if groups * span > LARGEST:
        return np.lexsort((stamp, pair))
    key = pair * span + (stamp - first)
    order = np.argsort(key)
    found = key[order]
    equal = np.concatenate(([False], found[1:] == found[:-1]))
    tied = np.flatnonzero(equal | np.append(equal[1:], False))
    chosen = order[tied]
    order[tied] = chosen[np.lexsort((chosen, found[tied]))]
    return order


def _pairs(table: pa.Table, names: KeyNames) -> tuple[Ints, int]:
    """Each row's pair, numbered in the order of their names, and how many numbers there are."""
    model, models = _ranked(table, names[0])
    class_, classes = _ranked(table, names[1])
    joint = model * classes + class_
    if models * classes <= max(DENSE, 2 * len(joint)):
        return joint, models * classes
    present, place = np.unique(joint, return_inverse=True)
    return place.astype(np.int64), len(present)


def _ranked(table: pa.Table, name: str) -> tuple[Ints, int]:
    """Each row's place among the distinct names of a column, in the order of their bytes."""
    encoded = table[name].combine_chunks().dictionary_encode()
    words = encoded.dictionary.to_pylist()
    rank = np.empty(len(words), np.int64)
    rank[sorted(range(len(words)), key=words.__getitem__)] = np.arange(len(words))
    return rank[encoded.indices.to_numpy()], len(words)


def stamps(table: pa.Table | pa.RecordBatch, names: KeyNames) -> Ints:
    """Return a table's timestamps, µs since 1970."""
    found: Any = table.column(names[2])
    whole = found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found
    stamp: Ints = whole.cast(pa.int64()).to_numpy()
    return stamp


def _is_sorted(pair: Ints, stamp: Ints) -> bool:
    later = pair[1:] > pair[:-1]
    return bool((later | ((pair[1:] == pair[:-1]) & (stamp[1:] >= stamp[:-1]))).all())


def key_at(table: pa.Table | pa.RecordBatch, row: int, names: KeyNames) -> Key:
    """Return the key of a row."""
    model, class_, stamp = (table.column(name)[row] for name in names)
    return model.as_py(), class_.as_py(), stamp.value


def rows_before(table: pa.Table | pa.RecordBatch, key: Key, names: KeyNames) -> int:
    """Return how many rows of a sorted table lie before a key."""
    low, high = 0, table.num_rows
    while low < high:
        middle = (low + high) // 2
        if key_at(table, middle, names) < key:
            low = middle + 1
        else:
            high = middle
    return low


def first_of_models(table: pa.Table, names: KeyNames) -> Bools:
    """Return which rows of a sorted table begin a model; the first row is none."""
    codes = table[names[0]].combine_chunks().dictionary_encode().indices.to_numpy()
    return np.concatenate((np.zeros(min(len(codes), 1), np.bool_), codes[1:] != codes[:-1]))


def merged(old: Iterator[pa.Table], new: Iterator[pa.Table], names: KeyNames) -> Iterator[pa.Table]:
    """Yield the rows of sorted tables that follow one another, and those of others, in order.

    A table of each is in memory at a time. Of rows of one key the old ones come first.
    """
    head = next(new, None)
    for table in old:
        if not table.num_rows:
            continue
        last = key_at(table, table.num_rows - 1, names)
        step = [table]
        while head is not None:
            count = rows_before(head, last, names)
            if count:
                step.append(head.slice(0, count))
            if count < head.num_rows:
                head = head.slice(count)
                break
            head = next(new, None)
        yield table if len(step) == 1 else in_order(pa.concat_tables(step), names)
    if head is not None:
        yield head
    yield from new
