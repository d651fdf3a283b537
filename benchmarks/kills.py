"""Audits killed by SIGKILL at random moments, on one Ray and on the local engine.

    python -m benchmarks.kills [--kills 100] [--seed 7]

A driver is killed, started again, killed again … until the night is there; then the night is
compared with an undisturbed one, byte for byte, and the next begins. Of twenty kills ten fall
anywhere in the time of an undisturbed run, five after it has begun to work, three after the last
stage, two around the rename that publishes.
Writes ``benchmarks/results/kills.json``.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from benchmarks.killing import PATHS, Audit, Killer, Outcome, write_history
from benchmarks.machine import write
from calhard.engines.on_ray.private import private_ray

SHAPE = {"models": 48, "classes": 3, "models_per_shard": 4}
SHARDS = 12
WORKERS = 2


def killed(audit: Audit, folder: Path, kills: int, seed: int) -> tuple[Outcome, float]:
    """Kill an audit so many times; return what came of it and how long it took."""
    folder.mkdir()
    began = time.monotonic()
    outcome = Killer(audit, folder, seed).kill(kills)
    return outcome, time.monotonic() - began


def show(engine: str, outcome: Outcome, seconds: float) -> None:
    """Print what came of the kills."""
    print(
        f"{engine}: {outcome.kills} kills, {outcome.nights} nights, {outcome.resumed} gone on "
        f"with, {outcome.differing_bytes} bytes differ, {len(outcome.left)} left over, "
        f"{len(outcome.writing)} still writing, {len(outcome.failures)} failed, {seconds:.0f} s"
    )
    for stage, count in sorted(outcome.by_stage.items()):
        print(f"  {stage:<16}{count:4}")
    for problem in [*outcome.left, *outcome.writing, *outcome.failures]:
        print(f"  {problem}")


def told(outcome: Outcome, seconds: float) -> dict[str, object]:
    """Return what is written of the kills."""
    rounded = {aim: round(value, 4) for aim, value in outcome.seconds.items()}
    return asdict(outcome) | {"seconds": rounded, "all seconds": round(seconds, 1)}


def main() -> None:
    """Kill, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=7)
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    load, found = os.getloadavg()[0], {}
    os.environ["PYTHONPATH"] = PATHS  # for the workers of Ray
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        history = folder / "history"
        rows = write_history(history, **SHAPE)
        with private_ray(WORKERS):
            import ray

            address = ray.get_runtime_context().gcs_address
            for engine, options in {
                "ray": ("--engine", "ray", "--ray-address", address),
                "local": ("--workers", str(WORKERS)),
            }.items():
                audit = Audit(history, rows, options)
                found[engine] = killed(audit, folder / engine, asked.kills, asked.seed)
                show(engine, *found[engine])
    about = {"ray version": version("ray"), "seed": asked.seed, "load before": round(load, 2)}
    about |= {"history": SHAPE | {"shards": SHARDS, "workers": WORKERS}}
    write("kills", about | {engine: told(*each) for engine, each in found.items()})
    sys.exit(not all(outcome.is_sound for outcome, _ in found.values()))


if __name__ == "__main__":
    main()
