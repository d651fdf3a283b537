"""Keys of rows, and the bounds that cut a history into ranges of them.

Rows are in the order of (model_id, class_id, timestamp). A bound is the first key of a range; most
are the first key of a model, so that no model is cut, but one that is larger than a range.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from calhard.history.ids import Codes, Ints, Keys

Key = tuple[str, str, int]
"""(model_id, class_id, microseconds since 1970)."""
EARLIEST = -(2**63)
LATEST = 2**63 - 1


def start_of(model_id: str) -> Key:
    """Return the least key that a row of a model can have."""
    return model_id, "", EARLIEST


def after(model_id: str) -> Key:
    """Return the least key beyond those of a model."""
    return start_of(model_id + "\0")


@dataclass(frozen=True, slots=True)
class Bounds:
    """Ascending first keys of all ranges but the first; ``giants`` are at a giant model's ends."""

    keys: tuple[Key, ...] = ()
    giants: frozenset[Key] = frozenset()

    @property
    def ranges(self) -> int:
        """How many ranges there are."""
        return len(self.keys) + 1

    def joined(self, more: Iterable[Key]) -> Bounds:
        """Return these bounds and others."""
        return Bounds(tuple(sorted({*self.keys, *more})), self.giants)

    def range_of(self, key: Key) -> int:
        """Return the range in which a key lies."""
        return bisect_right(self.keys, key)


def even_bounds(sample: Iterable[Key], ranges: int) -> Bounds:
    """Return bounds of about so many ranges of as many sampled rows each.

    A model of more than two ranges is cut and has its ranges for itself.
    """
    drawn = sorted(sample)
    if ranges < 2 or not drawn:
        return Bounds()
    share = len(drawn) / ranges
    rows = Counter(model for model, _, _ in drawn)
    keys: set[Key] = set()
    giants: set[Key] = set()
    for number in range(1, ranges):
        key = drawn[int(number * share)]
        model = key[0]
        keys.add(start_of(model))
        if rows[model] > 2 * share:
            giants |= {start_of(model), after(model)}
            keys.add(key)
    return Bounds(tuple(sorted(keys | giants)), frozenset(giants))


@dataclass(slots=True)
class Ranger:
    """Tells the range of every row; pairs are looked up once."""

    bounds: Bounds
    keys: Keys
    _first: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    _last: Ints = field(default_factory=lambda: np.zeros(0, np.int64))

    def ranges_of(self, pair: Codes, timestamp: Ints) -> Ints:
        """Return the range of each row, (N,), given the code of its pair and its instant."""
        self._look_up(self.keys.pairs[len(self._first) :])
        found = self._first[pair]
        cut = np.flatnonzero(self._last > self._first)
        for code in cut[np.isin(cut, pair)].tolist():
            inside = self.bounds.keys[self._first[code] : self._last[code]]
            which = pair == code
            stamps = np.array([stamp for _, _, stamp in inside], np.int64)
            found[which] += np.searchsorted(stamps, timestamp[which], side="right")
        return found

    def _look_up(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Find the range that a pair begins in, and the one that it ends in."""
        if not pairs:
            return
        bounds = self.bounds.keys
        first = [bisect_right(bounds, (*pair, EARLIEST)) for pair in pairs]
        last = [bisect_right(bounds, (*pair, LATEST)) for pair in pairs]
        self._first = np.append(self._first, np.array(first, np.int64))
        self._last = np.append(self._last, np.array(last, np.int64))
