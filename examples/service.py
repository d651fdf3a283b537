"""A service that watches one model: SLO checks and regressions at every sample.

    python examples/service.py

The service measures its model's calibration every hour. Here the hours are made up and run as fast
as they can: three healthy weeks, then a release that makes the model overconfident. In a service of
yours `hours` is your own loop and `tell` your own alert; leave `timestamp` out and the clock stamps
every sample.
"""

import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import numpy as np

from calhard import AuditPlan, DriftMonitor, RegressionDetector

START = datetime(2026, 5, 1, tzinfo=timezone.utc)  # noqa: UP017  # as most services write it
HEALTHY_HOURS, BROKEN_HOURS = 21 * 24, 36
BASELINE = {"aece": 0.018, "dece": 0.017, "alpha": 1.0, "clamp_rate": 0.03}
PLAN = AuditPlan.from_text("""
[calibration.hardening.slos]
aece_threshold = 0.012      # this model's labels are few: a little more room
""")


def hours(rng: np.random.Generator) -> Iterator[tuple[datetime, dict[str, float]]]:
    """Yield what the service measures every hour."""
    for hour in range(HEALTHY_HOURS + BROKEN_HOURS):
        broken = hour >= HEALTHY_HOURS
        yield (
            START + timedelta(hours=hour),
            {
                "aece": 0.018 + 0.002 * rng.standard_normal() + (0.02 if broken else 0.0),
                "dece": 0.017 + 0.002 * rng.standard_normal() + (0.02 if broken else 0.0),
                "alpha": 1.0 + 0.01 * rng.standard_normal() - (0.15 if broken else 0.0),
                "clamp_rate": 0.03 + 0.004 * rng.standard_normal(),
            },
        )


def tell(moment: datetime, text: str) -> None:
    """Tell whoever is on duty."""
    print(f"{moment:%Y-%m-%d %H:%M}  {text}")


def main() -> int:
    """Watch the model; end with 1 if it needs attention."""
    monitor = DriftMonitor(PLAN, model_id="ranker", class_id="click")
    monitor.set_baseline(BASELINE)
    detector = RegressionDetector(PLAN, model_id="ranker", class_id="click")
    told: set[tuple[str, str]] = set()
    for moment, metrics in hours(np.random.default_rng(7)):
        for violation in monitor.check_slos(metrics, moment):
            key = violation.metric, "slo"
            if key not in told:
                told.add(key)
                text = f"SLO of {violation.metric} violated ({violation.severity})"
                tell(moment, f"{text}: {violation.value:.3f}")
        detector.add_metrics(metrics, moment)
        if not detector.suspicious:  # costs nothing; the whole judgement costs some 0.1 s
            continue
        for found in detector.regressions():
            if (found.metric, found.regression_type) not in told:
                told.add((found.metric, found.regression_type))
                tell(moment, f"{found.regression_type} of {found.metric} ({found.severity})")
    print()
    print(monitor.weekly_report())
    print(detector.regression_report())
    return 0 if monitor.is_healthy() and detector.health_status().healthy else 1


if __name__ == "__main__":
    sys.exit(main())
