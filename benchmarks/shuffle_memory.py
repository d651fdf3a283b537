"""Wall and memory of one way to sort a history by its keys, in a process of its own (Linux).

    python -m benchmarks.shuffle_memory WAY HISTORY OUT [--watch]

Prints one JSON object: seconds of the wall; with ``--watch`` the MiB of all processes together,
Ray's object store among them and pages that are shared counted once: before, when all is imported
and Ray is idle, and at the peak. Looking costs time: the wall is worth something only without.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pyarrow as pa

import calhard.prepare.tasks  # noqa: F401  # what a local worker imports counts with the imports
from benchmarks.memory import children
from calhard.engines import Engine, LocalEngine
from calhard.engines.on_ray import RayEngine
from calhard.engines.on_ray.private import private_ray
from calhard.plan import AuditPlan
from calhard.prepare import prepare_history

WORKERS = 2
KEYS = ["model_id", "class_id", "timestamp"]
PAGES: Mapping[str, Any] = {
    "compression": "lz4",
    "use_dictionary": KEYS[:2],
    "write_page_checksum": True,
}
"""Those of a prepared history: what Ray Data writes by default takes longer."""
PARTITIONS = 16
"""Ray Data would make 200 of its own accord: slower."""
SECONDS = 0.1
SETTLED_SECONDS = 5.0
"""For Ray to start the workers that it keeps ready."""


def prepared(history: Path, out: Path, engine: Engine) -> None:
    """Prepare a history."""
    prepare_history(history, out, plan=AuditPlan(), engine=engine)


def on_ray(history: Path, out: Path) -> None:
    """Prepare a history on the Ray that is there."""
    prepared(history, out, RayEngine(workers=WORKERS))


def on_cores(history: Path, out: Path) -> None:
    """Prepare a history in processes of this machine."""
    prepared(history, out, LocalEngine(WORKERS))


def by_sort(history: Path, out: Path) -> None:
    """Have Ray Data sort all rows."""
    import ray

    ray.data.read_parquet(str(history)).sort(KEYS).write_parquet(str(out), **PAGES)


def by_hash(history: Path, out: Path) -> None:
    """Have Ray Data bring models together by the hash of their names, and sort each partition."""
    import ray

    data = ray.data.read_parquet(str(history)).repartition(PARTITIONS, keys=KEYS[:1])
    ordered = data.map_batches(in_order, batch_format="pyarrow", batch_size=None)
    ordered.write_parquet(str(out), **PAGES)


def by_group(history: Path, out: Path) -> None:
    """Have Ray Data bring each model's rows together, and sort them."""
    import ray

    data = ray.data.read_parquet(str(history)).groupby(KEYS[0])
    data.map_groups(in_order, batch_format="pyarrow").write_parquet(str(out), **PAGES)


def in_order(table: pa.Table) -> pa.Table:
    """Return rows by their keys."""
    return table.sort_by([(key, "ascending") for key in KEYS])


OURS: Mapping[str, Callable[[Path, Path], None]] = {"ray": on_ray, "local": on_cores}
PEERS: Mapping[str, Callable[[Path, Path], None]] = {
    "sort": by_sort,
    "repartition + sort": by_hash,
    "map_groups": by_group,
}
WAYS = {**OURS, **PEERS}


@contextmanager
def quiet_ray(store_bytes: int) -> Iterator[None]:
    """A Ray of its own, of which Ray Data says nothing."""
    with private_ray(WORKERS, store_bytes=store_bytes):
        import ray

        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.min_parallelism = context.default_hash_shuffle_parallelism = PARTITIONS
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)
        yield


def store_size() -> int:
    """Return the bytes of shared memory that Ray takes by default: 30 % of all."""
    return int(0.3 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def size(process: int) -> int:
    """Return a process's share of memory, KiB: pages that several map count in parts; 0 if gone."""
    try:
        text = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return 0
    found = [line.split()[1] for line in text.splitlines() if line.startswith("Pss:")]
    return int(found[0]) if found else 0


def total() -> float:
    """Return the memory of this process and all below it, MiB; shared pages count once."""
    return sum(map(size, [os.getpid(), *children(os.getpid())])) / 1024


class Watch(threading.Thread):
    """Keeps the most memory that all processes together had until it is told to stop."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.before = self.largest = total()
        self.over = threading.Event()

    def run(self) -> None:
        """Look every tenth of a second."""
        while not self.over.wait(SECONDS):
            self.largest = max(self.largest, total())


def main() -> None:
    """Sort and tell."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("history", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--watch", action="store_true")
    asked = parser.parse_args()
    with nullcontext() if asked.way == "local" else quiet_ray(store_size()):
        watch = None
        if asked.watch:
            time.sleep(SETTLED_SECONDS)
            watch = Watch()
            watch.start()
        began = time.perf_counter()
        WAYS[asked.way](asked.history, asked.out)
        told = {"wall": time.perf_counter() - began}
        if watch is not None:
            watch.over.set()
            watch.join()
            told |= {"before": watch.before, "peak": watch.largest}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
