"""Small nights to be told, made of their tables."""

from __future__ import annotations

import pyarrow as pa

from calhard.report import NightReport, verdict_sentence
from calhard.schema import COVERAGE, INCIDENTS, NIGHT_TABLES
from tests.findings.tables import ago, regressions, table, violations, warnings

COUNTS = {
    "models": 2,
    "groups": 2,
    "series": 10,
    "ok": 10,
    "failed": 0,
    "insufficient": 0,
    "indeterminate": 0,
    "rows": 8_400,
    "rows_rejected": 0,
    "files_rejected": 0,
    "violations": 0,
    "violations_for_the_better": 0,
    "unconfirmed": 0,
    "regressions": 0,
    "improvements": 0,
    "warnings": 0,
    "incidents": 0,
}


def summary(*, healthy=True, verdict="healthy", reasons=(), share=1.0, fleet="prod", **counts):
    """A summary as the pipeline writes it; a share below 99 % is a degraded night."""
    found = {
        "fleet": fleet,
        "as_of": "2026-06-01T00:00:00+00:00",
        "night": "2026-05-31",
        "counts": COUNTS | counts,
        "coverage": {"share": share, "bound": 0.99, "ok": share >= 0.99},
        "compliance": {
            "rate": 0.995,
            "goal": 0.99,
            "budget_left": 0.5,
            "nights": 1_400,
            "violated": 7,
        },
        "health": {"HEALTHY": 2},
        "severity": {},
        "lambda": {},
        "reasons": list(reasons),
        "healthy": healthy,
        "verdict": verdict,
        "exit_code": 0,
    }
    return found | {"sentence": verdict_sentence(found)}


def night(tables=None, about=None, configuration='fleet = "prod"\n'):
    """A night with these tables; the others are empty."""
    empty = {name: schema.empty_table() for name, schema in NIGHT_TABLES.items()}
    return NightReport("2026-05-31", empty | (tables or {}), about or summary(), configuration)


def incident(**said):
    """One incident of one model."""
    row = {
        "incident_id": "0123456789ab",
        "state": "open",
        "severity": "critical",
        "title": "churn: aece",
        "onset": ago(12),
        "models": ["churn"],
        "classes": ["rare"],
        "findings": 2,
        "blast_radius": 0.5,
        "scope": "model",
        "metrics": ["aece"],
        "summary": "2 findings in 1 model-class of 1 model (50.0% of the audited ones).",
    }
    return table(INCIDENTS, [row | said])


def coverage(*rows):
    """Rows of the coverage table."""
    return table(COVERAGE, rows, {"unit": "series", "outcome": "audited", "reason": "", "count": 1})


CHURN = {"model_id": "churn", "class_id": "rare"}


def eventful():
    """A night in which one model broke, another got better, and one will break."""
    tables = {
        "violations": violations(
            CHURN
            | {
                "current_value": 0.05,
                "baseline_value": 0.02,
                "drift": 0.03,
                "threshold": 0.01,
                "standard_error": 0.00123,
                "severity": "high",
            },
            {
                "model_id": "a-better",
                "current_value": 0.01,
                "baseline_value": 0.05,
                "drift": -0.04,
                "threshold": 0.01,
                "direction": "better",
                "severity": "critical",
            },
            {
                "model_id": "a-noisy",
                "current_value": 0.04,
                "drift": 0.02,
                "threshold": 0.01,
                "verdict": "unconfirmed",
                "severity": "medium",
            },
            CHURN
            | {
                "metric": "score_range_violations",
                "window": "night",
                "current_value": 3.0,
                "drift": 3.0,
                "threshold": 0.0,
                "severity": "critical",
            },
        ),
        "regressions": regressions(
            {"model_id": "a-minor", "severity": "minor", "detail": "a cycle has appeared"},
            CHURN
            | {
                "severity": "critical",
                "baseline_value": 0.02,
                "current_value": 0.05,
                "detail": "the level moved by +0.03 (+4.0 sd), q = 1e-07",
            },
            CHURN
            | {
                "metric": "score_range_violations",
                "regression_type": "MetricFailure",
                "severity": "critical",
                "current_value": 0.0,
                "detail": "3 in the analysis window where none is allowed",
            },
        ),
        "warnings": warnings(
            {
                "model_id": "later",
                "predicted_value": 0.031,
                "interval_low": 0.029,
                "interval_high": 0.033,
            },
            {
                "model_id": "soon",
                "warning_level": "red",
                "risk": 0.93,
                "predicted_value": 0.041,
                "interval_low": 0.039,
                "interval_high": 0.043,
                "predicted_breach_at": ago(-20),
                "breach_earliest": ago(-6),
                "breach_latest": ago(-48),
            },
        ),
        "incidents": pa.concat_tables(
            [
                incident(metrics=["aece", "score_range_violations"]),
                incident(severity="minor", title="a-minor: aece", onset=None, models=["a-minor"]),
            ]
        ),
        "coverage": coverage({"count": 9}),
    }
    about = summary(
        healthy=False,
        verdict="unhealthy",
        reasons=["1 critical model-class", "1 red early warning"],
        violations=2,
        violations_for_the_better=1,
        unconfirmed=1,
        regressions=3,
        warnings=2,
        incidents=2,
    )
    return night(tables, about)
