"""``calhard prepare`` against Ray Data's shuffle of the same history: wall and memory, as ratios.

    python -m benchmarks.shuffle [--rows 10000000] [--rounds 3] [--folder DIR]

A history in order of time, a file a day, becomes one in order of its models, in Parquet of the same
pages. Two workers; for the wall, alternatives interleaved on one Ray that is warm, local workers in
a process of its own; for memory, a process of its own for each. The peer is the fastest of the
pipelines that one would write in Ray Data. Worth something only where ``load_before_and_after``
begins below the number of cores. Writes ``benchmarks/results/shuffle.json``.
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
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.machine import write
from benchmarks.prepare import DAYS, write_days
from benchmarks.shuffle_memory import PEERS, WAYS, quiet_ray, store_size
from benchmarks.speed import Line

OURS = {"ray": "prepare on Ray", "local": "prepare, local workers"}


@dataclass(frozen=True)
class Sorting:
    """Sorts a history in some way, into a folder that is new each time."""

    history: Path
    out: Path
    rows: int

    def here(self, way: str) -> float:
        """Return the seconds it takes in this process, on the Ray that is there."""
        self._clear()
        began = time.perf_counter()
        WAYS[way](self.history, self.out)
        taken = time.perf_counter() - began
        self._check()
        return taken

    def apart(self, way: str, *more: str) -> dict[str, float]:
        """Return what a process of its own tells."""
        self._clear()
        command = [sys.executable, "-m", "benchmarks.shuffle_memory", way, *more]
        command += [str(self.history), str(self.out)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        self._check()
        told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return told

    def _clear(self) -> None:
        shutil.rmtree(self.out, ignore_errors=True)

    def _check(self) -> None:
        found = rows_of(self.out)
        if found != self.rows:
            raise SystemExit(f"{found:,} rows came of {self.rows:,}")


def rows_of(folder: Path) -> int:
    """Return how many rows a folder's files hold."""
    return sum(pq.read_metadata(path).num_rows for path in folder.glob("*.parquet"))


def walls(sorting: Sorting, rounds: int) -> dict[str, float]:
    """Return the seconds of every way, medians of the rounds."""
    taken: dict[str, list[float]] = {way: [] for way in WAYS}
    with quiet_ray(store_size()):
        for way in ("ray", *PEERS):
            sorting.here(way)  # warm
        for _ in range(rounds):
            for way, times in taken.items():
                if way == "local":
                    times.append(sorting.apart(way)["wall"])
                else:
                    times.append(sorting.here(way))
    return {way: statistics.median(times) for way, times in taken.items()}


def compared(sorting: Sorting, rounds: int) -> Iterator[Line]:
    """The wall, and then the memory, of all ways."""
    where = f"{sorting.rows:,} rows, {DAYS} days, in order of time, 2 workers"
    wall = walls(sorting, rounds)
    peer = min(PEERS, key=wall.__getitem__)
    for way, seconds in wall.items():
        yield Line(_name(way), where, seconds, "s", "")
    yield from _ratios(wall, peer, where, "wall", "≤ 0.333")
    memory = {}
    for way in (*OURS, peer):
        told = sorting.apart(way, "--watch")
        memory[way] = told["peak"] - told["before"]
        yield Line(f"{_name(way)}, peak over idle", where, memory[way], "MiB", "")
    yield from _ratios(memory, peer, where, "memory", "≤ 0.5")


def _name(way: str) -> str:
    return OURS.get(way, f"Ray Data, {way}")


def _ratios(
    found: Mapping[str, float], peer: str, where: str, what: str, gate: str
) -> Iterator[Line]:
    for way, name in OURS.items():
        ratio = found[way] / found[peer]
        yield Line(f"{name} ÷ Ray Data's fastest, {what}", where, ratio, "×", gate)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to write; a temporary one by default")
    asked = parser.parse_args()
    lines, load = [], [round(os.getloadavg()[0], 1)]
    with tempfile.TemporaryDirectory(dir=asked.folder) as name:
        history = Path(name) / "history"
        write_days(history, asked.rows)
        sorting = Sorting(history, Path(name) / "out", rows_of(history))
        for line in compared(sorting, asked.rounds):
            lines.append(asdict(line) | {"holds": line.holds})
            mark = {True: "holds", False: "MISSED", None: ""}[line.holds]
            print(
                f"{line.what:<56} {line.value:8,.3g} {line.unit:<4}{line.gate:<9}{mark}", flush=True
            )
    load.append(round(os.getloadavg()[0], 1))
    told = {"ray": version("ray"), "load_before_and_after": load, "rounds": asked.rounds}
    print(f"written to {write('shuffle', told | {'lines': lines})}")


if __name__ == "__main__":
    main()
