"""Peak memory of an audit over that of its imports, in processes of its own (Linux).

    python -m benchmarks.memory HISTORY OUT [WORKERS]

Prints one JSON object, MiB: the imports; the driver and its largest worker, each over the imports.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

import calhard.pipeline.tasks  # noqa: F401  # what a worker imports counts with the imports
from calhard.engines import LocalEngine
from calhard.pipeline import run_audit
from calhard.plan import AuditPlan

SECONDS = 0.02


def peak(process: int | str = "self") -> float:
    """Return the largest resident size of a process so far, MiB; 0 where it has gone."""
    try:
        text = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    except OSError:
        return 0.0
    line = next((line for line in text.splitlines() if line.startswith("VmHWM")), "VmHWM 0")
    return int(line.split()[1]) / 1024


def children(process: int) -> list[int]:
    """Return all processes below one."""
    try:
        listed = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii")
    except OSError:
        return []
    direct = [int(word) for word in listed.split()]
    return direct + [below for child in direct for below in children(child)]


class Watch(threading.Thread):
    """Reads the peaks of all processes below this one until it is told to stop."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.largest = 0.0
        self.over = threading.Event()

    def run(self) -> None:
        """Look every 20 ms; a peak once reached stays in what the system reports."""
        while not self.over.wait(SECONDS):
            self.largest = max([self.largest, *map(peak, children(os.getpid()))])


def main() -> None:
    """Audit and tell."""
    history, out, workers = Path(sys.argv[1]), Path(sys.argv[2]), int((sys.argv[3:] or ["1"])[0])
    imports = peak()
    watch = Watch()
    watch.start()
    plan = AuditPlan.model_validate({"storage": {"keep": "flagged"}})
    run_audit(history, plan, out=out, engine=LocalEngine(workers))
    watch.over.set()
    watch.join()
    found = {"imports": imports, "driver": peak() - imports}
    print(json.dumps(found | {"worker": max(watch.largest - imports, 0.0)}))


if __name__ == "__main__":
    main()
