"""Confirmed changes of one stream: those of its windows, older ones, and those from a constant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from calhard.findings import improvements, regressions
from calhard.findings.severity import REGRESSION_SCALE, regression_severity
from calhard.judge.fleet import JudgedInMemory
from calhard.judge.selection import JUMP, is_worse
from calhard.schema import Metric
from calhard.service.constant import certain_jump, first_move, is_two_constants
from calhard.service.instants import instant
from calhard.service.results import DetectedRegression
from calhard.service.stream import Stream, judged_alone
from calhard.service.timeline import LEAST_ANALYSIS, Timeline
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
    return Changes((), tuple(wide), ()).joined([*worse, *better])


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
    """Whether the means before and after the best split are a standard deviation apart."""
    sound = values[np.isfinite(values)]
    split = best_split(sound[None, :]) if len(sound) > 2 * MARGIN else None
    return split is not None and bool(abs(cohens_d(split.before, split.after)[0]) >= APART)


def with_constants(stream: Stream, line: Timeline, found: Changes) -> Changes:
    """Judge metrics that had never moved before by their SLO alone: nothing is random there."""
    jumps, constant = _from_constants(stream, line)
    return found.without(constant).joined(jumps)


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


def _from_constants(stream: Stream, line: Timeline) -> tuple[list[DetectedRegression], set[str]]:
    """Jumps of metrics that had never moved, and the metrics of which only the SLO can judge."""
    catalogue = stream.plan.metric_catalogue()
    found: list[DetectedRegression] = []
    constant: set[str] = set()
    for name, values in stream.reported().items():
        metric = catalogue[name]
        inside = np.isfinite(values) & (values >= metric.low) & (values <= metric.high)
        rows = np.flatnonzero(inside)
        sound = values[rows]
        place = first_move(sound)
        enough = stream.plan.windows.min_reference <= place <= len(sound) - LEAST_ANALYSIS
        if metric.is_count or not enough:
            continue
        change = certain_jump(sound, place, metric, stream.bound(name))
        if change is not None:
            found.append(_jump(stream, metric, change, float(sound[0]), line, int(rows[place])))
        if change is not None or is_two_constants(sound, place):
            constant.add(name)
    return found, constant


def _jump(
    stream: Stream, metric: Metric, change: float, base: float, line: Timeline, row: int
) -> DetectedRegression:
    bound, kind = np.array([stream.bound(metric.name)]), np.array([JUMP], dtype=object)
    size, weight = np.array([change]), np.array([metric.importance])
    severity = int(regression_severity(np.array([np.inf]), size, weight, kind, bound)[0])
    worse = bool(is_worse(metric.direction, kind, size)[0])
    seen = instant(int(line.real[-1]))
    return DetectedRegression(
        metric.name,
        JUMP,
        REGRESSION_SCALE[severity],
        "worse" if worse else "better",
        seen,
        seen,
        instant(int(line.real[row])),
        base,
        base + change,
        change,
        None,
        0.0,
        f"the level moved by {change:+.4g} from a value that had never changed",
    )
