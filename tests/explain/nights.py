"""One small fleet with a series of every kind, audited; run as a program it rewrites the goldens.

Model ``churn`` has a class for each kind of series; ``red`` and its class have names that would
colour a terminal and turn its text around.
"""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from calhard.engines import LocalEngine
from calhard.pipeline import run_audit
from calhard.plan import AuditPlan
from calhard.schema import MICROSECONDS_PER_HOUR, TIMESTAMP
from calhard.simulate.noise import healthy_series, plant
from calhard.store import open_night

GOLDEN = Path(__file__).parent / "golden"
AS_OF = datetime(2026, 6, 1, tzinfo=UTC)
AS_OF_US = round(AS_OF.timestamp() * 1e6)
N = 840
RED = "\x1b[31mred\x1b[0m\u202e"
COUNT = "score_range_violations"
LEVEL, SD, NOISY = 0.02, 0.001, 0.02
KINDS = (
    "step",
    "drift",
    "variance",
    "oscillation",
    "failed",
    "stale",
    "healthy",
    "better",
    "noisy",
    "constant",
    "unconfirmed",
    "counted",
    "insufficient",
    "conflict",
    "transient",
)
ALARMED = ("step", "drift", "variance", "oscillation", "failed", "stale", "counted")
"""Classes with a finding, which keep = "flagged" keeps, as it does `unconfirmed` and `better`."""


def noise(seed):
    """Healthy noise of sd 1."""
    rng = np.random.default_rng([11, seed])
    return healthy_series(rng, 1, N, phi=0.3, noise="normal", slots_per_day=24)


def values(kind, seed):
    """The values of aece, one an hour."""
    x = noise(seed)
    planted = {"step": (6.0, N - 60), "drift": (8.0, N - 500)}
    planted |= {"variance": (3.0, N - 150), "oscillation": (3.0, N - 150)}
    planted |= {"transient": (8.0, N - 100)}
    if kind in planted:
        x = plant(x, kind, *planted[kind])
    found = LEVEL + SD * x[0]
    if kind == "better":
        found[-100:] -= 0.006
    elif kind == "noisy":
        found = 0.5 + 1.3 * NOISY * x[0]
    elif kind == "constant":
        found = np.full(N, LEVEL)
    elif kind == "unconfirmed":
        found = 0.2 + NOISY * x[0]
        found[-24:] += 0.2 + 0.012 - found[-24:].mean()
    elif kind == "failed":
        found[-40::2] = np.inf
    return found


def rows(kind, seed, model="churn", class_id=None):
    """The rows of one class."""
    hours = np.arange(N)[:-128] if kind == "stale" else np.arange(N)
    hours = hours[-20:] if kind == "insufficient" else hours
    hours = np.append(hours, N - 5) if kind == "conflict" else hours
    aece = values(kind, seed)[hours]
    if kind == "conflict":
        aece[-1] += 0.001
    events = np.zeros(len(hours), np.int64)
    if kind == "counted":
        events[-30] = 4
    stamps = AS_OF_US - MICROSECONDS_PER_HOUR * (N - 1 - hours)
    version = np.where((hours >= N - 60) & (kind == "step"), "7.1", "7.0")
    return pa.table(
        {
            "model_id": [model] * len(hours),
            "class_id": [kind if class_id is None else class_id] * len(hours),
            "timestamp": pa.array(stamps, pa.int64()).cast(TIMESTAMP),
            "aece": aece,
            COUNT: events,
            "total_samples": np.full(len(hours), 1_000),
            "model_version": pa.array(version.tolist()),
        }
    )


def write_history(folder):
    """Write the history of the fleet."""
    parts = [rows(kind, seed) for seed, kind in enumerate(KINDS)]
    parts.append(rows("step", 90, model=RED, class_id=RED))
    parts.append(rows("healthy", 91, model="well", class_id="a"))
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.concat_tables(parts), folder / "history.parquet")
    return folder


def audit(history, out, plan=None, as_of_us=None):
    """Audit in this process."""
    run_audit(history, plan or AuditPlan(), out=out, engine=LocalEngine(1), as_of_us=as_of_us)
    return out


def golden(kind):
    """Where the text of a kind is, and which metric it is of."""
    return GOLDEN / f"{kind}.txt", COUNT if kind == "counted" else "aece"


def write_golden():
    """Write the texts anew; read what changed before it is committed."""
    from calhard import explain

    GOLDEN.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        out = audit(write_history(Path(folder) / "history"), Path(folder) / "nights")
        for kind in KINDS:
            file, metric = golden(kind)
            file.write_text(explain(out, "churn", kind, metric).text + "\n", "utf-8")
        (GOLDEN / "overview.txt").write_text(explain(out, "churn").text + "\n", "utf-8")
        print(open_night(out).summary["sentence"])  # noqa: T201


if __name__ == "__main__":
    write_golden()
