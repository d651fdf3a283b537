"""Ray against this process, against itself and against Ray Data: ratios, interleaved in one run.

    python -m benchmarks.ray [--rows 5000000] [--rounds 3]

Wall time of assessing all shards of a sorted history, on a Ray of its own that is warm; beside Ray
Data, of nothing but the mean of every series. Writes ``benchmarks/results/ray.json``.
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.history import ROW_GROUP, SLOTS, write_history
from benchmarks.machine import write
from benchmarks.memory import peak
from benchmarks.speed import Line
from calhard.assess.block import Rules
from calhard.engines import Engine, LocalEngine, Policy
from calhard.engines.on_ray import RayEngine
from calhard.engines.on_ray.private import private_ray
from calhard.history import History
from calhard.history import open as opening
from calhard.history.shards import ordered_shards
from calhard.pipeline import run_audit
from calhard.pipeline.tasks import AssessShard
from calhard.plan import AuditPlan

SHARDS = 16
FEWER, MORE = 8, 80
SHARD_ROWS = ROW_GROUP // SLOTS * SLOTS
"""One row group, the least that a shard can be."""
TASKS, TASK_SECONDS, STRAGGLER_SECONDS = 24, 0.1, 6.0
KEYS = ["model_id", "class_id"]
FLAGGED = AuditPlan.model_validate({"storage": {"keep": "flagged"}})


class Assess:
    """Assesses all shards of a history on some engine, into a new folder each time."""

    def __init__(self, path: Path, folder: Path) -> None:
        plan = AuditPlan()
        self.history = History.open(path, plan)
        now = int(time.time() * 1e6)
        clock = self.history.clock(plan, self.history.moment(now), now)
        catalogue = plan.metric_catalogue()
        self.rules = Rules.of(plan, {n: catalogue[n] for n in self.history.metrics}, clock)
        self.reading = self.history.reading_of(clock, now)
        self.shards = self.history.plan_shards()
        self.folder, self._runs = folder, itertools.count()

    def __call__(self, engine: Engine) -> None:
        """Assess."""
        folder = self.folder / str(next(self._runs))
        folder.mkdir()
        for _ in engine.map(AssessShard(self.reading, self.rules, folder), self.shards):
            pass


def means(batch: pa.Table) -> pa.Table:
    """Return the mean of every series of a batch."""
    return batch.group_by(KEYS).aggregate([("aece", "mean"), ("aece", "count")])


class MeansOf:
    """What Ray Data is given, as tasks that read their own row groups: no series is cut."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, groups: list[int]) -> int:
        """Return how many series some row groups hold."""
        read = pq.ParquetFile(self.path).read_row_groups(groups, [*KEYS, "timestamp", "aece"])
        return means(read).num_rows


def with_tasks(path: Path) -> int:
    """Return how many results tasks give."""
    groups = range(pq.ParquetFile(path).num_row_groups)
    pieces = [list(groups)[first::SHARDS] for first in range(min(SHARDS, len(groups)))]
    return sum(RayEngine(workers=2).map(MeansOf(path), pieces))


def with_map_batches(path: Path) -> int:
    """Return how many results Ray Data's obvious pipeline gives, whole files as batches."""
    import ray

    data = ray.data.read_parquet(str(path)).select_columns([*KEYS, "timestamp", "aece"])
    return int(data.map_batches(means, batch_format="pyarrow", batch_size=None).count())


def with_map_groups(path: Path) -> int:
    """Return how many results Ray Data gives where it brings every series together."""
    import ray

    data = ray.data.read_parquet(str(path)).select_columns([*KEYS, "timestamp", "aece"])
    return int(data.groupby(KEYS).map_groups(means, batch_format="pyarrow").count())


def seconds(work: Callable[[], Any]) -> float:
    """Return the wall time of some work."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def straggle(task: tuple[str, int]) -> None:
    """One task's first try takes very long."""
    folder, index = task
    mark = Path(folder) / "straggler"
    if index == 0 and not mark.exists():
        mark.touch()
        time.sleep(STRAGGLER_SECONDS)
    time.sleep(TASK_SECONDS)


def tail(folder: Path, speculate: float | None) -> float:
    """Return the wall time of tasks of which one straggles."""
    folder.mkdir()
    tasks = [(str(folder), index) for index in range(TASKS)]
    policy = Policy(speculate=speculate, speculate_after=0.5)
    return seconds(lambda: list(RayEngine().run(straggle, tasks, policy)))


def compared(path: Path, folder: Path, rounds: int) -> list[Line]:
    """Assess in this process and on Ray, in turn."""
    assess, series = Assess(path, folder), pq.ParquetFile(path).metadata.num_rows // SLOTS
    setting = f"{series:,} series of {SLOTS}, {len(assess.shards)} shards"
    here, one, two = LocalEngine(1), RayEngine(workers=1), RayEngine(workers=2)
    local = LocalEngine(2)
    for engine in (here, one, two, local):
        assess(engine)  # warm
    taken: dict[str, list[float]] = {
        name: [] for name in ("here", "one", "two", "local", "data", "own")
    }
    results, own = set(), set()
    for _ in range(rounds):
        for name, engine in (("here", here), ("one", one), ("two", two), ("local", local)):
            taken[name].append(seconds(partial(assess, engine)))
        taken["data"].append(seconds(lambda: results.add(with_map_batches(path))))
        taken["own"].append(seconds(lambda: own.add(with_tasks(path))))
    grouped = seconds(lambda: with_map_groups(path))
    t = {name: statistics.median(values) for name, values in taken.items()}
    cut = max(results) - series
    return [
        Line("in this process", setting, t["here"], "s", ""),
        Line("Ray, one in flight ÷ in this process", setting, t["one"] / t["here"], "×", "≤ 1.15"),
        Line("Ray, one worker ÷ two", setting, t["one"] / t["two"], "×", "≥ 1.7"),
        Line("Ray ÷ local processes, two workers", setting, t["two"] / t["local"], "×", ""),
        Line("means: Ray Data map_batches ÷ tasks", setting, t["data"] / t["own"], "×", "≥ 3"),
        Line("means: Ray Data map_groups ÷ tasks", setting, grouped / t["own"], "×", "≥ 3"),
        Line("Ray Data's means ÷ whole assessment", setting, t["data"] / t["two"], "×", ""),
        Line("series that map_batches cut", setting, float(cut), "series", ""),
        Line("series that tasks cut", setting, float(max(own) - series), "series", "≤ 0"),
    ]


def stragglers(folder: Path, rounds: int) -> Line:
    """Tasks of which one straggles, with and without a copy of it, in turn."""
    pairs = [
        (tail(folder / f"with-{i}", 3.0), tail(folder / f"without-{i}", None))
        for i in range(rounds)
    ]
    ratio = statistics.median(w for w, _ in pairs) / statistics.median(w for _, w in pairs)
    setting = f"{TASKS} tasks, one of {STRAGGLER_SECONDS:g} s"
    return Line("speculation ÷ none, all done", setting, ratio, "×", "≤ 0.5")


def driver(path: str, out: str) -> None:
    """Audit on Ray in a process of its own; print the driver's peak, MiB."""
    opening.ordered_shards = partial(ordered_shards, target=SHARD_ROWS)  # type: ignore[attr-defined]
    with RayEngine() as engine:
        run_audit(path, FLAGGED, out=out, engine=engine)
    print(json.dumps(peak()))


def memory(folder: Path) -> list[Line]:
    """The driver's peak at some shards, and at ten times as many of the same size."""
    found = []
    for shards in (FEWER, MORE):
        place = folder / f"{shards} shards"
        place.mkdir()
        write_history(place / "history.parquet", shards * SHARD_ROWS)
        command = [sys.executable, "-m", "benchmarks.ray", "--driver", place, place / "out"]
        told = subprocess.run(command, check=True, capture_output=True, text=True)
        found.append(float(told.stdout.splitlines()[-1]))
    setting = f"{FEWER} and {MORE} shards of {SHARD_ROWS:,} rows"
    return [
        Line("driver's peak, few shards", setting, found[0], "MiB", ""),
        Line("driver's peak, ten times ÷ few", setting, found[1] / found[0], "×", "≤ 1.1"),
    ]


def show(lines: list[Line]) -> None:
    """Print what was measured."""
    for line in lines:
        mark = {True: "holds", False: "MISSED", None: ""}[line.holds]
        print(f"{line.what:<40} {line.value:8,.3g} {line.unit:<7}{line.gate:<8}{mark}", flush=True)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--driver", nargs=2)
    asked = parser.parse_args()
    if asked.driver:
        driver(*asked.driver)
        return
    opening.ordered_shards = partial(ordered_shards, target=asked.rows // SHARDS)  # type: ignore[attr-defined]
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "history.parquet"
        write_history(path, asked.rows)
        with private_ray(2, store_bytes=4 * 2**30):  # for Ray Data; calhard needs next to none
            logging.getLogger("ray.data").setLevel(logging.ERROR)
            lines = [*compared(path, folder, asked.rounds), stragglers(folder, asked.rounds)]
        show(lines)
        lines += memory(folder)
    show(lines[-2:])
    told = {"ray": version("ray"), "load before": round(load, 2), "rounds": asked.rounds}
    write("ray", told | {"lines": [asdict(line) | {"holds": line.holds} for line in lines]})


if __name__ == "__main__":
    main()
