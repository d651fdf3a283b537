"""calhard: nightly drift and SLO audits for fleets of calibrated models.

`audit` audits a night, `AuditPlan` holds its rules, `AuditReport` what was found; `explain` tells
why. Inside a running service `DriftMonitor` checks one model's SLOs and `RegressionDetector` judges
its history. They are imported when they are first used, so that ``import calhard`` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from calhard._version import __version__

if TYPE_CHECKING:
    from calhard.api import audit, explain
    from calhard.explanation import Explanation
    from calhard.pipeline import AuditReport
    from calhard.plan import AuditPlan
    from calhard.service import (
        CalibrationMetrics,
        DetectedRegression,
        DriftMonitor,
        EarlyWarning,
        HealthStatus,
        RegressionDetector,
    )

__all__ = [
    "AuditPlan",
    "AuditReport",
    "CalibrationMetrics",
    "DetectedRegression",
    "DriftMonitor",
    "EarlyWarning",
    "Explanation",
    "HealthStatus",
    "RegressionDetector",
    "__version__",
    "audit",
    "explain",
]

_HOMES = {
    "AuditPlan": "calhard.plan",
    "AuditReport": "calhard.pipeline",
    "CalibrationMetrics": "calhard.service",
    "DetectedRegression": "calhard.service",
    "DriftMonitor": "calhard.service",
    "EarlyWarning": "calhard.service",
    "Explanation": "calhard.explanation",
    "HealthStatus": "calhard.service",
    "RegressionDetector": "calhard.service",
    "audit": "calhard.api",
    "explain": "calhard.api",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'calhard' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Name what is offered, imported yet or not."""
    return sorted(__all__)
