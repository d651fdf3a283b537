"""Early warnings: trends that will carry a metric beyond its bound."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from calhard.findings.columns import Floats, floats, words
from calhard.judge.selection import DRIFT, is_worse
from calhard.schema import WARNINGS

if TYPE_CHECKING:
    from calhard.plan import AuditPlan

LEVELS = ((0.8, "red"), (0.6, "orange"), (0.3, "yellow"))
"""Risks above these warn, the highest first."""
ACTIONS = {
    "red": "freeze deployments of this model; prepare a recalibration before the predicted breach",
    "orange": "look for what changed when the trend began; plan a recalibration",
    "yellow": "watch the next nights; no action yet",
}


def early_warnings(candidates: pa.Table, violations: pa.Table, plan: AuditPlan) -> pa.Table:
    """Return series at risk of breaching their bound at the horizon, `schema.WARNINGS`.

    Only where the trend itself is real (slope q ≤ warning_q) and for the worse, and the level is
    not already confirmed beyond its bound.
    """
    if not plan.slo_monitoring:
        return WARNINGS.empty_table()
    already = set(_keys(violations.filter(pa.array(words(violations, "verdict") == "violated"))))
    risk = floats(candidates, "risk")
    real = floats(candidates, "slope_q") <= plan.regression.warning_q
    fresh = np.array([key not in already for key in _keys(candidates)], np.bool_)
    table = candidates.filter(
        pa.array(real & _worsening(candidates, plan) & (risk > LEVELS[-1][0]) & fresh)
    )
    if not table.num_rows:
        return WARNINGS.empty_table()
    level = [_level(r) for r in floats(table, "risk")]
    columns = {
        "warning_level": pa.array(level, pa.string()),
        "recommended_actions": pa.array([ACTIONS[name] for name in level], pa.string()),
        "threshold": pa.array(_threshold(table, plan), from_pandas=True),
        "current_value": table["week_value"],
        "q_value": table["slope_q"],
    }
    return pa.table(
        [columns.get(n, table[n] if n in table.schema.names else None) for n in WARNINGS.names],
        schema=WARNINGS,
    )


def _level(risk: float) -> str:
    return next(name for least, name in LEVELS if risk > least)


def _worsening(table: pa.Table, plan: AuditPlan) -> NDArray[np.bool_]:
    """Whether the trend goes, and ends, where its metric is worse: a fall of AECE does not."""
    slope, metric = floats(table, "slope"), words(table, "metric")
    ahead = floats(table, "predicted_value") - floats(table, "baseline_value")
    worse = np.zeros(len(slope), np.bool_)
    for name, spec in plan.metric_catalogue().items():
        rows = np.flatnonzero(metric == name)
        kind = np.full(len(rows), DRIFT)
        worse[rows] = is_worse(spec.direction, kind, slope[rows])
        if spec.bound == "drift":
            worse[rows] &= is_worse(spec.direction, kind, ahead[rows])
    return worse


def _threshold(table: pa.Table, plan: AuditPlan) -> Floats:
    """The bound each series heads for, shape (S,)."""
    metric, threshold = words(table, "metric"), np.full(table.num_rows, np.nan)
    for name in set(metric):
        rows = np.flatnonzero(metric == name)
        part = table.take(rows)
        keys = part["model_id"].to_pylist(), part["class_id"].to_pylist()
        threshold[rows] = plan.thresholds_for(name, *keys)[0]
    return threshold


def _keys(table: pa.Table) -> list[tuple[str, str, str]]:
    names = ("model_id", "class_id", "metric")
    return list(zip(*(table[n].to_pylist() for n in names), strict=True))
