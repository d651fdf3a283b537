"""Bin tables as `calhard measure` keeps them, and a slow reading of what they say."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from calhard.reliability import BinRows
from calhard.schema import MICROSECONDS_PER_DAY, TIMESTAMP

AS_OF = datetime(2026, 6, 1, tzinfo=UTC)
AS_OF_US = round(AS_OF.timestamp() * 1e6)
DAY = MICROSECONDS_PER_DAY
BINS = pa.schema(
    [
        ("model_id", pa.string()),
        ("class_id", pa.string()),
        ("timestamp", TIMESTAMP),
        ("bin", pa.int64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("count", pa.int64()),
        ("weight", pa.float64()),
        ("mean_score", pa.float64()),
        ("mean_label", pa.float64()),
        ("merged_with", pa.int64()),
        ("clamped", pa.int64()),
    ]
)


def labels(rng, n, bend=0.0):
    """Scores and labels of one period; ``bend`` moves what comes true away from the score."""
    score = rng.beta(1.2, 2.2, n)
    chance = np.clip(score + bend * score * (1.0 - score), 0.0, 1.0)
    return score, (rng.random(n) < chance).astype(np.float64)


def bins_of(score, label):
    """Equal-mass bins of one period: (low, high, count, weight, mean score, mean label)."""
    order = np.argsort(score, kind="stable")
    parts = np.array_split(order, min(max(int(np.sqrt(len(score))), 5), 100))
    return [
        (s.min(), s.max(), len(s), float(len(s)), s.mean(), label[rows].mean())
        for rows in parts
        if len(s := score[rows])
    ]


def bin_rows(model, class_, stamp, bins, merged=()):
    """Rows of the bin table."""
    names = ("low", "high", "count", "weight", "mean_score", "mean_label")
    stamp = pa.scalar(int(stamp), pa.int64()).cast(TIMESTAMP).as_py()
    return [
        {
            "model_id": model,
            "class_id": class_,
            "timestamp": stamp,
            "bin": number,
            **dict(zip(names, one, strict=True)),
            "merged_with": number - 1 if number in merged else None,
            "clamped": int(one[1] >= 0.999) * one[2],
        }
        for number, one in enumerate(bins)
    ]


def write_bins(path, rows, **options):
    """Write a bin file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(rows, schema=BINS)
    order = [(name, "ascending") for name in ("model_id", "class_id", "timestamp", "bin")]
    pq.write_table(table.sort_by(order), path, write_page_checksum=True, **options)


def random_bins(rng, size, groups=3, periods=4):
    """Bins of a few groups, each bin of a period once, in any order."""
    chosen = rng.permutation(groups * periods * 50)[:size]
    score = rng.random(size)
    count = rng.integers(1, 200, size)
    return BinRows(
        group=chosen // (periods * 50),
        timestamp=(chosen // 50 % periods) * DAY,
        number=chosen % 50,
        low=np.maximum(score - 0.01, 0.0),
        high=np.minimum(score + 0.01, 1.0),
        count=count,
        weight=count * rng.uniform(0.1, 3.0, size),
        mean_score=score,
        mean_label=rng.random(size),
        clamped=rng.integers(0, 3, size),
        merged=rng.random(size) < 0.2,
    )
