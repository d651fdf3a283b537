"""Publishing a large night to MLflow: seconds, and HTTP requests.

    python -m benchmarks.publish [--nights DIR] [--models 48000]

A fleet of 48,000 models of three classes, a tenth of them broken, is simulated and audited: more
than 1,000,000 series with more than 5,000 findings (a minute or two). Its night is sent to a
database of sqlite, and to a real `mlflow server` on the loopback, whose requests are counted.
``--nights`` names a folder with such a night instead. Writes ``benchmarks/results/publish.json``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import requests
from rich.console import Console

from benchmarks.machine import write
from calhard.plan.publishing import Mlflow
from calhard.simulate import FleetSpec, write_fleet
from calhard.sinks.mlflow.client import Server, connect
from calhard.sinks.mlflow.deliver import deliver
from calhard.store import open_night
from tests.mlflow.serving import start

MOST_SECONDS, MOST_REQUESTS = 10.0, 100
MODELS, CLASSES, DAYS, BROKEN, SEED = 48_000, 3, 30, 0.1, 4


def audited(folder: Path, models: int) -> Path:
    """Simulate a fleet and audit it; return where its night is."""
    spec = FleetSpec(
        models=models, classes=CLASSES, days=DAYS, cadence="daily", broken=BROKEN, seed=SEED
    )
    write_fleet(spec, folder / "fleet")
    audit = [sys.executable, "-m", "calhard.cli.main", "audit", str(folder / "fleet")]
    subprocess.run([*audit, "--out", str(folder / "nights"), "-q", "--exit-zero"], check=True)
    return folder / "nights"


@contextmanager
def counted() -> Iterator[list[str]]:
    """Count the requests that MLflow's client sends."""
    seen: list[str] = []
    ask = requests.Session.request

    def counting(self: requests.Session, method: str, url: str, **more: object) -> object:
        seen.append(f"{method} {url}")
        return ask(self, method, url, **more)  # type: ignore[arg-type]  # passed on

    requests.Session.request = counting  # type: ignore[method-assign,assignment]
    try:
        yield seen
    finally:
        requests.Session.request = ask  # type: ignore[method-assign]


def published(nights: Path, server: Server) -> dict[str, float]:
    """Send the night; return seconds and requests."""
    began = time.perf_counter()
    with counted() as seen:
        delivered = deliver(nights, open_night(nights), server)
    if not delivered.is_fresh:
        raise RuntimeError("the night was there already")
    return {"seconds": round(time.perf_counter() - began, 2), "requests": len(seen)}


def main() -> None:
    """Measure, print and write."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--nights", type=Path)
    options.add_argument("--models", type=int, default=MODELS)
    given = options.parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        nights = given.nights or audited(folder, given.models)
        counts = open_night(nights).summary["counts"]
        found = {
            "series": counts["series"],
            "findings": counts["regressions"] + counts["violations"],
            "most_seconds": MOST_SECONDS,
            "most_requests": MOST_REQUESTS,
            "sqlite": published(nights, connect(Mlflow(uri=f"sqlite:///{folder / 'own.db'}"))),
        }
        running = start(folder)
        try:
            found["server"] = published(nights, connect(Mlflow(uri=running.uri)))
        finally:
            running.stop()
    Console().print_json(data=found)
    if given.models == MODELS:
        write("publish", found)


if __name__ == "__main__":
    main()
