"""A large sorted history for the benchmarks, written stream by stream as one would store it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from calhard.simulate.fleet import LEVELS

HOUR_US = 3_600_000_000
END_US = 1_780_272_000_000_000
"""2026-06-01 00:00 UTC."""
SLOTS, CLASSES = 840, 5
ROW_GROUP = 131_072


def write_history(path: Path, rows: int, seed: int = 0) -> None:
    """Write about ``rows`` rows of healthy hourly series of 35 days, five metrics, sorted by key.

    lz4, plain floats, dictionaries on the ids alone: the layout that is fastest to scan.
    """
    rng = np.random.default_rng(seed)
    groups = max(rows // SLOTS, 1)
    step = max(ROW_GROUP // SLOTS, 1)
    writer: pq.ParquetWriter | None = None
    for first in range(0, groups, step):
        batch = _batch(rng, np.arange(first, min(first + step, groups)))
        if writer is None:
            writer = pq.ParquetWriter(
                path, batch.schema, compression="lz4", use_dictionary=["model_id", "class_id"]
            )
        writer.write_batch(batch, row_group_size=ROW_GROUP)
    if writer is not None:
        writer.close()


def _batch(rng: np.random.Generator, groups: np.ndarray) -> pa.RecordBatch:
    model, class_ = groups // CLASSES, groups % CLASSES
    names = [f"model-{m:07d}" for m in range(int(model[0]), int(model[-1]) + 1)]
    stamps = END_US - HOUR_US * np.arange(SLOTS - 1, -1, -1)
    size = len(groups) * SLOTS
    return pa.RecordBatch.from_pydict(
        {
            "model_id": _coded(model - model[0], names),
            "class_id": _coded(class_, [f"class-{c}" for c in range(CLASSES)]),
            "timestamp": pa.array(np.tile(stamps, len(groups))).cast(pa.timestamp("us", tz="UTC")),
            **{
                name: pa.array(level + sd * rng.standard_normal(size))
                for name, (level, sd) in LEVELS.items()
            },
        }
    )


def _coded(codes: np.ndarray, names: list[str]) -> pa.Array:
    index = np.repeat(codes, SLOTS).astype(np.int32)
    return pa.DictionaryArray.from_arrays(index, names).cast(pa.string())
