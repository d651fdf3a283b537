"""A Parquet file with names of one's own: mapped, a metric declared, other bounds, tables read.

    python examples/own_parquet.py OUT [HISTORY.parquet]

Without HISTORY a file is made up, as a serving system might log it: one row per hour, model and
head, columns ``model``, ``head``, ``hour``, ``ece``, ``brier`` and ``labels``. Two things are
wrong in it: the Brier score of ``ranker`` has been higher for three days, and the calibration
error of ``trial-b``, which is an experiment and has a wide bound, for four.
"""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import calhard

PLAN = """
fleet = "shop"
[calibration.hardening.columns]
model_id = "model"
class_id = "head"
timestamp = "hour"
aece = "ece"
total_samples = "labels"

[calibration.hardening.metrics.brier]
direction = "higher_is_worse"
bound = "drift"
threshold = 0.02
low = 0.0
high = 1.0

[[calibration.hardening.overrides]]
model = "trial-*"
aece_threshold = 0.05
"""
DAYS, START = 35, 1_777_593_600  # seconds; 2026-05-01 UTC
MODELS = ("ranker", "reranker", "trial-a", "trial-b")
HEADS = ("click", "buy")


def made_up(seed: int = 0) -> pa.Table:
    """Return a history in a serving system's own names."""
    rng = np.random.default_rng(seed)
    hour = np.arange(24 * DAYS)
    parts = []
    for model in MODELS:
        for head in HEADS:
            ece = rng.normal(0.02, 0.002, hour.size)
            brier = rng.normal(0.15, 0.004, hour.size)
            if (model, head) == ("ranker", "buy"):
                brier[-72:] += 0.05
            if (model, head) == ("trial-b", "click"):
                ece[-96:] += 0.03
            columns = {
                "model": [model] * hour.size,
                "head": [head] * hour.size,
                "hour": START + 3_600 * hour,
                "ece": ece,
                "brier": brier,
                "labels": rng.integers(4_000, 6_000, hour.size),
            }
            parts.append(pa.table(columns))
    return pa.concat_tables(parts)


def main(history: Path, out: Path) -> int:
    """Audit, print the tables that a person reads first; return the exit code."""
    report = calhard.audit(history, calhard.AuditPlan.from_text(PLAN), out=out, workers=1)
    print(report.summary["sentence"])
    print("\nincidents")
    for row in report.incidents.to_pylist():
        print(f"  {row['severity']}: {row['title']}, since {row['onset']:%Y-%m-%d %H:%M}")
    print("\nviolations")
    for row in report.violations.to_pylist():
        where = f"{row['model_id']} / {row['class_id']}, {row['window']}"
        moved = f"{row['drift']:+.3f} against {row['threshold']:g}"
        print(f"  {where}: {row['metric']} {moved}, {row['verdict']}")
    print("\nregressions")
    for row in report.regressions.to_pylist():
        print(f"  {row['model_id']} / {row['class_id']}: {row['metric']} {row['detail']}")
    print("\nhealth")
    for row in report.health.to_pylist():
        print(f"  {row['model_id']} / {row['class_id']}: {row['health']}")
    return report.exit_code


if __name__ == "__main__":
    folder, *given = sys.argv[1:]
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    source = Path(given[0]) if given else place / "history.parquet"
    if not given:
        pq.write_table(made_up(), source)
    sys.exit(main(source, place / "audits"))
