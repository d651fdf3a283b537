"""A measured history with bins beside it: one model broke a week ago, the others did not."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from calhard.engines import LocalEngine
from calhard.pipeline import run_audit
from calhard.plan import AuditPlan
from calhard.schema import TIMESTAMP
from calhard.store import open_night
from tests.reliability.bins import AS_OF_US, DAY, bin_rows, bins_of, labels, write_bins

MODELS = ("broken", "sound", "steady")
DAYS = 35
LABELS = 600
HISTORY = pa.schema(
    [
        ("model_id", pa.string()),
        ("class_id", pa.string()),
        ("timestamp", TIMESTAMP),
        ("ingested_at", TIMESTAMP),
        ("aece", pa.float64()),
        ("dece", pa.float64()),
        ("total_samples", pa.int64()),
    ]
)


def measured(days=DAYS, period=DAY, models=MODELS, class_id="churn", n=LABELS, seed=20):
    """Rows of the history and of the bin table, both of every period."""
    rng = np.random.default_rng(seed)
    rows, bins = [], []
    for model in models:
        for k in range(days * DAY // period):
            start = AS_OF_US - days * DAY + k * period
            bend = 0.9 if model.startswith("broken") and start >= AS_OF_US - 7 * DAY else 0.0
            one = bins_of(*labels(rng, n, bend))
            merged = {1} if k % 5 == 0 else ()
            bins += bin_rows(model, class_id, start, one, merged)
            gap = sum(c * abs(s - y) for _, _, c, _, s, y in one) / n
            rows.append(
                {
                    "model_id": model,
                    "class_id": class_id,
                    "timestamp": instant(start),
                    "ingested_at": instant(start + period),
                    "aece": gap,
                    "dece": gap * 0.9,
                    "total_samples": n,
                }
            )
    return rows, bins


def instant(us):
    """An instant as a datetime."""
    return pa.scalar(us, pa.int64()).cast(TIMESTAMP).as_py()


def by_month(rows):
    """Rows by the month of their period's start, as files are named."""
    found = {}
    for row in rows:
        found.setdefault(f"{row['timestamp']:%Y-%m}", []).append(row)
    return found


def by_day(rows):
    """Rows by the day of their period's start, as files of short periods are named."""
    found = {}
    for row in rows:
        found.setdefault(f"{row['timestamp']:%Y-%m-%d}", []).append(row)
    return found


def write(folder, rows, bins, cut=by_month, **options):
    """Write the folder as `calhard measure` does."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in cut(rows).items():
        pq.write_table(
            pa.Table.from_pylist(part, schema=HISTORY),
            folder / f"{name}.parquet",
            write_page_checksum=True,
        )
    for name, part in cut(bins).items():
        write_bins(folder / "_bins" / f"{name}.parquet", part, **options)
    return folder


def audit(history, out, *, as_of_us=None, force=False, plan=None):
    """Audit in this process; return the night."""
    engine = LocalEngine(1)
    plan = plan or AuditPlan()
    run_audit(history, plan, out=out, engine=engine, as_of_us=as_of_us, force=force)
    return open_night(out)
