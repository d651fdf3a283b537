"""Which windows a stream's history is judged by, and on which time axis."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from calhard.assess.windows import Clock
from calhard.schema import MICROSECONDS_PER_DAY, MICROSECONDS_PER_HOUR
from calhard.service.instants import instant, microseconds

if TYPE_CHECKING:
    from calhard.plan import AuditPlan

Ints = NDArray[np.int64]
FIFTH = 0.2
"""Until the history fills the plan's windows its last fifth is judged, as 7 of 35 days are."""
LEAST_ANALYSIS = 3
FAST = 45 * MICROSECONDS_PER_HOUR // 60
"""Samples closer than this (median) are judged by their order: no season of hours is in them."""
SLOT = 2 * MICROSECONDS_PER_HOUR
"""Width that the order's slots pretend to have; no cadence of that width has a season."""
DAY_SLOTS = 24
"""Samples that take the place of a day, and of the horizon, in a stream judged by its order."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """A history's instants as the audit's statistics read them, and the way back.

    Attributes
    ----------
    real : int64, shape (n,)
        The samples' instants, µs.
    judged : int64, shape (n,)
        The same, or slots of two hours that end at the newest sample where ``by_order``.
    clock : Clock
        Windows as of the newest sample.
    spacing : float
        Median distance of two samples, µs; 0 below two.
    """

    real: Ints
    judged: Ints
    clock: Clock
    spacing: float
    by_order: bool
    own: bool
    """Whether the windows are the service's own: the history does not fill the plan's."""

    @classmethod
    def of(cls, timestamp: Ints, plan: AuditPlan, share: float | None = None) -> Timeline:
        """Return the timeline of n ≥ 1 increasing instants.

        The plan's own windows where the history reaches back through them, as the audit has them;
        otherwise, or where a ``share`` is given, all samples there are, of which that share (a
        fifth by default, 3 at least) is judged.
        """
        n, last = len(timestamp), int(timestamp[-1])
        clock = Clock.of(plan, last)
        spacing = float(np.median(np.diff(timestamp))) if n > 1 else 0.0
        if share is None and _fills(timestamp, clock, spacing):
            return cls(timestamp, timestamp, clock, spacing, False, False)
        analysis = min(max(int(n * (share or FIFTH)), LEAST_ANALYSIS), n)
        clock = replace(clock, reference_samples=n - analysis, analysis_samples=analysis)
        if not spacing or spacing >= FAST:
            return cls(timestamp, timestamp, clock, spacing, False, True)
        judged = last - SLOT * np.arange(n - 1, -1, -1, dtype=np.int64)
        clock = replace(clock, night=last - DAY_SLOTS * SLOT)
        return cls(timestamp, judged, clock, spacing, True, True)

    @property
    def per_day(self) -> float:
        """What turns a rate per judged day into one per real day."""
        return SLOT / self.spacing if self.by_order else 1.0

    def planned(self, plan: AuditPlan) -> AuditPlan:
        """Return the plan with its horizon on this axis."""
        if not self.by_order:
            return plan
        hours = DAY_SLOTS * SLOT // MICROSECONDS_PER_HOUR
        windows = plan.windows.model_copy(update={"horizon": f"{hours}h"})
        return plan.model_copy(update={"windows": windows})

    def back(self, us: int) -> int:
        """Return the real instant of a judged one; between and beyond samples by their spacing."""
        if not self.by_order:
            return us
        slot = (us - int(self.judged[0])) / SLOT
        place = min(max(round(slot), 0), len(self.real) - 1)
        return int(self.real[place]) + round((slot - place) * self.spacing)

    def moment(self, judged: datetime | None) -> datetime | None:
        """Return the real instant of a judged one, UTC; None stays None."""
        return None if judged is None else instant(self.back(microseconds(judged)))


def _fills(timestamp: Ints, clock: Clock, spacing: float) -> bool:
    """Whether the history reaches back through both windows, be they durations or samples."""
    n = len(timestamp)
    if clock.reference_samples is not None and clock.analysis_samples is not None:
        return n >= clock.reference_samples + clock.analysis_samples
    if spacing > MICROSECONDS_PER_DAY:  # the audit counts 28 and 7 samples there
        return n > (clock.as_of - clock.reference) // MICROSECONDS_PER_DAY
    return bool(
        n > 1 and clock.as_of - int(timestamp[0]) + spacing >= clock.as_of - clock.reference
    )
