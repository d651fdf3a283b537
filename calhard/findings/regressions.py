"""Confirmed changes: regressions, which are told, and improvements, which are only recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from calhard.findings.columns import Floats, Objects, floats, words
from calhard.findings.severity import REGRESSION_SCALE, regression_severity
from calhard.schema import REGRESSIONS, TIMESTAMP

if TYPE_CHECKING:
    from calhard.plan import AuditPlan

Bools = NDArray[np.bool_]


def regressions(candidates: pa.Table, plan: AuditPlan, as_of_us: int) -> pa.Table:
    """Return the confirmed changes for the worse, `schema.REGRESSIONS`.

    Confirmed: q ≤ fdr_level and p ≤ max_p, or a deterministic failure of the metric.
    """
    return _changes(candidates, plan, as_of_us, worse=True)


def improvements(candidates: pa.Table, plan: AuditPlan, as_of_us: int) -> pa.Table:
    """Return the confirmed changes for the better, `schema.IMPROVEMENTS`."""
    return _changes(candidates, plan, as_of_us, worse=False)


def _changes(candidates: pa.Table, plan: AuditPlan, as_of_us: int, *, worse: bool) -> pa.Table:
    table = candidates.filter(pa.array(_confirmed(candidates, plan)))
    table = table.filter(pa.array(words(table, "worse") == worse))
    if not table.num_rows:
        return REGRESSIONS.empty_table()
    metric, kind = words(table, "metric"), words(table, "kind")
    severity = _severity(table, plan, metric, kind)
    size = table.num_rows
    as_of = pa.array(np.full(size, as_of_us), pa.int64()).cast(TIMESTAMP)
    columns = {
        "regression_type": pa.array(kind, pa.string()),
        "severity": pa.array([REGRESSION_SCALE[i] for i in severity], pa.string()),
        "direction": pa.array(["worse" if worse else "better"] * size, pa.string()),
        "detected_at": as_of,
        "baseline_value": pa.array(_before(table, kind), from_pandas=True),
        "current_value": pa.array(_current(table, kind, plan), from_pandas=True),
        "change_magnitude": table["change"],
        "detail": pa.array(_details(table, kind), pa.string()),
    }
    return pa.table(
        [columns.get(n, table[n] if n in table.schema.names else None) for n in REGRESSIONS.names],
        schema=REGRESSIONS,
    )


def _confirmed(table: pa.Table, plan: AuditPlan) -> Bools:
    rule = plan.regression
    sure = (floats(table, "q_value") <= rule.fdr_level) & (floats(table, "p_value") <= rule.max_p)
    # What is counted and not tested is told whatever is switched off: silence is no health.
    confirmed: Bools = (sure & plan.regression_detection) | (words(table, "status") == "failed")
    return confirmed


def _severity(
    table: pa.Table, plan: AuditPlan, metric: Objects, kind: Objects
) -> NDArray[np.int64]:
    catalogue = plan.metric_catalogue()
    models, classes = table["model_id"].to_pylist(), table["class_id"].to_pylist()
    level = np.zeros(len(metric), np.int64)
    effect, change = floats(table, "effect_size"), floats(table, "change")
    for name in sorted(set(metric)):
        rows = np.flatnonzero(metric == name)
        keys = [models[r] for r in rows], [classes[r] for r in rows]
        bound, _ = plan.thresholds_for(name, *keys)
        importance = np.full(len(rows), catalogue[name].importance)
        level[rows] = regression_severity(effect[rows], change[rows], importance, kind[rows], bound)
    happened = floats(table, "week_value") > 0
    level[(metric == "score_range_violations") & (kind == "MetricFailure") & happened] = 3
    return level


def _early(table: pa.Table, kind: Objects) -> Bools:
    """Jumps within the reference window, whose mean is of both levels then."""
    early = pc.fill_null(pc.less(table["onset"], table["analysis_start"]), fill_value=False)
    found: Bools = (kind == "SuddenJump") & early.to_numpy()
    return found


def _before(table: pa.Table, kind: Objects) -> Floats:
    """The level before a jump, else the reference window's mean."""
    before = floats(table, "analysis_mean") - floats(table, "change")
    return np.where(_early(table, kind), before, floats(table, "reference_mean"))


def _current(table: pa.Table, kind: Objects, plan: AuditPlan) -> Floats:
    """The level after a jump, a failed metric's last value, else the analysis window's mean.

    Of a metric that counts what must not happen, how often it did.
    """
    counts = [name for name, metric in plan.metric_catalogue().items() if metric.is_count]
    value = floats(table, "analysis_mean")
    after = floats(table, "reference_mean") + floats(table, "change")
    value = np.where((kind == "SuddenJump") & ~_early(table, kind), after, value)
    value = np.where(kind == "MetricFailure", floats(table, "last_value"), value)
    return np.where(np.isin(words(table, "metric"), counts), floats(table, "week_value"), value)


def _details(table: pa.Table, kind: Objects) -> list[str]:
    reason, change = words(table, "reason"), floats(table, "change")
    effect, q = floats(table, "effect_size"), floats(table, "q_value")
    told = {
        "SuddenJump": "the level moved by {c:+.4g} ({e:+.1f} sd)",
        "GradualDrift": "the trend moved it by {c:+.4g} over both windows ({e:+.1f} sd)",
        "VarianceIncrease": "the standard deviation grew by {c:.4g} ({e:.1f} sd)",
        "Oscillation": "a cycle of amplitude {c:.4g} has appeared ({e:.1f} sd)",
    }
    return [
        (reason[i] or "failed")
        if k == "MetricFailure"
        else told[k].format(c=change[i], e=effect[i]) + f", q = {q[i]:.2g}"
        for i, k in enumerate(kind)
    ]
