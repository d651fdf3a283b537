"""Blocks of series for tests, and an audit of values that needs no file."""

from __future__ import annotations

import numpy as np

from calhard.assess.windows import Clock
from calhard.judge.fleet import judge_fleet
from calhard.plan import AuditPlan
from calhard.schema import MICROSECONDS_PER_DAY, MICROSECONDS_PER_HOUR
from calhard.series import SeriesBlock

AS_OF = 1_780_272_000_000_000
"""2026-06-01 00:00 UTC."""
HOUR, DAY = MICROSECONDS_PER_HOUR, MICROSECONDS_PER_DAY
BLOCK_VALUES = 2**17


def block(values, *, spacing=HOUR, metric="aece", first=0, samples=None, timestamps=None):
    """Return a block of one metric; ``values`` (S, n) end at AS_OF."""
    size, n = values.shape
    stamps = AS_OF - spacing * np.arange(n - 1, -1, -1) if timestamps is None else timestamps
    return SeriesBlock(
        tuple(f"m{i:06d}" for i in range(first, first + size)),
        ("c",) * size,
        np.arange(size + 1, dtype=np.int64) * n,
        np.tile(np.asarray(stamps, np.int64), size),
        {metric: np.ascontiguousarray(values, np.float64).ravel()},
        None if samples is None else np.tile(samples, size).astype(np.float64),
        np.zeros(size, np.bool_),
        {},
        np.full(size, -1, np.int64),
    )


def audit_blocks(blocks, metrics=("aece",), plan=None, clock=None):
    """Audit blocks as one fleet, in this process, without files."""
    plan = AuditPlan() if plan is None else plan
    return judge_fleet(blocks, plan, metrics, Clock.of(plan, AS_OF) if clock is None else clock)


def column(audited, name):
    """Return a column of the evidence."""
    return np.array(audited.evidence[name].to_pylist(), dtype=object)


def kinds(audited):
    """Return what every candidate would be found to be, by model."""
    names = (audited.candidates[n].to_pylist() for n in ("model_id", "kind"))
    return dict(zip(*names, strict=True))


def window_clock(n, analysis, spacing=HOUR):
    """Return a clock whose windows hold ``n − analysis`` and ``analysis`` slots."""
    return Clock(
        AS_OF, AS_OF - n * spacing, AS_OF - analysis * spacing, AS_OF - DAY, None, None, 1_000
    )


def audit_values(values, analysis, *, spacing=HOUR, metric="aece", plan=None, level=0.2, sd=0.002):
    """Audit series given in sd, shape (S, n), the last ``analysis`` slots being judged."""
    size, n = values.shape
    step = max(BLOCK_VALUES // n, 1)
    parts = [
        block(level + sd * values[i : i + step], spacing=spacing, metric=metric, first=i)
        for i in range(0, size, step)
    ]
    return audit_blocks(parts, (metric,), plan, window_clock(n, analysis, spacing))
