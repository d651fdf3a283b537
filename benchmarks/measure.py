r"""From predictions to calibration metrics: speed against peers, memory, and a run of 50M rows.

    python -m benchmarks.measure [--only kernels job memory large] [--large] [--rows N] [--folder D]

scikit-learn and uncertainty-calibration come with the development environment. netcal and
torchmetrics import torch and are installed beside it, once, with torch built for the CPU:

    .venv/bin/python -m pip install --no-deps --target PEERS torch torchmetrics netcal \
        lightning-utilities tqdm filelock fsspec mpmath networkx setuptools sympy
    PYTHONPATH=PEERS .venv/bin/python -m benchmarks.measure

A peer that cannot be imported is reported as absent. CPU time of one core unless a line says
otherwise, alternatives interleaved in one process, medians of the rounds; seconds of the wall mean
what they say only where the load average beside them is no higher than the number of workers.
``--large`` adds 50M rows on two workers. Writes ``benchmarks/results/measure.json``, where parts
that were not asked for keep their lines.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.machine import RESULTS, machine, write
from benchmarks.measure_job import job, large, memory
from benchmarks.measure_kernels import kernels
from benchmarks.measure_peers import versions
from benchmarks.speed import Line

PARTS = ("kernels", "job", "memory", "large")


def measured(part: str, rows: int, folder: Path) -> Iterator[Line]:
    """Return the lines of one part."""
    if part == "kernels":
        return kernels(np.random.default_rng(1))
    if part == "large":
        return large(folder)
    return job(folder, rows) if part == "job" else memory(folder, rows)


def mark(line: Line) -> str:
    """Return whether the gate is kept, in a word; a peer that is not here keeps none."""
    if math.isnan(line.value):
        return "absent"
    return {True: "holds", False: "MISSED", None: ""}[line.holds]


def as_json(line: Line) -> dict[str, object]:
    """Return a line as it is written: null for what an absent peer would have measured."""
    if math.isnan(line.value):
        return asdict(line) | {"value": None, "holds": None, "absent": True}
    return asdict(line) | {"holds": line.holds}


def earlier() -> dict[str, object]:
    """Return what the result file holds."""
    path = RESULTS / "measure.json"
    if not path.is_file():
        return {}
    return dict(json.loads(path.read_text(encoding="utf-8"))["measured"])


def table(lines: Sequence[Line]) -> Table:
    """Return the lines with their gates."""
    shown = Table(title="measure", box=None, header_style="bold")
    for name in ("what", "setting", "measured", "gate", ""):
        shown.add_column(name)
    for line in lines:
        value = "" if math.isnan(line.value) else f"{line.value:,.4g} {line.unit}"
        shown.add_row(line.what, line.setting, value, line.gate, mark(line))
    return shown


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rows", type=int, default=25_000_000, help="of the job's predictions")
    parser.add_argument("--folder", type=Path, help="where to write; a temporary one by default")
    parser.add_argument("--only", nargs="*", choices=PARTS)
    parser.add_argument("--large", action="store_true", help="50M rows on two workers as well")
    options = parser.parse_args()
    chosen = options.only or PARTS[: len(PARTS) if options.large else -1]
    parts, found = earlier(), []
    for part in chosen:
        lines = []
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            for line in measured(part, options.rows, Path(folder)):
                lines.append(line)
                print(f"{line.what}, {line.setting}: {line.value:.4g} {line.unit}", file=sys.stderr)
        parts[part] = {
            "machine": machine(),
            "load_average_at_end": round(os.getloadavg()[0], 2),
            "lines": [as_json(line) for line in lines],
        }
        if part == "kernels":
            parts["peers"] = versions()
        found += lines
    console = Console(width=150)
    console.print(table(found))
    console.print(f"written to {write('measure', parts)}")


if __name__ == "__main__":
    main()
