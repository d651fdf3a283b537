"""Confirmed changes of one stream: those of its windows, older ones, and those from a constant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from calhard.findings import improvements, regressions
from calhard.judge.fleet import JudgedInMemory
from calhard.service.instants import instant
from calhard.service.moves import from_constants, step_or_ramp
from calhard.service.results import DetectedRegression
from calhard.service.stream import Stream, judged_alone
from calhard.service.timeline import Timeline
from calhard_kernels.scan import MARGIN, best_split
from calhard_kernels.welch import cohens_d

if TYPE_CHECKING:
    from calhard.plan import AuditPlan

Floats = NDArray[np.float64]

ALARM_LEVEL, CHECKS = 0.01, 1_000
"""A healthy stream may alarm with this chance over so many checks, one after every sample."""
WARNING_Q = 1e-4
"""Largest q of a trend that warns, for the same reason."""
OLDER_SHARES = (0.4, 0.6)
"""Parts of the history that are judged too where a change lies further back than the windows."""
APART = 1.0
"""Least |d| between the sides of the best split at which that is worth its time."""


def sequential_plan(plan: AuditPlan, metrics: int) -> AuditPlan:
    """Return the plan with the largest p that an alarm at any sample may have."""
    level = ALARM_LEVEL / (CHECKS * max(metrics, 1))
    rule = plan.regression.model_copy(
        update={
            "max_p": min(plan.regression.max_p, level),
            "warning_q": min(plan.regression.warning_q, WARNING_Q),
        }
    )
    return plan.model_copy(update={"regression": rule})


@dataclass(frozen=True, slots=True)
class Changes:
    """Changes for the worse that are sure, those sure to an audit alone, those for the better."""

    worse: tuple[DetectedRegression, ...] = ()
    suspected: tuple[DetectedRegression, ...] = ()
    better: tuple[DetectedRegression, ...] = ()

    def named(self) -> set[str]:
        """Return the metrics of all that is sure."""
        return {c.metric for c in (*self.worse, *self.better)}

    def without(self, metrics: set[str]) -> Changes:
        """Leave out what was tested of some metrics; failures, which are not, stay."""
        return Changes(
            *(
                tuple(c for c in part if c.metric not in metrics or c.p_value is None)
                for part in (self.worse, self.suspected, self.better)
            )
        )

    def joined(self, more: Sequence[DetectedRegression]) -> Changes:
        """Add sure changes of metrics that have none; what is sure is suspected no more."""
        fresh = [c for c in more if c.metric not in self.named()]
        worse = (*self.worse, *(c for c in fresh if c.direction == "worse"))
        known = {c.metric for c in worse}
        return Changes(
            worse,
            tuple(c for c in self.suspected if c.metric not in known),
            (*self.better, *(c for c in fresh if c.direction == "better")),
        )


def confirmed(
    stream: Stream, line: Timeline, judged: JudgedInMemory, tested: int, *, young: bool = False
) -> Changes:
    """What the audit's heads confirm; of a young stream failures only.

    ``tested`` is the number of tests that the sequential level is spent over.
    """
    table = judged.candidates
    if young:
        failed = [status == "failed" for status in table["status"].to_pylist()]
        table = table.filter(pa.array(failed, pa.bool_()))
    as_of, strict = int(line.real[-1]), sequential_plan(stream.plan, tested)
    worse, wide, better = (
        [_change(stream, row, line) for row in source(table, plan, as_of).to_pylist()]
        for source, plan in (
            (regressions, strict),
            (regressions, stream.plan),
            (improvements, strict),
        )
    )
    told = Changes((), tuple(wide), ()).joined([*worse, *better])
    return Changes(
        *(
            tuple(step_or_ramp(stream, change, line) for change in part)
            for part in (told.worse, told.suspected, told.better)
        )
    )


def with_older(stream: Stream, found: Changes, tested: int) -> Changes:
    """Add changes that lie further back than the windows, such as a service that asks rarely has.

    A reference that holds much of what came after a change hides it. Where a series falls apart
    visibly, two and three fifths of it are judged too, each at half of the sequential level.
    """
    for share in OLDER_SHARES:
        line = Timeline.of(stream.history.timestamp, stream.plan, share)
        reference = line.clock.reference_samples or 0
        values = {
            name: v
            for name, v in stream.reported().items()
            if name not in found.named() and _falls_apart(v)
        }
        if not values or reference < stream.plan.windows.min_reference:
            break
        judged = judged_alone(stream, line, values, young=False)
        more = confirmed(stream, line, judged, len(OLDER_SHARES) * tested)
        found = found.joined([c for c in (*more.worse, *more.better) if c.p_value is not None])
    return found


def _falls_apart(values: Floats) -> bool:
    sound = values[np.isfinite(values)]
    return len(sound) >= 2 * MARGIN and bool(falls_apart(sound[None, :])[0])


def falls_apart(x: Floats) -> NDArray[np.bool_]:
    """Return whether level or spread differ by a standard deviation about the best split, (S,).

    Parameters
    ----------
    x : float64, shape (S, n); finite
    """
    apart = np.zeros(len(x), np.bool_)
    for seen in (x, np.abs(x - np.median(x, axis=1)[:, None])):
        split = best_split(seen)
        apart |= split.found & (np.abs(cohens_d(split.before, split.after)) >= APART)
    return apart


def with_constants(stream: Stream, line: Timeline, found: Changes) -> Changes:
    """Judge metrics that had never moved before by their SLO alone: nothing is random there."""
    moves, constant = from_constants(stream, line)
    return found.without(constant).joined(moves)


def _change(stream: Stream, row: dict[str, Any], line: Timeline) -> DetectedRegression:
    seen = instant(int(line.real[-1]))
    failed = row["regression_type"] == "MetricFailure"
    return DetectedRegression(
        row["metric"],
        row["regression_type"],
        row["severity"],
        row["direction"],
        seen,
        seen,
        line.moment(row["onset"]),
        row["baseline_value"],
        row["current_value"],
        None if failed else row["change_magnitude"],
        None if failed else row["effect_size"],
        None if failed else row["p_value"],
        stream.told(row["metric"], row["detail"], line),
    )
