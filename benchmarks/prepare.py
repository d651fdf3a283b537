"""``calhard prepare`` against a plain read and write of the same columns, and its memory.

    python -m benchmarks.prepare [--rows 2000000] [--folder DIR]

A history in order of time, a file a day, becomes one in order of its models. CPU time of one core
unless a line says otherwise, alternatives interleaved in one process, medians of the rounds. Times
of the wall are worth something only where ``load_before_and_after`` is below the number of cores.
Writes ``benchmarks/results/prepare.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import calhard.prepare.tasks  # noqa: F401  # what a worker imports counts with the imports
from benchmarks.history import END_US, HOUR_US, ROW_GROUP
from benchmarks.machine import write
from benchmarks.memory import Watch, peak
from benchmarks.speed import Line
from calhard.engines import LocalEngine
from calhard.history import History
from calhard.plan import AuditPlan
from calhard.prepare import prepare_history
from calhard.simulate.fleet import LEVELS

ROUNDS = 3
DAYS, CLASSES = 35, 5
TEXT = ["model_id", "class_id"]


def write_days(folder: Path, rows: int) -> None:
    """Write about ``rows`` hourly rows of five metrics, a file a day, each in order of time."""
    rng = np.random.default_rng(0)
    groups = max(rows // (24 * DAYS), 1)
    group = np.arange(groups)
    model = pa.array(group // CLASSES).cast(pa.string())
    class_ = pa.array(group % CLASSES).cast(pa.string())
    folder.mkdir()
    for day in range(DAYS):
        hour = np.repeat(np.arange(24), groups) + 24 * (day - DAYS + 1)
        which = pa.array(np.tile(group, 24))
        size = len(hour)
        table = pa.table(
            {
                "model_id": model.take(which),
                "class_id": class_.take(which),
                "timestamp": pa.array(END_US + HOUR_US * hour, pa.timestamp("us", "UTC")),
                **{m: rng.normal(mean, 0.01, size) for m, (mean, _) in list(LEVELS.items())[:5]},
            }
        )
        _write(table, folder / f"day-{day:02d}.parquet")


def _write(table: pa.Table, path: Path) -> None:
    pq.write_table(
        table,
        path,
        compression="lz4",
        use_dictionary=TEXT,
        write_page_checksum=True,
        row_group_size=ROW_GROUP,
    )


def copied(history: Path, out: Path) -> None:
    """Read all columns row group by row group and write them again, in no other order."""
    out.mkdir()
    for path in sorted(history.iterdir()):
        opened = pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False)
        with pq.ParquetWriter(
            out / path.name,
            opened.schema_arrow,
            compression="lz4",
            use_dictionary=TEXT,
            write_page_checksum=True,
        ) as writer:
            for batch in opened.iter_batches(ROW_GROUP, use_threads=False):
                writer.write_batch(batch)


def prepared(history: Path, out: Path, workers: int = 1) -> None:
    """Prepare a history."""
    prepare_history(history, out, plan=AuditPlan(), engine=LocalEngine(workers))


def speed(folder: Path, rows: int) -> Iterator[Line]:
    """All of a history, and a day that comes later."""
    history, late, out = (folder / name for name in ("history", "late", "out"))
    write_days(history, rows)
    late.mkdir()
    for path in sorted(history.iterdir())[:-1]:
        shutil.copy2(path, late / path.name)
    prepared(late, folder / "before")
    shutil.copy2(max(history.iterdir()), late)

    def anew(work: Callable[[], None]) -> Callable[[], tuple[float, float]]:
        def timed() -> tuple[float, float]:
            shutil.rmtree(out, ignore_errors=True)
            return _clocked(work)

        return timed

    def append() -> tuple[float, float]:
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(folder / "before", out)
        return _clocked(lambda: prepared(late, out))

    copy, one, more = _medians(
        anew(lambda: copied(history, out)), anew(lambda: prepared(history, out)), append
    )
    two = statistics.median(anew(lambda: prepared(history, out, 2))()[1] for _ in range(ROUNDS))
    ordered = all(shard.ordered for shard in History.open(out, AuditPlan()).plan_shards())
    count = sum(pq.read_metadata(path).num_rows for path in history.iterdir())
    where = f"{count:,} rows, {DAYS} days, in order of time, 1 worker"
    yield Line("Parquet read and write", where, copy[0] / count * 1e9, "ns/row", "")
    yield Line("prepare", where, one[0] / count * 1e9, "ns/row", "")
    yield Line("prepare, wall", where, count / one[1], "rows/s", "")
    yield Line("prepare, wall", where.replace("1 worker", "2 workers"), count / two, "rows/s", "")
    yield Line("prepare ÷ read and write", where, one[0] / copy[0], "×", "")
    yield Line("a day that comes later ÷ all of it", where, more[0] / one[0], "×", "")
    yield Line("streamed in one pass afterwards", where, float(ordered), "", "≥ 1")


def _medians(*work: Callable[[], tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the median CPU and wall seconds of each piece of work, taken in turn."""
    taken = [[piece() for piece in work] for _ in range(ROUNDS)]
    return [
        (statistics.median(c for c, _ in times), statistics.median(w for _, w in times))
        for times in zip(*taken, strict=True)
    ]


def _clocked(work: Callable[[], None]) -> tuple[float, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def memory(folder: Path, rows: int) -> Iterator[Line]:
    """Peak memory over that of the imports, and its growth with the rows."""
    for name, count in (("small", rows), ("large", 5 * rows)):
        write_days(folder / name, count)
    for workers in (1, 2):
        found = [_child(folder / n, folder / f"{n}-{workers}", workers) for n in ("small", "large")]
        for count, peaked in zip((rows, 5 * rows), found, strict=True):
            where = f"about {count:,} rows, {workers} worker(s), the largest process"
            yield Line("peak over imports", where, peaked, "MiB", "")
        yield Line("growth at 5 × the rows", f"{workers} worker(s)", found[1] / found[0], "×", "")


def _child(history: Path, out: Path, workers: int) -> float:
    command = [sys.executable, "-m", "benchmarks.prepare", "--child"]
    done = subprocess.run(
        [*command, str(history), str(out), str(workers)], check=True, capture_output=True, text=True
    )
    return float(json.loads(done.stdout.splitlines()[-1]))


def child(history: Path, out: Path, workers: int) -> None:
    """Prepare in this process, and print the MiB of its largest process over the imports."""
    imports = peak()
    watch = Watch()
    watch.start()
    prepared(history, out, workers)
    watch.over.set()
    watch.join()
    print(json.dumps(max(peak(os.getpid()), watch.largest) - imports))


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--folder", type=Path, help="where to write; a temporary one by default")
    parser.add_argument("--child", nargs=3, metavar=("HISTORY", "OUT", "WORKERS"))
    options = parser.parse_args()
    if options.child:
        child(Path(options.child[0]), Path(options.child[1]), int(options.child[2]))
        return
    lines, load = [], [round(os.getloadavg()[1], 1)]
    for part in (speed, memory):
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            for line in part(Path(folder), options.rows):
                lines.append(asdict(line) | {"holds": line.holds})
                print(f"{line.what}, {line.setting}: {line.value:,.4g} {line.unit}")
    load.append(round(os.getloadavg()[1], 1))
    print(f"written to {write('prepare', {'load_before_and_after': load, 'lines': lines})}")


if __name__ == "__main__":
    main()
