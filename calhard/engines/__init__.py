"""Where shards are computed: an engine maps a picklable function over picklable tasks."""

from calhard.engines.base import Engine, KnowsMemory, Progress, Results
from calhard.engines.local import LocalEngine
from calhard.engines.policy import Finished, Policy, Quarantined, Settled, Split

__all__ = [
    "Engine",
    "Finished",
    "KnowsMemory",
    "LocalEngine",
    "Policy",
    "Progress",
    "Quarantined",
    "Results",
    "Settled",
    "Split",
]
