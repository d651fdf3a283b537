"""Small histories, audited in a tenth of a second."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from calhard.engines import LocalEngine
from calhard.pipeline import run_audit
from calhard.plan import AuditPlan
from calhard.simulate import FleetSpec, simulate
from calhard.store import open_night

SPEC = FleetSpec(models=1, classes=1, cadence="daily", broken=0.0, seed=3)
NIGHT = "2026-05-31"
TIMED = {"summary.json", "manifest.json"}


def fleet(names):
    """Return the rows of daily series, one for each (model, class) of ``names``."""
    one = pa.Table.from_batches(simulate(SPEC))
    parts = []
    for i, (model, class_) in enumerate(names):
        noise = np.random.default_rng(i).normal(0.0, 0.0005, one.num_rows)
        columns = {
            "model_id": pa.array([model] * one.num_rows, pa.string()),
            "class_id": pa.array([class_] * one.num_rows, pa.string()),
            "aece": pa.array(one["aece"].to_numpy() + noise),
        }
        parts.append(
            pa.table([columns.get(n, one[n]) for n in one.schema.names], names=one.schema.names)
        )
    return pa.concat_tables(parts)


def write_history(folder, names=(("a", "c"), ("b", "c"), ("d", "c"))):
    """Write a history of one file, a row group for each (model, class)."""
    folder.mkdir(parents=True)
    pq.write_table(fleet(names), folder / "history.parquet", row_group_size=SPEC.days)
    return folder


def audit(history, out, plan=None, **more):
    """Audit in this process."""
    return run_audit(history, plan or AuditPlan(), out=out, engine=LocalEngine(1), **more)


def contents(out):
    """Return the latest night's files but those that tell the time it took."""
    night = open_night(out)
    assert night.verify() == []
    return {
        p.relative_to(night.path).as_posix(): p.read_bytes()
        for p in night.path.rglob("*")
        if p.is_file() and p.name not in TIMED
    }


def coverage(out, unit):
    """Return the coverage rows of one unit as (outcome, reason, count, example)."""
    rows = open_night(out).table("coverage").to_pylist()
    return [
        tuple(r[n] for n in ("outcome", "reason", "count", "example"))
        for r in rows
        if r["unit"] == unit
    ]
