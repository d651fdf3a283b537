"""Peak memory of an audit over that of its imports, in a process of its own.

    python -m benchmarks.memory HISTORY OUT [WORKERS]

Prints one JSON object: MiB of this process and of its largest worker.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

from calhard.engines import LocalEngine
from calhard.pipeline import run_audit
from calhard.pipeline.tasks import AssessShard, JudgeShard
from calhard.plan import AuditPlan


def peak(who: int) -> float:
    """Return the largest resident size so far, MiB."""
    return resource.getrusage(who).ru_maxrss / 1024


def main() -> None:
    """Audit and tell."""
    history, out, workers = Path(sys.argv[1]), Path(sys.argv[2]), int((sys.argv[3:] or ["1"])[0])
    imports = peak(resource.RUSAGE_SELF)
    assert (AssessShard, JudgeShard)  # what a worker imports, counted with the imports
    plan = AuditPlan.model_validate({"storage": {"keep": "flagged"}})
    run_audit(history, plan, out=out, engine=LocalEngine(workers))
    driver = peak(resource.RUSAGE_SELF) - imports
    worker = max(peak(resource.RUSAGE_CHILDREN) - imports, 0.0)
    print(json.dumps({"imports": imports, "driver": driver, "worker": worker}))


if __name__ == "__main__":
    main()
