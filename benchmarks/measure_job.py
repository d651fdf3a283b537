"""The whole of ``calhard measure``: against a plain scan, its memory, and a run of 50M rows."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from benchmarks.predictions import DAYS, write_predictions
from benchmarks.speed import Line
from calhard.engines import LocalEngine
from calhard.measure.run import measure_history
from calhard.plan import AuditPlan

ROUNDS = 3
LARGE = 50_000_000
COLUMNS = ["model_id", "class_id", "timestamp", "score", "label"]


def job(folder: Path, rows: int) -> Iterator[Line]:
    """Predictions to history on one core against reading the same columns."""
    source, history = folder / "predictions", folder / "history"
    source.mkdir()
    write_predictions(source, rows)

    def scan() -> None:
        for file in sorted(source.iterdir()):
            opened = pq.ParquetFile(file, read_dictionary=COLUMNS[:2], pre_buffer=False)
            for _ in opened.iter_batches(2**17, columns=COLUMNS, use_threads=False):
                pass

    def measure() -> None:
        shutil.rmtree(history, ignore_errors=True)
        measure_history(source, history, plan=AuditPlan(), engine=LocalEngine(1))

    scanned, taken, grouped = _clocks(scan, measure, lambda: polars_dece(source))
    where = f"{rows:,} rows, {DAYS} days, in order of time, 1 worker"
    yield Line("Parquet scan", where, scanned[0] / rows * 1e9, "ns/row", "")
    yield Line("measure", where, taken[0] / rows * 1e9, "ns/row", "")
    yield Line("measure, wall", where, taken[1] / rows * 1e9, "ns/row", "")
    yield Line("measure, wall", where, rows / taken[1], "rows/s", "")
    yield Line("measure ÷ scan", where, taken[0] / scanned[0], "×", "")
    yield Line("measure ÷ polars group_by", f"DECE alone; {where}", taken[0] / grouped[0], "×", "")


def polars_dece(source: Path) -> pl.DataFrame:
    """Return the DECE of every model, class and day, and nothing else, as polars computes it."""
    keys = ["model_id", "class_id", "timestamp"]
    gap = (pl.col("score") - pl.col("label")).sum().abs()
    binned = (
        pl.scan_parquet(source / "*.parquet")
        .with_columns(pl.col("timestamp").dt.truncate("1d"))
        .with_columns((pl.col("score") * 15).floor().clip(0, 14).cast(pl.Int8).alias("bin"))
        .group_by(*keys, "bin")
        .agg(gap.alias("gap"), pl.len().alias("rows"))
    )
    error = pl.col("gap").sum() / pl.col("rows").sum()
    return binned.group_by(keys).agg(error.alias("dece")).collect()


def _clocks(*work: Callable[[], None]) -> list[tuple[float, float]]:
    """Return the median CPU and wall seconds of each piece of work, taken in turn."""
    taken: list[list[tuple[float, float]]] = [[] for _ in work]
    for _ in range(ROUNDS):
        for place, piece in enumerate(work):
            cpu, wall = time.process_time(), time.perf_counter()
            piece()
            taken[place].append((time.process_time() - cpu, time.perf_counter() - wall))
    return [
        (statistics.median(c for c, _ in times), statistics.median(w for _, w in times))
        for times in taken
    ]


def memory(folder: Path, rows: int) -> Iterator[Line]:
    """Peak memory over that of the imports, and its growth with the rows."""
    for name, count in (("small", rows // 5), ("large", rows)):
        (folder / name).mkdir()
        write_predictions(folder / name, count)
    for workers in (1, 2):
        little, large_ = (
            max(found["driver"], found["worker"])
            for name in ("small", "large")
            for found in [_child(folder / name, folder / "history", workers)]
        )
        for count, peak in ((rows // 5, little), (rows, large_)):
            where = f"{count:,} rows, {workers} worker(s), the largest process"
            yield Line("peak over imports", where, peak, "MiB", "")
        yield Line("growth at 5 × the rows", f"{workers} worker(s)", large_ / little, "×", "≤ 1.1")


def large(folder: Path) -> Iterator[Line]:
    """50M rows on two workers, with progress on stderr."""
    source = folder / "predictions"
    source.mkdir()
    write_predictions(source, LARGE)
    found = _child(source, folder / "history", workers=2)
    where = f"{LARGE:,} rows, {DAYS} days, in order of time, 2 workers"
    yield Line("measure, wall", where, found["wall"], "s", "")
    yield Line("measure, wall", where, LARGE / found["wall"], "rows/s", "")
    yield Line("rows of the history", where, found["history_rows"], "rows", "")
    yield Line("reports of progress", where, found["told"], "", "")
    yield Line("peak over imports", f"{where}, the driver", found["driver"], "MiB", "")
    yield Line("peak over imports", f"{where}, the largest worker", found["worker"], "MiB", "")


def _child(source: Path, history: Path, workers: int) -> dict[str, float]:
    shutil.rmtree(history, ignore_errors=True)
    command = [sys.executable, "-m", "benchmarks.measure_memory"]
    done = subprocess.run(
        [*command, str(source), str(history), str(workers)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))
