"""Histories of known level, and baselines for them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from calhard.engines import LocalEngine
from calhard.history import read_baseline
from calhard.pipeline import run_audit
from calhard.plan import AuditPlan
from calhard.schema import MICROSECONDS_PER_HOUR, TIMESTAMP
from calhard.store import open_night

AS_OF = 1_780_272_000_000_000
"""2026-06-01 00:00 UTC."""
HOURS, WEEK = 35 * 24, 7 * 24
COUNTS = ("score_range_violations", "mask_mismatch_count")


def series(reference, week, *, noise=0.0, seed=0):
    """Return 35 days of hours: at ``reference`` for four weeks, at ``week`` for one."""
    level = np.where(np.arange(HOURS) < HOURS - WEEK, reference, week)
    return level + noise * np.random.default_rng(seed).standard_normal(HOURS)


def group(class_id, metrics, model_id="m"):
    """Return the history of one model and class; ``metrics`` maps names to series."""
    stamps = AS_OF - MICROSECONDS_PER_HOUR * np.arange(HOURS - 1, -1, -1)
    return pa.table(
        {
            "model_id": [model_id] * HOURS,
            "class_id": [class_id] * HOURS,
            "timestamp": pa.array(stamps).cast(TIMESTAMP),
            **{n: v.astype(np.int64) if n in COUNTS else v for n, v in metrics.items()},
        }
    )


def pins(*rows):
    """Return a baseline: rows of (model, class, {column: value})."""
    names = sorted({name for _, _, values in rows for name in values})
    return pa.table(
        {
            "model_id": pa.array([m for m, _, _ in rows], pa.string()),
            "class_id": pa.array([c for _, c, _ in rows], pa.string()),
            **{n: pa.array([v.get(n) for _, _, v in rows], pa.float64()) for n in names},
        }
    )


def audit(folder, history, baseline=None, *, plan=None, workers=1, **more):
    """Audit tables through files and return the published night."""
    plan = AuditPlan() if plan is None else plan
    source = folder / "history.parquet"
    pq.write_table(history, source)
    pinned = None
    if baseline is not None:
        pq.write_table(baseline, folder / "baseline.parquet")
        pinned = read_baseline(folder / "baseline.parquet", plan)
    run_audit(
        source,
        plan,
        out=folder / "nights",
        engine=LocalEngine(workers),
        baseline=pinned,
        as_of_us=AS_OF,
        **more,
    )
    return open_night(folder / "nights")


def evidence(night):
    """Return the rows of the evidence by (class, metric)."""
    return {(r["class_id"], r["metric"]): r for r in night.table("evidence").to_pylist()}


def violated(night, window="week"):
    """Return the severity of every confirmed violation by (class, metric)."""
    return {
        (r["class_id"], r["metric"]): r["severity"]
        for r in night.table("violations").to_pylist()
        if r["verdict"] == "violated" and r["window"] == window
    }
