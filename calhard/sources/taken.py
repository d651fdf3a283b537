"""Values that were fetched and are not yet spooled: no more than a bounded number of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from calhard.plan.logged import NUMBERS
from calhard.sources.asked import Points
from calhard.sources.rows import Owner, Values
from calhard.sources.spool import Spool

POINTS_HELD = 100_000
"""Values that are held before they are spooled as rows; each takes about 450 bytes then."""


@dataclass(slots=True)
class Taken:
    """Takes whole parts of the values of some runs, and spools them when they are many."""

    owned: Mapping[str, Sequence[tuple[str, str, Owner]]]
    """By run: keys, the column of each, and whose values they are."""
    spool: Spool
    held: int = 0
    _values: Values = field(default_factory=Values)
    _by_key: dict[tuple[str, str], list[tuple[int, Owner]]] = field(init=False)

    def __post_init__(self) -> None:
        """Find columns and owners by run and key."""
        places = {name: index for index, name in enumerate(self.spool.columns)}
        self._by_key = {}
        for run_id, owners in self.owned.items():
            for key, column, owner in owners:
                self._by_key.setdefault((run_id, key), []).append((places[column], owner))

    def add(self, found: Mapping[tuple[str, str], Points]) -> None:
        """Take values by run and key; all of an owner's come at once."""
        count = sum(len(points.ms) for points in found.values())
        if self.held + count > POINTS_HELD:
            self.flush()
        for place, points in found.items():
            for column, owner in self._by_key.get(place, ()):
                self._values.add(owner, column, points.ms, points.step, points.value)
        self.held += count

    def flush(self) -> None:
        """Spool what is held."""
        for rows in self._values.rows(len(self.spool.columns)):
            self.spool.write(rows.reporting(len(self.spool.columns) - len(NUMBERS) - 1))
        self._values, self.held = Values(), 0
