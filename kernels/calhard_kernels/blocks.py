"""Runs of neighbouring groups whose rows fit a processor's cache together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np

from calhard_kernels._array import Array, namespace
from calhard_kernels.outcomes import Outcomes

CACHE_ROWS = 1 << 16
"""Rows worked on at once by NumPy: an array of them is 512 KiB, so that a few stay in the cache."""

DEVICE_ROWS = 1 << 23
"""Rows worked on at once elsewhere, where a launch costs more than a cache saves."""


Record = TypeVar("Record", bound=Any)


def by_blocks(kernel: Callable[[Outcomes], Record], o: Outcomes) -> Record:
    """Return ``kernel(o)``, a dataclass of arrays (G,), computed block by block.

    The kernel's result of a group must not depend on the groups beside it.
    """
    parts = [kernel(block) for block in group_blocks(o)]
    if len(parts) == 1:
        return parts[0]
    xp = namespace(o.score)
    columns = ([getattr(part, f.name) for part in parts] for f in fields(parts[0]))
    joined: Record = type(parts[0])(*(xp.concat(column) for column in columns))
    return joined


def group_blocks(
    o: Outcomes, rows: int | None = None, groups: int | None = None
) -> Iterator[Outcomes]:
    """Yield all groups in their order, as many at once as have up to ``rows`` rows together.

    A group is never split: one with more rows is a block of its own. At most ``groups`` at once, if
    given. There is at least one block, be it of no groups.
    """
    size = rows or (CACHE_ROWS if namespace(o.score) is np else DEVICE_ROWS)
    number = o.offsets.shape[0] - 1
    most = groups or max(number, 1)
    if o.score.shape[0] <= size and number <= most:
        yield o
        return
    first = begin = 0
    while first < number:
        last = max(first + 1, min(first + most, _groups_before(o.offsets, begin + size)))
        end = int(o.offsets[last])
        yield Outcomes(
            o.score[begin:end],
            o.label[begin:end],
            None if o.weight is None else o.weight[begin:end],
            o.offsets[first : last + 1] - begin,
        )
        first, begin = last, end


def _groups_before(offsets: Array, row: int) -> int:
    """How many groups end at ``row`` or before it."""
    xp = namespace(offsets)
    at = xp.asarray([row], dtype=xp.int64)
    return int(xp.searchsorted(offsets, at, side="right")[0]) - 1
