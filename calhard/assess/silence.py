"""When a source last sent something for each series, and how often it does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calhard.assess.columns import Columns
from calhard.assess.windows import Clock, find_windows
from calhard.schema import MICROSECONDS_PER_DAY
from calhard.series import SeriesBlock

Bools = NDArray[np.bool_]

MAY_LACK = frozenset({"alpha", "merged_bin_rate"})
"""Metrics that sound labels may not have: α of labels that are all alike, bins of a few rows."""


class Sources:
    """The rows of a block as they were sent, before dense ones become slots."""

    def __init__(self, raw: SeriesBlock, clock: Clock) -> None:
        self._raw, self._clock = raw, clock

    def sent(self, metric: str, *, dense: bool) -> Columns:
        """Return the spacing, the longest pause but one, and the day of the last row, (G,) each.

        A row without the metric was sent for it all the same where it says why it has none: no
        label was there (``total_samples`` = 0), or the metric is one that labels may lack and the
        row has another one. The latter only in groups whose rows have both: a metric with rows of
        its own is silent when those stop. Nothing is returned where no row lacks the metric and
        none is dense: its values tell.
        """
        known = ~np.isnan(self._raw.values[metric])
        if known.all() and not dense:
            return {}
        excused = ~known & (self._unlabelled() | self._lacking(metric, known))
        sent = known | excused
        block = self._raw if sent.all() else self._raw.rows(sent)
        windows = find_windows(block, self._clock)
        found = {"spacing_raw": windows.spacing, "pause": windows.pause}
        return found | {"sent_day": self._last_day(sent)} if excused.any() else found

    def _unlabelled(self) -> Bools:
        samples = self._raw.total_samples
        return np.zeros(len(self._raw.timestamp), np.bool_) if samples is None else samples == 0

    def _lacking(self, metric: str, known: Bools) -> Bools:
        """Rows that have another metric, in groups that have rows with both."""
        others = [~np.isnan(v) for name, v in self._raw.values.items() if name != metric]
        if metric not in MAY_LACK or not others:
            return np.zeros(len(known), np.bool_)
        other = np.logical_or.reduce(others)
        both = np.concatenate(([0], np.cumsum(known & other)))[self._raw.offsets]
        found: Bools = other & np.repeat(np.diff(both) > 0, np.diff(self._raw.offsets))
        return found

    def _last_day(self, rows: Bools) -> NDArray[np.float64]:
        """Day of each group's last such row, against the clock's cut; NaN without any."""
        chosen = np.where(rows, self._raw.timestamp - self._clock.cut, np.iinfo(np.int64).min)
        size = np.diff(self._raw.offsets)
        last = np.full(len(size), np.iinfo(np.int64).min)
        filled = np.flatnonzero(size)
        last[filled] = np.maximum.reduceat(chosen, self._raw.offsets[:-1][filled])
        some = last > np.iinfo(np.int64).min
        days = np.where(some, last, 0) / MICROSECONDS_PER_DAY
        return np.where(some, days, np.nan)
