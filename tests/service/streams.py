"""Streams for the tests of the service."""

from datetime import UTC, datetime, timedelta

import numpy as np

from calhard.service import RegressionDetector

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR, DAY, SECOND = timedelta(hours=1), timedelta(days=1), timedelta(seconds=1)
BASELINE = {"aece": 0.012, "dece": 0.010, "alpha": 0.50, "clamp_rate": 0.05}
BASELINE["merged_bin_rate"] = 0.02
NOISE = {"aece": 8e-4, "dece": 8e-4, "alpha": 5e-3, "clamp_rate": 5e-3, "merged_bin_rate": 2e-3}


def normal(seed, n):
    """Return n standard normal values."""
    return np.random.default_rng(seed).standard_normal(n)


def snapshots(seed, n):
    """Return n noisy healthy snapshots of the five metrics about the baseline."""
    rng = np.random.default_rng(seed)
    return [
        {m: v + NOISE[m] * rng.standard_normal() for m, v in BASELINE.items()} for _ in range(n)
    ]


def fed(values, spacing=HOUR, metric="aece", **settings):
    """Return a detector that was given values (numbers of one metric, or whole samples)."""
    detector = RegressionDetector(**settings)
    for i, value in enumerate(values):
        sample = value if isinstance(value, dict) else {metric: value}
        detector.add_metrics(sample, START + i * spacing)
    return detector


def found(detector):
    """Return metric, type and direction of every regression."""
    return [(r.metric, r.regression_type, r.direction) for r in detector.regressions()]


class Watch:
    """A clock that stands until it is moved."""

    def __init__(self, now=START):
        self.now = now

    def __call__(self):
        return self.now
