"""When a source last sent something for each series, and how often it does."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from calhard.assess.columns import Columns
from calhard.assess.windows import Clock, Windows, find_windows
from calhard.schema import MICROSECONDS_PER_DAY
from calhard.series import SeriesBlock


class Sources:
    """The rows of a block as they were sent, before dense ones become slots."""

    def __init__(self, raw: SeriesBlock, clock: Clock) -> None:
        self._raw, self._clock = raw, clock
        self._whole = cache(lambda: find_windows(raw, clock))

    def sent(self, metric: str, *, dense: bool) -> Columns:
        """Return the spacing, the longest pause but one, and the day of the last row, (G,) each.

        A row that has other metrics but not this one says that this one has no value there, as α of
        labels that are all alike: the source is not silent. That holds where the two come in the
        same rows; a metric that has rows of its own is silent when those stop. Nothing is returned
        where no row lacks the metric and none is dense: its values tell.
        """
        own = self._raw.reported(metric)
        if own is self._raw and not dense:
            return {}
        windows = find_windows(own, self._clock)
        found = {"spacing_raw": windows.spacing, "pause": windows.pause}
        if own is self._raw:
            return found
        shared = self._shared(metric)
        if not shared.any():
            return found
        whole = self._whole()
        found = {
            "spacing_raw": np.where(shared, whole.spacing, windows.spacing),
            "pause": np.where(shared, whole.pause, windows.pause),
        }
        return found | {"sent_day": np.where(shared, self._last_day(whole), np.nan)}

    def _shared(self, metric: str) -> NDArray[np.bool_]:
        """Which groups have rows with this metric and another one, (G,)."""
        known = ~np.isnan(self._raw.values[metric])
        others = [~np.isnan(v) for name, v in self._raw.values.items() if name != metric]
        together = known & np.logical_or.reduce(others) if others else np.zeros_like(known)
        before = np.concatenate(([0], np.cumsum(together)))
        found: NDArray[np.bool_] = before[self._raw.offsets[1:]] > before[self._raw.offsets[:-1]]
        return found

    def _last_day(self, whole: Windows) -> NDArray[np.float64]:
        """Day of each group's last row, against the clock's cut; NaN without any."""
        some = whole.stop > self._raw.offsets[:-1]
        row = np.where(some, whole.stop - 1, 0)
        days = (self._raw.timestamp[row] - self._clock.cut) / MICROSECONDS_PER_DAY
        found: NDArray[np.float64] = np.where(some, days, np.nan)
        return found
