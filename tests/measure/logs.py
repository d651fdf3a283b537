"""Small logs of predictions, and histories as the bytes of their files."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from calhard.engines import LocalEngine
from calhard.measure.run import measure_history
from calhard.plan import AuditPlan

START = np.datetime64("2026-04-28", "us")
DAY_US = 86_400_000_000
MANIFEST = "_manifest.json"


def predictions(days=5, rows=60, seed=0, start=START, models=("a", "b"), classes=("x", "y")):
    """Return a table of rows for every model, class and day, in order of time."""
    rng = np.random.default_rng(seed)
    size = days * rows * len(models) * len(classes)
    day = np.repeat(np.arange(days), size // days)
    score = rng.uniform(0.0, 1.0, size).round(3)
    score[:: max(size // 7, 1)] = rng.choice([0.0, 1.0], len(score[:: max(size // 7, 1)]))
    moments = start + (day * DAY_US + np.sort(rng.integers(0, DAY_US, size))).astype("m8[us]")
    return pa.table(
        {
            "model_id": np.resize(np.repeat(models, len(classes)), size).tolist(),
            "class_id": np.resize(classes, size).tolist(),
            "timestamp": pa.array(moments, pa.timestamp("us", "UTC")),
            "score": score,
            "label": (rng.uniform(0.0, 1.0, size) < score).astype(float),
            "region": [("eu", "us", None)[i % 3] for i in range(size)],
        }
    )


def days_of(table, start=START):
    """Return the rows of each day."""
    day = (table["timestamp"].to_numpy().astype("M8[us]") - start).astype(np.int64) // DAY_US
    return [table.filter(pa.array(day == d)) for d in np.unique(day)]


def without_labels(table):
    """Return the rows as they are before any label arrives."""
    place = table.schema.get_field_index("label")
    return table.set_column(place, "label", pa.nulls(table.num_rows, pa.float64()))


def write(folder, **tables):
    """Write tables as ``NAME.parquet``."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        pq.write_table(table, Path(folder) / f"{name}.parquet", write_page_checksum=True)
    return folder


def measure(source, history, *, plan=None, workers=1, **more):
    """Measure in this process, or with workers."""
    return measure_history(
        source, history, plan=plan or AuditPlan(), engine=LocalEngine(workers), **more
    )


def content(history, *, manifest=False):
    """Return the bytes of a history's parts and bins, and nothing else may be there."""
    found = {
        p.relative_to(history).as_posix(): p.read_bytes()
        for p in Path(history).rglob("*")
        if p.is_file()
    }
    assert found.pop("_lock") is not None
    told = found.pop(MANIFEST)
    assert all(name.endswith(".parquet") for name in found), sorted(found)
    return found | ({MANIFEST: told} if manifest else {})


def times(history):
    """Return when each file of a history was written, and which file it is."""
    return {
        p.relative_to(history).as_posix(): (p.stat().st_mtime_ns, p.stat().st_ino)
        for p in Path(history).rglob("*.parquet")
    }


def rows_of(history):
    """Return a history's rows by (model, class, day)."""
    table = pa.concat_tables(
        (pq.read_table(p) for p in sorted(Path(history).glob("*.parquet"))),
        promote_options="default",
    )
    return {
        (r["model_id"], r["class_id"], r["timestamp"].strftime("%m-%d")): r
        for r in table.to_pylist()
    }
