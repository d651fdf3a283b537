"""Rows of candidates and findings, with everything that a test does not care about filled in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa

from calhard.judge.evidence import CANDIDATE
from calhard.schema import HEALTH, IMPROVEMENTS, REGRESSIONS, VIOLATIONS, WARNINGS

AS_OF = datetime(2026, 6, 1, tzinfo=UTC)
AS_OF_US = round(AS_OF.timestamp() * 1e6)
KEY = {"model_id": "m", "class_id": "c", "metric": "aece"}


def ago(hours):
    """An instant before the audit's."""
    return AS_OF - timedelta(hours=hours)


def table(schema, rows, defaults=None):
    """A table of one schema; what a row does not say is taken from ``defaults``, else null."""
    return pa.Table.from_pylist([(defaults or {}) | row for row in rows], schema=schema)


def candidates(*rows):
    """Evidence of an alarming jump in a sound series, but for what the rows say."""
    defaults = KEY | {
        "status": "ok",
        "reason": "",
        "kind": "SuddenJump",
        "worse": True,
        "reference_mean": 0.02,
        "analysis_mean": 0.05,
        "last_value": 0.05,
        "effect_size": 4.0,
        "change": 0.03,
        "p_value": 1e-9,
        "q_value": 1e-7,
        "baseline_value": 0.02,
        "slope": 1e-3,
        "slope_q": 1e-3,
    }
    return table(CANDIDATE, rows, defaults)


def regressions(*rows):
    """Confirmed regressions."""
    defaults = KEY | {
        "regression_type": "SuddenJump",
        "severity": "moderate",
        "direction": "worse",
        "onset": ago(12),
        "detail": "the level moved",
    }
    return table(REGRESSIONS, rows, defaults)


def improvements(*rows):
    """Confirmed improvements."""
    return table(IMPROVEMENTS, rows, KEY | {"severity": "moderate", "direction": "better"})


def violations(*rows):
    """Confirmed violations for the worse."""
    defaults = KEY | {
        "window": "week",
        "severity": "low",
        "direction": "worse",
        "verdict": "violated",
    }
    return table(VIOLATIONS, rows, defaults)


def warnings(*rows):
    """Early warnings."""
    return table(WARNINGS, rows, KEY | {"warning_level": "yellow", "risk": 0.4})


GROUPS = pa.schema(
    [HEALTH.field(name) for name in HEALTH.names if name not in {"health", "violations"}]
)


def groups(*rows):
    """Audited model-classes, seven nights each."""
    counted = {"audited": 5, "insufficient": 0, "indeterminate": 0, "failed": 0}
    nights = {"nights": 7, "nights_violated": 0}
    return table(GROUPS, rows, {"model_id": "m", "class_id": "c"} | counted | nights).select(
        ["model_id", "class_id", *counted, *nights]
    )
