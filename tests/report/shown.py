"""What a page shows beyond its tables, made of a few series."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pyarrow as pa

from calhard.reliability import Cell, Diagram, consistency_band
from calhard.report.cases import cases
from calhard.report.exhibits import P_BINS, EarlierNight, Exhibits
from calhard.report.picture import series_picture
from calhard.schema import BUILTIN_METRICS, EVIDENCE, Metric, series_schema
from tests.findings.tables import AS_OF, AS_OF_US, ago

HOURS = 35 * 24


def row(key, **said):
    """A series' row of the evidence table: a jump, and where it is heading."""
    known = {
        "baseline_value": 0.02,
        "slo_bound": 0.01,
        "onset": ago(48),
        "reference_start": ago(HOURS - 1),
        "analysis_start": ago(7 * 24),
        "smallest_detectable": 0.0021,
        "week_value": 0.03,
        "week_standard_error": 0.001,
        "predicted_value": 0.031,
        "interval_low": 0.029,
        "interval_high": 0.033,
    }
    names = dict(zip(("model_id", "class_id", "metric"), key, strict=True))
    return dict.fromkeys(EVIDENCE.names) | names | known | said


def values(metric, seed=0):
    """Hourly noise about 0.02, from 48 hours ago about 0.05."""
    rng = np.random.default_rng(seed)
    told = 0.02 + 0.002 * rng.normal(size=HOURS)
    told[-48:] += 0.03
    rows = [
        {"timestamp": AS_OF - timedelta(hours=HOURS - 1 - i), metric: float(value)}
        for i, value in enumerate(told)
    ]
    return pa.Table.from_pylist(rows, schema=series_schema([metric]))


def exhibits(night, *, before=True, statuses=("ok",)):
    """Everything that the page of a night can show of its own incidents."""
    keys = sorted({key for case in cases(night) for key in case.drawn})
    rows = {key: row(key) for key in keys}
    pictures = {key: _picture(rows[key]) for key in keys}
    metrics = tuple(sorted({key[2] for key in keys})) or ("aece",)
    models = sorted({key[0] for key in keys})
    counts = [40, *[9] * (P_BINS - 1)]
    return Exhibits(
        evidence=rows,
        pictures=pictures,
        before=EarlierNight("2026-05-29", "healthy", 1, frozenset({("gone", "aece")}), "other")
        if before
        else None,
        metrics=metrics,
        statuses={(m, k): frozenset(statuses) for m in models for k in metrics},
        reliability={key[:2]: diagrams(*key[:2]) for key in keys},
        p_values={metric: tuple(counts) for metric in metrics},
    )


def diagrams(model_id, class_id, bend=0.2):
    """Both windows of a model and class: calibrated before, bent now."""
    return {
        "reference": Diagram(model_id, class_id, cells(0.0), 0, 2, 28, ago(35 * 24), ago(8 * 24)),
        "analysis": Diagram(model_id, class_id, cells(bend), 3, 0, 7, ago(7 * 24), ago(24)),
    }


def cells(bend, width=1 / 15, n=400):
    """Cells of which ever more labels come true than the score says, then ever fewer."""
    score = width * (np.arange(15) + 0.5)
    share = np.clip(score + bend * np.sin(2 * np.pi * score / score[-1]) * score[-1], 0.0, 1.0)
    count = np.full(15, float(n))
    band = consistency_band(score, count)
    columns = (score - width / 2, score + width / 2, count, count, score, share, count, *band[:2])
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return tuple(
        Cell(i, width, low, high, int(n), *rest) for i, (low, high, n, *rest) in enumerate(rows)
    )


def _picture(told):
    metric = BUILTIN_METRICS.get(told["metric"], Metric(told["metric"], bound="drift"))
    return series_picture(told, values(metric.name), metric, as_of=AS_OF_US)
