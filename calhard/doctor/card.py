"""Whether an NVIDIA card can compute: the driver, CuPy, and whether they know each other."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import distributions

from calhard.doctor.finding import Finding, note, ok, wrong

USE = "measure --device gpu needs one; audits in this version need none"
INSTALL = "pip install 'calhard[cuda13]', or cuda12, as the driver's CUDA is (nvidia-smi)"
ANSWER_SECONDS = 60
PROBE = """
import json, cupy
runtime = cupy.cuda.runtime
names = [runtime.getDeviceProperties(i)["name"].decode() for i in range(runtime.getDeviceCount())]
total = float(cupy.arange(1024.0).sum()) if names else 0.0
print(json.dumps([names, runtime.driverGetVersion(), total]))
"""
"""In a process of its own: what is broken in CUDA may end it."""


def card() -> Iterator[Finding]:
    """Examine driver and CuPy."""
    drivers, packages = driver(), cupy()
    if drivers is None:
        yield note("gpu", f"no NVIDIA driver answers (nvidia-smi); {USE}")
    else:
        yield ok("gpu", drivers)
    if packages is None:
        remedy = (
            None if drivers is None else "pip install 'calhard[cuda13]', or cuda12 (nvidia-smi)"
        )
        yield note("cupy", "not installed", remedy)
    elif drivers is None:
        yield note("cupy", f"{packages} is installed, without a card to use it")
    else:
        yield computes(packages)


def driver() -> str | None:
    """Return the cards and the driver, as nvidia-smi tells them; None where it tells none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    fields = "--query-gpu=name,memory.total,driver_version"
    told = _said([program, fields, "--format=csv,noheader"])
    lines = [] if told is None else told.strip().splitlines()
    return f"{len(lines)} × {lines[0]}" if lines else None


def cupy() -> str | None:
    """Return the package that brings CuPy, and its version."""
    for found in distributions():
        name = found.metadata["Name"] or ""
        if name == "cupy" or name.startswith("cupy-cuda"):
            return f"{name} {found.version}"
    return None


def computes(packages: str) -> Finding:
    """Compute something on the card."""
    told = _said([sys.executable, "-c", PROBE])
    remedy = "look that the driver is new enough for CuPy's CUDA: cuda12 or cuda13"
    if told is None:
        return wrong("cupy", f"{packages} does not work here", remedy)
    names, cuda, total = json.loads(told)
    if not names or total != 1023 * 512:
        return wrong("cupy", f"{packages} finds no card that computes", remedy)
    return ok("cupy", f"{packages} computes on {names[0]}, CUDA {cuda // 1000}.{cuda % 1000 // 10}")


def _said(command: list[str]) -> str | None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=ANSWER_SECONDS
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
