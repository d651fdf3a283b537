"""The latest samples of one stream, in memory that never grows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class History:
    """A copy of a ring: n samples in time order.

    ``timestamp`` int64 (n,), microseconds since 1970; ``values`` (M, n) with NaN where a metric was
    not reported and inf where what was is no finite number; ``labels`` (n,), NaN where unknown.
    """

    timestamp: NDArray[np.int64]
    values: Floats
    labels: Floats

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.timestamp)


class Ring:
    """At most ``capacity`` samples of M metrics; adding one is O(1).

    The arrays hold twice the capacity and are written from left to right, so that the kept samples
    always lie side by side; when the end is reached the newest are moved to the front.
    """

    def __init__(self, metrics: int, capacity: int) -> None:
        self._capacity = capacity
        self._time = np.zeros(2 * capacity, np.int64)
        self._values = np.full((metrics + 1, 2 * capacity), np.nan)
        self._begin = self._end = 0

    def __len__(self) -> int:
        """Return the number of samples kept."""
        return self._end - self._begin

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return self._time.nbytes + self._values.nbytes

    def last(self) -> tuple[int, Floats] | None:
        """Return the newest instant and its row (M + 1 values, the labels last), None if empty."""
        if not len(self):
            return None
        return int(self._time[self._end - 1]), self._values[:, self._end - 1]

    def oldest(self) -> Floats | None:
        """Return the row that the next one replaces, None while there is room."""
        return self._values[:, self._begin] if len(self) == self._capacity else None

    def add(self, us: int, row: list[float]) -> None:
        """Append a row of M + 1 values, the labels last."""
        if self._end == len(self._time):
            self._to_the_front()
        self._time[self._end] = us
        self._values[:, self._end] = row
        self._end += 1
        self._begin = max(self._begin, self._end - self._capacity)

    def _to_the_front(self) -> None:
        kept = slice(self._begin, self._end)
        size = len(self)
        self._time[:size] = self._time[kept]
        self._values[:, :size] = self._values[:, kept]
        self._begin, self._end = 0, size

    def copy(self) -> History:
        """Return the kept samples, oldest first."""
        kept = slice(self._begin, self._end)
        values = self._values[:, kept].copy()
        return History(self._time[kept].copy(), values[:-1], values[-1])
