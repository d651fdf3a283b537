"""What a worker runs, and whether it is what the driver runs: else nights would differ."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path

import calhard_kernels
from calhard._version import __version__
from calhard.errors import CalhardError

Versions = Mapping[str, str]
REMEDY = (
    "put one and the same wheel of calhard on every node, in the image or by "
    "runtime_env={'py_modules': [wheel]}, with the same numpy, scipy and pyarrow"
)


@cache
def versions() -> Versions:
    """Return the versions of all that computes; of calhard also a hash of its source."""
    found = {name: version(name) for name in ("numpy", "scipy", "pyarrow")}
    python = ".".join(platform.python_version_tuple()[:2])
    return {"calhard": f"{__version__} ({source_hash()})", "python": python, **found}


def source_hash() -> str:
    """Return twelve digits that tell one source of calhard and its kernels from another."""
    digest = hashlib.sha256()
    for root in (Path(__file__).parents[2], Path(str(calhard_kernels.__file__)).parent):
        for file in sorted(root.rglob("*.py")):
            digest.update(f"{file.relative_to(root).as_posix()}\0".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def check_versions(driver: Versions, worker: Versions, where: str) -> None:
    """Raise CalhardError, with the remedy, where a worker runs something else than the driver."""
    other = [
        f"{name} {worker.get(name, 'missing')} instead of {mine}"
        for name, mine in driver.items()
        if worker.get(name) != mine
    ]
    if other:
        raise CalhardError(f"Ray's workers on {where} have {', '.join(other)}; {REMEDY}")
