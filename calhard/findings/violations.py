"""SLO violations: beyond a bound, and whether one can be sure of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from calhard.findings.columns import Floats, floats, words
from calhard.findings.severity import TOLERANCE, violation_severity
from calhard.schema import VIOLATIONS, Metric

if TYPE_CHECKING:
    from calhard.plan import AuditPlan

WINDOWS = ("week", "night")


def violations(candidates: pa.Table, plan: AuditPlan, *, slo_p_threshold: float) -> pa.Table:
    """Return every window that lies beyond its bound, `schema.VIOLATIONS`.

    ``violated`` where p ≤ ``slo_p_threshold`` (the night's own false-discovery control) or where
    nothing is random (p = 0); ``unconfirmed`` where noise may explain it.
    """
    if not plan.slo_monitoring:
        return VIOLATIONS.empty_table()
    parts = [
        _of_metric(
            candidates.filter(pa.array(words(candidates, "metric") == name)),
            name,
            plan,
            window,
            slo_p_threshold,
        )
        for name in plan.metric_catalogue()
        for window in WINDOWS
    ]
    table = pa.concat_tables(parts)
    order = [("model_id", "ascending"), ("class_id", "ascending")]
    return table.sort_by(order) if table.num_rows else table


def _of_metric(
    table: pa.Table, name: str, plan: AuditPlan, window: str, slo_p_threshold: float
) -> pa.Table:
    metric = plan.metric_catalogue()[name]
    if metric.bound == "none" or not table.num_rows:
        return VIOLATIONS.empty_table()
    warn, fail = plan.thresholds_for(
        name, table["model_id"].to_pylist(), table["class_id"].to_pylist()
    )
    value, base = floats(table, f"{window}_value"), floats(table, "baseline_value")
    drift = value - base if metric.bound == "drift" else mirrored(metric, value, warn)
    size = np.abs(drift) if metric.bound == "drift" else drift
    rows = np.flatnonzero(np.nan_to_num(size, nan=-np.inf) > warn + TOLERANCE)
    if not len(rows):
        return VIOLATIONS.empty_table()
    table, p = table.take(rows), floats(table, f"{window}_p")[rows]
    value, drift, warn, fail = value[rows], drift[rows], warn[rows], fail[rows]
    severe = metric.bound == "level" and name == "merged_bin_rate"
    threshold = np.where(value > fail + TOLERANCE, fail, warn) if severe else warn
    sure = (p <= slo_p_threshold) | (p == 0)
    columns = {
        "metric": pa.array([name] * len(rows), pa.string()),
        "window": pa.array([window] * len(rows), pa.string()),
        "current_value": pa.array(value),
        "threshold": pa.array(threshold),
        "drift": pa.array(drift if metric.bound == "drift" else value - warn),
        "severity": pa.array(violation_severity(name, drift, value, warn, fail), pa.string()),
        "direction": pa.array(drift_direction(metric, drift), pa.string()),
        "standard_error": table[f"{window}_standard_error"],
        "p_value": pa.array(p, from_pandas=True),
        "verdict": pa.array(np.where(sure, "violated", "unconfirmed").tolist(), pa.string()),
        "total_samples": table[f"{window}_samples"],
    }
    return pa.table(
        [columns.get(n, table[n] if n in table.schema.names else None) for n in VIOLATIONS.names],
        schema=VIOLATIONS,
    )


def mirrored(metric: Metric, value: Floats, bound: Floats) -> Floats:
    """Return a level as if too much of it were the worse: a floor is mirrored about its bound."""
    return 2.0 * bound - value if metric.slo == "floor" else value


def drift_direction(metric: Metric, drift: Floats) -> list[str]:
    """Return ``worse`` or ``better`` of each value beyond its bound.

    A drift may be one for the better; a level or a move away from the reference never is.
    """
    if metric.bound != "drift" or metric.direction == "away_is_worse":
        return ["worse"] * len(drift)
    better = drift < 0 if metric.direction == "higher_is_worse" else drift > 0
    return ["better" if b else "worse" for b in better]
