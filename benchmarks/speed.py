"""Speed and memory against the gates: ratios within one run, alternatives interleaved.

    python -m benchmarks.speed [--rows 20000000] [--folder DIR] [--only NAME]

CPU time of one core unless a line says otherwise; medians of the rounds. Writes
``benchmarks/results/speed.json``.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy import stats

from benchmarks.history import SLOTS, write_history
from benchmarks.machine import write
from benchmarks.statistics import MIDDLE, audit
from calhard.engines import LocalEngine
from calhard.pipeline import run_audit
from calhard.plan import AuditPlan
from calhard.simulate import healthy_series
from calhard_kernels.effective import lag1_correlation
from calhard_kernels.moments import moments
from calhard_kernels.order import order_statistics
from calhard_kernels.slope import slope_test, trend
from calhard_kernels.welch import cohens_d, welch

Floats = NDArray[np.float64]
FLAGGED = {"storage": {"keep": "flagged"}}
BASIC_HEADS = {"regression": {"heads": ("level",)}}


@dataclass(frozen=True)
class Line:
    """One measurement: ``bound`` with its sense, as in ``≥ 200``."""

    what: str
    setting: str
    value: float
    unit: str
    gate: str
    aim: str = ""

    @property
    def holds(self) -> bool | None:
        """Whether the gate is kept; None without a gate."""
        if not self.gate:
            return None
        limit = float(self.gate[1:])
        return self.value >= limit if self.gate[0] == "≥" else self.value <= limit


def medians(rounds: int, *work: Callable[[], object], clock: Callable[[], float]) -> list[float]:
    """Return the median seconds of each piece of work, taken in turn."""
    taken: list[list[float]] = [[] for _ in work]
    for _ in range(rounds):
        for place, piece in enumerate(work):
            start = clock()
            piece()
            taken[place].append(clock() - start)
    return [statistics.median(times) for times in taken]


def basic_statistics(x: Floats, day: Floats, cut: int, valid: NDArray[np.bool_] | None) -> None:
    """Moments of both windows, Welch, d, lag-1, five order statistics, trend and its test."""
    masks = (None, None) if valid is None else (valid[:, :cut], valid[:, cut:])
    a, b = moments(x[:, :cut], masks[0]), moments(x[:, cut:], masks[1])
    welch(a, b)
    cohens_d(a, b)
    order_statistics(x, valid)
    slope_test(trend(day, x, valid), lag1_correlation((a, b)))


def basic(rng: np.random.Generator) -> Iterator[Line]:
    """The plain statistics of many series against a loop of SciPy's tests."""
    for n, series, gates in ((500, 4_096, ("≥ 200", "≥ 100")), (200, 8_192, ("", ""))):
        x = 0.02 + 0.002 * rng.standard_normal((series, n))
        day, cut, step = np.arange(n)[None, :] / 24.0, n * 4 // 5, 2**17 // n
        late = rng.integers(0, n // 5, series)
        valid = np.arange(n) >= late[:, None]

        def loop(x: Floats = x, day: Floats = day, cut: int = cut) -> None:
            for row in x[:400]:
                stats.ttest_ind(row[:cut], row[cut:], equal_var=False)
                stats.linregress(day[0], row)

        def dense(x: Floats = x, day: Floats = day, cut: int = cut, step: int = step) -> None:
            for i in range(0, len(x), step):
                basic_statistics(x[i : i + step], day, cut, None)

        def ragged(
            x: Floats = x,
            day: Floats = day,
            cut: int = cut,
            step: int = step,
            valid: NDArray[np.bool_] = valid,
        ) -> None:
            for i in range(0, len(x), step):
                part = x[i : i + step]
                basic_statistics(part, np.tile(day, (len(part), 1)), cut, valid[i : i + step])

        base, plain, gaps = medians(5, loop, dense, ragged, clock=time.process_time)
        for name, taken, gate in (("dense", plain, gates[0]), ("ragged", gaps, gates[1])):
            ratio = (base / 400) / (taken / series)
            yield Line("basic statistics ÷ SciPy loop", f"{n} points, {name}", ratio, "×", gate)


def heads(rng: np.random.Generator) -> Iterator[Line]:
    """All heads, from blocks of values to evidence."""
    x = healthy_series(rng, 10_000, MIDDLE.n, phi=0.3)
    (taken,) = medians(5, lambda: audit(x, MIDDLE), clock=time.process_time)
    yield Line(
        "all heads, values to evidence",
        "200 points, one core",
        len(x) / taken,
        "series/s",
        "≥ 20000",
        "60000",
    )


def whole_audit(folder: Path, rows: int) -> Iterator[Line]:
    """The whole audit of a sorted history against scanning it, and against polars."""
    history, out = folder / "history", folder / "nights"
    file = history / "history.parquet"

    def scan() -> None:
        opened = pq.ParquetFile(file, read_dictionary=["model_id", "class_id"], pre_buffer=False)
        for _ in opened.iter_batches(2**17, use_threads=False):
            pass

    def audited(settings: dict[str, object]) -> Callable[[], None]:
        def run() -> None:
            shutil.rmtree(out, ignore_errors=True)
            run_audit(history, AuditPlan.model_validate(settings), out=out, engine=LocalEngine(1))

        return run

    work = (scan, audited(FLAGGED | BASIC_HEADS), audited(FLAGGED), lambda: _polars(file))
    scanned, plain, full, grouped = medians(3, *work, clock=time.process_time)
    where = f"{rows:,} rows, sorted, flagged kept"
    yield Line("Parquet scan", where, scanned / rows * 1e9, "ns/row", "")
    yield Line("audit ÷ scan", f"level head; {where}", plain / scanned, "×", "≤ 4", "2")
    yield Line("audit ÷ scan", f"all heads; {where}", full / scanned, "×", "")
    yield Line("audit ÷ polars group_by", f"level head; {where}", plain / grouped, "×", "", "0.2")


def _polars(file: Path) -> None:
    """The plain moments of both windows by group, end to end."""
    cut = pl.col("timestamp") > pl.col("timestamp").max() - pl.duration(days=7)
    metrics = [
        c for c in pq.read_schema(file).names if c not in ("model_id", "class_id", "timestamp")
    ]
    parts = []
    for name in metrics:
        column, lag = pl.col(name), pl.col(name).shift(1)
        parts += [
            *(
                getattr(column.filter(side), what)().alias(f"{name}_{what}_{k}")
                for k, side in enumerate((~cut, cut))
                for what in ("mean", "var", "len")
            ),
            *(column.quantile(q).alias(f"{name}_q{q}") for q in (0.0, 0.25, 0.5, 0.75, 1.0)),
            pl.corr(column, lag).alias(f"{name}_lag1"),
            pl.cov(column, pl.col("timestamp").cast(pl.Float64)).alias(f"{name}_slope"),
        ]
    pl.scan_parquet(file).group_by("model_id", "class_id").agg(parts).collect()


def memory(folder: Path, rows: int) -> Iterator[Line]:
    """Peak memory over that of the imports, and its growth with the rows."""
    small = folder / "small"
    small.mkdir(exist_ok=True)
    write_history(small / "history.parquet", rows // 5)
    for workers in (1, 2):
        large, little = (
            _peak(history, folder / "nights", workers) for history in (folder / "history", small)
        )
        where = f"{rows:,} rows, all heads, {workers} worker(s)"
        yield Line("peak over imports", where, large, "MiB", "≤ 256", "128")
        yield Line("growth at 5 × the rows", where, large / little, "×", "≤ 1.1", "1.05")


def _peak(history: Path, out: Path, workers: int) -> float:
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "benchmarks.memory", str(history), str(out), str(workers)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return float(max(found["driver"], found["worker"]))


def lines(options: argparse.Namespace, folder: Path) -> Iterator[Line]:
    """Every line of the table."""
    rng = np.random.default_rng(1)
    rows = options.rows // SLOTS * SLOTS
    chosen = options.only or ("basic", "heads", "audit", "memory")
    if "basic" in chosen:
        yield from basic(rng)
    if "heads" in chosen:
        yield from heads(rng)
    if {"audit", "memory"} & set(chosen):
        (folder / "history").mkdir(parents=True, exist_ok=True)
        write_history(folder / "history" / "history.parquet", rows)
    if "audit" in chosen:
        yield from whole_audit(folder, rows)
    if "memory" in chosen:
        yield from memory(folder, rows)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--folder", type=Path, help="where to write; a temporary one by default")
    parser.add_argument("--only", nargs="*", choices=["basic", "heads", "audit", "memory"])
    options = parser.parse_args()
    table = Table(title="speed and memory", box=None, header_style="bold")
    for name in ("what", "setting", "measured", "gate", "aim", ""):
        table.add_column(name)
    console, found = Console(width=140), []
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for line in lines(options, Path(folder)):
            found.append(line)
            print(f"{line.what}, {line.setting}: {line.value:.4g} {line.unit}", file=sys.stderr)
            mark = {True: "holds", False: "MISSED", None: ""}[line.holds]
            value = f"{line.value:,.4g} {line.unit}"
            table.add_row(line.what, line.setting, value, line.gate, line.aim, mark)
    console.print(table)
    if not options.only:
        path = write("speed", [asdict(line) | {"holds": line.holds} for line in found])
        console.print(f"written to {path}")


if __name__ == "__main__":
    main()
