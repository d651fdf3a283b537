"""One snapshot against one baseline: the original's check, where no history tells the noise.

The in-service verdict: without an error to estimate, what is beyond its bound is violated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from calhard.findings.severity import TOLERANCE, violation_severity
from calhard.findings.violations import drift_direction, mirrored

if TYPE_CHECKING:
    from calhard.plan import AuditPlan


@dataclass(frozen=True, slots=True)
class SnapshotViolation:
    """One metric of a snapshot beyond its bound; ``drift`` is what was compared with it.

    ``direction`` is ``worse`` or ``better``: a drift beyond its bound may be an improvement.
    """

    metric: str
    severity: str
    value: float
    baseline: float | None
    threshold: float
    drift: float
    direction: str = "worse"


def snapshot_violations(
    baseline: Mapping[str, float],
    current: Mapping[str, float],
    plan: AuditPlan,
    *,
    model_id: str = "",
    class_id: str = "",
) -> list[SnapshotViolation]:
    """Return what of ``current`` is beyond its bound, in the order of the metric catalogue.

    Drift metrics are compared with ``baseline`` and left out where it has no finite value; a
    missing value in ``current`` is no violation and no health either. A value that is not finite or
    outside its metric's range is beyond every bound, for the worse, and critical.
    """
    found = []
    for name, metric in plan.metric_catalogue().items():
        value, base = current.get(name), baseline.get(name)
        base = base if base is not None and np.isfinite(base) else None
        if value is None or metric.bound == "none" or (metric.bound == "drift" and base is None):
            continue
        warn, fail = plan.threshold(name, model_id, class_id)
        drift = value - base if metric.bound == "drift" and base is not None else value
        level = float(mirrored(metric, np.array(value), np.array(warn)))
        size = abs(drift) if metric.bound == "drift" else level
        sound = bool(np.isfinite(value)) and metric.low <= value <= metric.high
        if not sound or size > warn + TOLERANCE:
            moved = drift if metric.bound == "drift" else level
            row = (np.array([v]) for v in (moved, value, warn, fail))
            severity = violation_severity(name, *row)[0] if sound else "critical"
            failed = name == "merged_bin_rate" and value > fail + TOLERANCE
            direction = drift_direction(metric, np.array([drift]))[0] if sound else "worse"
            broken = fail if failed else warn
            found.append(SnapshotViolation(name, severity, value, base, broken, drift, direction))
    return found


def snapshot_healthy(violations: Iterable[SnapshotViolation]) -> bool:
    """Return whether no violation for the worse is critical or high."""
    return not any(
        v.severity in {"critical", "high"} and v.direction == "worse" for v in violations
    )
