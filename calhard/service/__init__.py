"""One model's stream inside a running service: SLO checks, regressions, early warnings."""

from calhard.findings.snapshot import SnapshotViolation
from calhard.service.detector import RegressionDetector
from calhard.service.metrics import CalibrationMetrics, MetricsError
from calhard.service.monitor import DriftMonitor
from calhard.service.results import DetectedRegression, EarlyWarning, HealthStatus, MetricTrend
from calhard.service.week import RecordedViolation

__all__ = [
    "CalibrationMetrics",
    "DetectedRegression",
    "DriftMonitor",
    "EarlyWarning",
    "HealthStatus",
    "MetricTrend",
    "MetricsError",
    "RecordedViolation",
    "RegressionDetector",
    "SnapshotViolation",
]
