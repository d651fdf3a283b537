"""A batch of accumulators, judged metric by metric, stays in key order."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from calhard.assess.columns import Columns, to_batch
from calhard.judge.names import judged_names
from calhard.judge.ruling import Ruling, ScoreSketch
from calhard.judge.verdict import judge_metric
from calhard.schema import HEADS


def judge_batch(
    groups: pa.RecordBatch, columns: Columns, ruling: Ruling, scores: ScoreSketch
) -> pa.RecordBatch:
    """Return the judged columns of a batch; adds its p-values to ``scores``."""
    models, classes = groups["model_id"].to_pylist(), groups["class_id"].to_pylist()
    metrics, size = len(ruling.metrics), len(models)
    names = judged_names()
    pins = {} if ruling.pinned is None else ruling.pinned.of(models, classes)
    judged = {name: np.full((size, metrics), np.nan) for name in names}
    reasons = np.full((size, metrics), "", dtype=object)
    for m, metric in enumerate(ruling.metrics):
        part = {name: values.reshape(size, metrics)[:, m] for name, values in columns.items()}
        found, status = judge_metric(part, m, ruling, models, classes, pins.get(metric))
        for name, values in found.items():
            judged[name][:, m] = values
        reasons[:, m] = status.reason
        _count_scores(scores, m, found)
    flat: Columns = {name: values.ravel() for name, values in judged.items()}
    keys = {"group": columns["group"], "metric": columns["metric"]}
    return to_batch(keys | flat, {"reason": reasons.ravel().tolist()})


def _count_scores(scores: ScoreSketch, metric: int, found: Columns) -> None:
    for head in HEADS:
        if f"p_{head}" in found:
            scores.add(metric, head, found["cadence"].astype(np.int64), found[f"p_{head}"])
