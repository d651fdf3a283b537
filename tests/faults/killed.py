"""Kills processes at steps of a publish and of a forced re-publish: run by test_disk.py.

``python -m tests.faults.killed OLD OUT``: OLD holds a published night; OUT gets one folder a step.
Prints the steps. Nothing here uses Arrow before it forks, so the children may.
"""

import json
import os
import shutil
import sys
from pathlib import Path

from tests.faults.breaking import Disk
from tests.store.nights import write

DEAD = 77
STRIDE = 7
"""Every step would take long; that all are survived is shown without processes."""


def steps(start, folder, name, work):
    """Kill ``work`` before step 0, 7, … until it comes through; return the steps."""
    step, died = 0, []
    while True:
        out = folder / f"{name}-{step}"
        if start is not None:
            shutil.copytree(start, out)
        child = os.fork()
        if child == 0:
            dying(out, step, work)
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        if code == 0:
            return died
        if code != DEAD:
            sys.exit(f"{name}, step {step}: exit code {code}")
        died.append(step)
        step += STRIDE


def dying(out, step, work):
    """Do the work in this process, which ends before the step."""
    os.fsync = lambda handle: None
    with Disk(out, before=lambda now, name: os._exit(DEAD) if now == step else None):
        work(out)
    os._exit(0)


def main(old, out):
    """Print the steps of a publish and of a forced re-publish."""
    found = {
        "publish": steps(None, out, "publish", lambda path: write(path, models=3)),
        "supersede": steps(old, out, "supersede", lambda path: write(path, models=7, force=True)),
    }
    print(json.dumps(found))  # noqa: T201  # the caller reads it


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
