"""Where shards are computed: an engine maps a picklable function over picklable tasks."""

from calhard.engines.base import Engine, Progress, Results
from calhard.engines.local import LocalEngine

__all__ = ["Engine", "LocalEngine", "Progress", "Results"]
