"""An audit that comes to a halt: ``python -m tests.faults.stalled HISTORY OUT WORKERS STAGE``.

Prints ``ready`` when one shard of the stage is done and waits for the end of its input.
"""

import sys
from functools import partial

from calhard.engines import LocalEngine
from calhard.history import open as open_
from calhard.history import shards
from calhard.pipeline import run_audit
from calhard.plan import AuditPlan


def main(history, out, workers, stage):
    """Audit and stall."""
    open_.ordered_shards = partial(shards.ordered_shards, target=1)  # a shard for each model

    def stall(now, done, total, rows):
        if now == stage and done == 1:
            print("ready", total, flush=True)  # noqa: T201  # the test waits for it
            sys.stdin.read()

    run_audit(history, AuditPlan(), out=out, engine=LocalEngine(int(workers)), progress=stall)


if __name__ == "__main__":
    main(*sys.argv[1:])
