"""Where a measurement was made; no measurement is written without it."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, object]:
    """Return processor, cores, memory and versions."""
    processor = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            processor = line.split(":", 1)[1].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": processor,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / 2**30, 1),
        "python": platform.python_version(),
        **{name: version(name) for name in ("calhard", "numpy", "scipy", "pyarrow")},
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


def write(name: str, measured: object) -> Path:
    """Write a measurement with its machine to ``benchmarks/results``."""
    path = RESULTS / f"{name}.json"
    content = {"machine": machine(), "measured": measured}
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path
