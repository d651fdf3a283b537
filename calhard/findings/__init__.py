"""From evidence to findings: violations, regressions, warnings, health, incidents. Pure."""

from calhard.findings.health import Compliance, FleetHealth, compliance, fleet_health, health
from calhard.findings.incidents import incidents
from calhard.findings.regressions import improvements, regressions
from calhard.findings.snapshot import SnapshotViolation, snapshot_healthy, snapshot_violations
from calhard.findings.violations import violations
from calhard.findings.warnings import early_warnings

__all__ = [
    "Compliance",
    "FleetHealth",
    "SnapshotViolation",
    "compliance",
    "early_warnings",
    "fleet_health",
    "health",
    "improvements",
    "incidents",
    "regressions",
    "snapshot_healthy",
    "snapshot_violations",
    "violations",
]
