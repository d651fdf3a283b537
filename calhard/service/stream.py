"""One stream as the audit's statistics take it: a block of one group, without a fleet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from calhard.judge.fleet import JudgedInMemory, judge_fleet
from calhard.series import SeriesBlock
from calhard.service.ring import History
from calhard.service.timeline import LEAST_ANALYSIS, Timeline

if TYPE_CHECKING:
    from calhard.plan import AuditPlan

Floats = NDArray[np.float64]

SILENT = "no sample for"
"""How `calhard.judge.status` begins to tell of a source that has fallen silent."""
LEAST_WARNING = 8
"""Samples from which on a trend may warn."""


@dataclass(frozen=True, slots=True)
class Stream:
    """What is judged: who it is, by which rules, and what has been kept of it."""

    plan: AuditPlan
    model_id: str
    class_id: str
    history: History
    names: tuple[str, ...]
    """Metrics in the order of the history's rows."""

    def reported(self) -> dict[str, Floats]:
        """Return the values of every metric that was reported at all."""
        rows = zip(self.names, self.history.values, strict=True)
        return {name: values for name, values in rows if not np.isnan(values).all()}

    def told(self, metric: str, reason: str, line: Timeline) -> str:
        """Return the audit's reason; hours of silence become samples where order is time."""
        if not line.by_order or not reason.startswith(SILENT):
            return reason
        known = np.flatnonzero(~np.isnan(self.reported()[metric]))
        return f"not reported in the newest {len(self.history) - 1 - int(known[-1])} samples"

    def bound(self, metric: str) -> float:
        """Return the bound at which the metric's SLO warns."""
        return self.plan.threshold(metric, self.model_id, self.class_id).warn


def judged_alone(
    stream: Stream, line: Timeline, values: Mapping[str, Floats], *, young: bool
) -> JudgedInMemory:
    """Return the audit's judgement of some metrics; a family of one has no prior and no λ."""
    plan = _judged_plan(stream, line, young)
    return judge_fleet([_block(stream, line, values)], plan, tuple(values), line.clock)


def _judged_plan(stream: Stream, line: Timeline, young: bool) -> AuditPlan:
    """The plan, open for every trend that might warn; a young stream has a trend and no verdict."""
    plan = line.planned(stream.plan)
    rule = plan.regression.model_copy(update={"warning_q": 1.0})
    plan = plan.model_copy(update={"regression": rule})
    if not young:
        return plan
    least = {"min_reference": LEAST_WARNING - LEAST_ANALYSIS, "min_analysis": LEAST_ANALYSIS}
    return plan.model_copy(update={"windows": plan.windows.model_copy(update=least)})


def _block(stream: Stream, line: Timeline, values: Mapping[str, Floats]) -> SeriesBlock:
    labels = stream.history.labels
    return SeriesBlock(
        (stream.model_id,),
        (stream.class_id,),
        np.array([0, len(stream.history)], np.int64),
        line.judged,
        values,
        None if np.isnan(labels).all() else labels,
        np.zeros(1, np.bool_),
        {},
        np.full(1, -1, np.int64),
    )
