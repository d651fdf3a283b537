"""The state of one stream, and why: never healthy for want of data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from calhard.findings.severity import REGRESSION_SCALE
from calhard.judge.status import STALE_SPACINGS
from calhard.schema import MICROSECONDS_PER_HOUR
from calhard.service.instants import instant
from calhard.service.judgement import Judgement
from calhard.service.results import DetectedRegression, EarlyWarning, HealthStatus, State
from calhard.wording.words import percent

_BY_SEVERITY: dict[str, State] = {"critical": "CRITICAL", "severe": "SEVERE"}
_BY_LEVEL: dict[str, State] = {"red": "SEVERE", "orange": "DEGRADED"}
_ORDER: tuple[State, ...] = ("HEALTHY", "INSUFFICIENT", "DEGRADED", "SEVERE", "CRITICAL")


def health_of(
    judgement: Judgement,
    recent: Sequence[DetectedRegression],
    timestamp: NDArray[np.int64],
    silence_us: int,
    rejected: int,
    *,
    detecting: bool = True,
) -> HealthStatus:
    """Return the health of a stream; see `HealthStatus` for the states.

    Parameters
    ----------
    recent : regressions confirmed in the last 24 h
    timestamp : int64, shape (n,); the kept samples' instants, µs
    silence_us : since the newest sample, 0 where nobody can know
    detecting : whether the plan looks for regressions at all
    """
    recent = sorted(recent, key=lambda r: REGRESSION_SCALE.index(r.severity), reverse=True)
    states: list[State] = [_BY_SEVERITY.get(r.severity, "DEGRADED") for r in recent]
    states += [_BY_LEVEL.get(w.warning_level, "HEALTHY") for w in judgement.warnings]
    blind = _blind(judgement, timestamp, silence_us)
    if not detecting:
        blind.append("regression detection is off (regression_detection = false)")
    if blind:
        states.append("INSUFFICIENT")
    reasons = [f"{r.severity} {r.regression_type} of {r.metric}: {r.detail}" for r in recent]
    reasons += [_warned(w) for w in judgement.warnings]
    return HealthStatus(
        max(states, key=_ORDER.index, default="HEALTHY"),
        (*reasons, *blind),
        len(timestamp),
        instant(int(timestamp[-1])) if len(timestamp) else None,
        rejected,
        tuple(recent),
        judgement.warnings,
    )


def _warned(warning: EarlyWarning) -> str:
    risk = percent(warning.risk, 0)
    return f"{warning.warning_level} warning of {warning.metric}: risk of a breach {risk}"


def _blind(judgement: Judgement, timestamp: NDArray[np.int64], silence_us: int) -> list[str]:
    """Why nothing, or not enough, can be known."""
    trends = judgement.by_metric.values()
    if not trends:
        return ["no sample yet"]
    reasons = [f"{t.metric}: {t.reason}" for t in trends if t.status == "indeterminate"]
    if all(t.status == "insufficient" for t in trends):
        reasons.append(f"too few samples: {next(iter(trends)).reason}")
    spacing = float(np.median(np.diff(timestamp))) if len(timestamp) > 1 else 0.0
    if silence_us > STALE_SPACINGS * spacing:
        gap, due = silence_us / MICROSECONDS_PER_HOUR, spacing / MICROSECONDS_PER_HOUR
        reasons.append(f"no sample for {gap:.3g} h; one is due every {due:.3g} h")
    return reasons
