"""Early warnings: trends that will carry a metric beyond its bound."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from calhard.findings.columns import floats, words
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

    Only where the trend itself is real (slope q ≤ warning_q) and the level is not already
    confirmed beyond its bound.
    """
    if not plan.slo_monitoring:
        return WARNINGS.empty_table()
    already = _keys(violations.filter(pa.array(words(violations, "verdict") == "violated")))
    risk = floats(candidates, "risk")
    real = floats(candidates, "slope_q") <= plan.regression.warning_q
    fresh = np.array([key not in already for key in _keys_in_order(candidates)], np.bool_)
    table = candidates.filter(pa.array(real & (risk > LEVELS[-1][0]) & fresh))
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


def _threshold(table: pa.Table, plan: AuditPlan) -> list[float]:
    keys = zip(*(table[n].to_pylist() for n in ("metric", "model_id", "class_id")), strict=True)
    return [plan.threshold(metric, model, class_)[0] for metric, model, class_ in keys]


def _keys_in_order(table: pa.Table) -> list[tuple[str, str, str]]:
    names = ("model_id", "class_id", "metric")
    return list(zip(*(table[n].to_pylist() for n in names), strict=True))


def _keys(table: pa.Table) -> set[tuple[str, str, str]]:
    return set(_keys_in_order(table))
