"""The keys of a shard's series, in short: by them it shows if any is lost or there twice."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from calhard.errors import CalhardError

Group = tuple[str, str]


@dataclass(frozen=True, slots=True)
class KeySpan:
    """Groups in the order of their keys: how many, the first and last one, and a hash of all."""

    count: int
    first: Group | None
    last: Group | None
    sha256: str

    def told(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {
            "count": self.count,
            "first": self.first,
            "last": self.last,
            "sha256": self.sha256,
        }

    @classmethod
    def from_told(cls, told: dict[str, Any]) -> KeySpan:
        """Return what `told` told."""
        first, last = (None if told[n] is None else tuple(told[n]) for n in ("first", "last"))
        return cls(told["count"], first, last, told["sha256"])


class KeyLedger:
    """Takes down groups as they come, in order.

    Raises
    ------
    CalhardError
        One comes a second time, or out of order.
    """

    def __init__(self) -> None:
        self._count = 0
        self._first: Group | None = None
        self._last: Group | None = None
        self._hash = hashlib.sha256()

    def add(self, models: Sequence[str], classes: Sequence[str]) -> None:
        """Take down some groups."""
        groups = list(zip(models, classes, strict=True))
        if not groups:
            return
        before = [] if self._last is None else [self._last]
        for a, b in pairwise([*before, *groups]):
            if a >= b:
                raise CalhardError(f"series are lost or doubled: {b} comes after {a}")
        words = "".join(f"{len(m)} {m}{len(c)} {c}" for m, c in groups)
        self._hash.update(words.encode("utf-8", "surrogatepass"))
        self._count += len(groups)
        self._first = self._first or groups[0]
        self._last = groups[-1]

    def span(self) -> KeySpan:
        """Return what was taken down."""
        return KeySpan(self._count, self._first, self._last, self._hash.hexdigest())
