"""``python -m tests.engines.ray.driver HISTORY OUT GATE [ADDRESS]``: an audit that stops half-way.

It runs on the Ray at an address, or on one of its own.

The first two of three shards are assessed, the third once the file GATE is there. Prints ``half``
when it waits for that, with what a test may want to kill.
"""

import os
import sys
from dataclasses import dataclass
from functools import partial

from calhard.engines.on_ray import RayEngine, heart
from calhard.errors import CalhardError
from calhard.history import open as opening
from calhard.history import shards
from calhard.pipeline import run_audit
from calhard.plan import AuditPlan
from tests.engines.ray.work import Gate
from tests.faults.fleets import SPEC

FEW = partial(shards.ordered_shards, target=6 * SPEC.days)
"""Three models in each shard."""


@dataclass
class Gated:
    """An engine whose first stage waits at a gate."""

    engine: object
    path: str

    name = "ray"

    def run(self, function, tasks, policy, split=None):
        if type(function).__name__ == "AssessShard":
            names = [task.name for task in tasks[:2]]
            function = Gate(function, names, self.path)
        return self.engine.run(function, tasks, policy, split)


def told(stage, done, total, rows):
    """Say that two of three shards are done, and where the cluster's head is."""
    if (stage, done, total) == ("assess", 2, 3):
        import ray

        print("half", ray.get_runtime_context().gcs_address, flush=True)  # noqa: T201


def main(history, out, gate, address=None):
    """Audit; tell what went wrong as the command does."""
    opening.ordered_shards = FEW
    heart.PATIENCE_SECONDS = 1.0
    with RayEngine(address) as engine:
        try:
            report = run_audit(
                history, AuditPlan(), out=out, engine=Gated(engine, gate), progress=told
            )
        except CalhardError as e:
            print(f"calhard: {e}", flush=True)  # noqa: T201
            return e.exit_code
        return report.exit_code


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main(*sys.argv[1:]))
