"""Peak memory of a measurement over that of its imports, in processes of its own (Linux).

    python -m benchmarks.measure_memory PREDICTIONS HISTORY [WORKERS]

Shows progress on stderr. Prints one JSON object: MiB of the imports, and of the driver and its
largest worker, each over the imports; seconds of the wall; the history's rows and the reports of
progress.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq

import calhard.measure.tasks  # noqa: F401  # what a worker imports counts with the imports
from benchmarks.memory import Watch, peak
from calhard.cli.progress import MEASURE, progress
from calhard.engines import LocalEngine
from calhard.measure.run import measure_history
from calhard.plan import AuditPlan


def main() -> None:
    """Measure and tell."""
    source, history = Path(sys.argv[1]), Path(sys.argv[2])
    workers = int((sys.argv[3:] or ["1"])[0])
    imports, told = peak(), 0
    watch = Watch()
    watch.start()
    start = time.perf_counter()
    with progress(quiet=False, stages=MEASURE, unit="tasks") as show:

        def tell(stage: str, done: int, total: int, rows: int) -> None:
            nonlocal told
            told += 1
            if show is not None:
                show(stage, done, total, rows)

        measure_history(
            source, history, plan=AuditPlan(), engine=LocalEngine(workers), progress=tell
        )
    wall = time.perf_counter() - start
    watch.over.set()
    watch.join()
    found = {"imports": imports, "driver": peak() - imports, "wall": wall, "told": told}
    found |= {"worker": max(watch.largest - imports, 0.0)}
    found["history_rows"] = sum(
        pq.read_metadata(file).num_rows for file in history.glob("[!_]*.parquet")
    )
    print(json.dumps(found))


if __name__ == "__main__":
    main()
