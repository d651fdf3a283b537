"""One snapshot against one baseline: the original's check, where no history tells the noise.

The in-service verdict: without an error to estimate, what is beyond its bound is violated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from calhard.findings.severity import violation_severity
from calhard.findings.violations import TOLERANCE

if TYPE_CHECKING:
    from calhard.plan import AuditPlan


@dataclass(frozen=True, slots=True)
class SnapshotViolation:
    """One metric of a snapshot beyond its bound; ``drift`` is what was compared with it."""

    metric: str
    severity: str
    value: float
    baseline: float | None
    threshold: float
    drift: float


def snapshot_violations(
    baseline: Mapping[str, float],
    current: Mapping[str, float],
    plan: AuditPlan,
    *,
    model_id: str = "",
    class_id: str = "",
) -> list[SnapshotViolation]:
    """Return what of ``current`` is beyond its bound, in the order of the metric catalogue.

    Drift metrics are compared with ``baseline`` and left out where it has no value; a missing
    value in ``current`` is no violation and no health either.
    """
    found = []
    for name, metric in plan.metric_catalogue().items():
        value, base = current.get(name), baseline.get(name)
        if value is None or metric.bound == "none" or (metric.bound == "drift" and base is None):
            continue
        warn, fail = plan.threshold(name, model_id, class_id)
        drift = value - base if metric.bound == "drift" and base is not None else value
        size = abs(drift) if metric.bound == "drift" else drift
        if not size <= warn + TOLERANCE:  # a value that is not a number is never within
            severity = violation_severity(
                name, *(np.array([v]) for v in (drift, value, warn, fail))
            )[0]
            broken = fail if name == "merged_bin_rate" and value > fail else warn
            found.append(SnapshotViolation(name, severity, value, base, broken, drift))
    return found


def snapshot_healthy(violations: Iterable[SnapshotViolation]) -> bool:
    """Return whether no violation is critical or high."""
    return not any(v.severity in {"critical", "high"} for v in violations)
