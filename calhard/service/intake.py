"""What a detector does with every sample: is it in time, keep it, look at it. All O(1)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

import numpy as np

from calhard.schema import Metric
from calhard.service.ring import Ring
from calhard.service.screen import Screen

BACKWARDS = "older than the newest sample"
CONFLICT = "same instant, other values"
FUTURE = "ahead of the clock"
UNSOUND = "not finite or out of range"
REVIEW = 100
"""After so many samples without a judgement one is suggested, whatever the screen says."""


class Intake:
    """The kept samples of one stream, the screen of each metric, and what was refused.

    Not safe to share between threads by itself.
    """

    def __init__(self, catalogue: Mapping[str, Metric], capacity: int) -> None:
        self.ring = Ring(len(catalogue), capacity)
        self.added = 0
        self.rejections: Counter[str] = Counter()
        self.duplicates = 0
        self._capacity = capacity
        self._metrics = list(catalogue.values())
        self._screens = [Screen() for _ in self._metrics]
        self._alarm = False
        self._since_rest = 0

    def last_us(self) -> int | None:
        """Return the newest sample's instant, µs; None without one."""
        last = self.ring.last()
        return None if last is None else last[0]

    def admit(self, stamp: int, row: list[float], *, future: bool) -> bool:
        """Keep a sample that is newer than all, or count why not; return whether it was kept.

        ``row`` holds a value for every metric of the catalogue (NaN: not reported), labels last.
        """
        last = self.ring.last()
        if last is not None and stamp <= last[0]:
            if stamp < last[0]:
                self.rejections[BACKWARDS] += 1
            elif np.array_equal(last[1], row, equal_nan=True):
                self.duplicates += 1
            else:
                self.rejections[CONFLICT] += 1
            return False
        if future:
            self.rejections[FUTURE] += 1
            return False
        self._keep(stamp, row)
        return True

    def _keep(self, stamp: int, row: list[float]) -> None:
        replaced = self.ring.oldest()
        if replaced is not None:
            for screen, old in zip(self._screens, replaced.tolist(), strict=False):
                screen.forget(old)
        for metric, screen, x in zip(self._metrics, self._screens, row, strict=False):
            if not math.isnan(x):
                self._look(metric, screen, x)
        self.ring.add(stamp, row)
        self.added += 1
        self._since_rest += 1
        if self.added % self._capacity == 0:
            for screen, kept in zip(self._screens, self.ring.copy().values, strict=True):
                screen.refresh(kept)

    def _look(self, metric: Metric, screen: Screen, x: float) -> None:
        if not metric.low <= x <= metric.high or math.isinf(x):
            self.rejections[f"{metric.name} {UNSOUND}"] += 1
            self._alarm = True
        elif x > 0 and metric.is_count:
            self._alarm = True
        if math.isfinite(x):
            screen.add(x)

    @property
    def suspicious(self) -> bool:
        """Whether something may have changed since the last `rest`."""
        screened = self._alarm or any(screen.tripped for screen in self._screens)
        return screened or self._since_rest >= REVIEW

    def rest(self) -> None:
        """Start the screens anew: what they saw was judged."""
        for screen in self._screens:
            screen.rest()
        self._alarm, self._since_rest = False, 0
