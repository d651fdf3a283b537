"""What makes two runs the same, so that one can go on where the other ended."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import calhard
import calhard_kernels
from calhard.errors import InputError
from calhard.history import ShardSpec
from calhard.judge.pinned import PinnedBaselines
from calhard.pipeline.assessed import STAGE
from calhard.pipeline.marks import any_begun, marks_of
from calhard.pipeline.series import Fingerprint
from calhard.store import NightWriter, disk

if TYPE_CHECKING:
    from calhard.plan import AuditPlan

RUN = "run.json"


def run_id(
    files: Fingerprint,
    plan: AuditPlan,
    as_of: int,
    baseline: PinnedBaselines | None,
    shards: Sequence[ShardSpec],
    refused: Sequence[str] = (),
) -> str:
    """Return a hash of all that a run's results depend on: input, plan, code, moment and shards.

    ``refused`` are models that are left out.
    """
    told = {
        "input": files.files,
        "plan": plan.sha256(),
        "code": code_version(),
        "as_of": as_of,
        "baseline": None if baseline is None else baseline.sha256,
        "shards": [astuple(shard) for shard in shards],
        "refused": list(refused),
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


@cache
def code_version() -> str:
    """Return a hash of calhard's source and of what computes for it."""
    digest = hashlib.sha256()
    packages = {name: version(name) for name in ("numpy", "scipy", "pyarrow")}
    digest.update(json.dumps([platform.python_version(), packages], sort_keys=True).encode())
    for package in (calhard, calhard_kernels):
        root = Path(str(package.__file__)).parent
        for file in sorted(root.rglob("*.py")):
            digest.update(f"{file.relative_to(root).as_posix()}\0".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Scratch:
    """The folder of a run, and how far an earlier try of it came."""

    folder: Path
    now_us: int
    """The clock of the run's first try: one clock rejects the future's rows for all shards."""
    done: int
    """Shards that were assessed before."""
    suspect: bool
    """Whether an earlier try died over a shard: its process may be the next to die of it."""

    def is_of_use(self, error: BaseException) -> bool:
        """Return whether a next try has anything from it, after what ended this one.

        What the input refuses it refuses again. Without a done shard there is nothing to go on
        with, but if someone ended the run over a task, that is to be known.
        """
        if isinstance(error, InputError):
            return False
        done = any(self.folder.glob(f"*.{STAGE}"))
        return done or (any_begun(self.folder) and not isinstance(error, Exception))


def open_scratch(
    writer: NightWriter, run: str, now_us: int, shards: Sequence[ShardSpec]
) -> Scratch:
    """Open the folder of a run, where an earlier try of it may have left shards."""
    folder = writer.open_scratch(run)
    known = _first_clock(folder / RUN)
    if known is None:
        disk.remove_tree(folder)
        folder = writer.open_scratch(run)
        temporary = folder / f"{RUN}.{uuid4().hex}"
        disk.write_bytes(temporary, json.dumps({"now_us": now_us}).encode())
        disk.replace(temporary, folder / RUN)
    done = marks_of(folder, STAGE, [shard.name for shard in shards])
    return Scratch(folder, now_us if known is None else known, done, any_begun(folder))


def _first_clock(path: Path) -> int | None:
    try:
        told: dict[str, Any] = json.loads(path.read_bytes())
        return int(told["now_us"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
