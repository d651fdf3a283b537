"""The same shards on a Ray cluster: tasks for processors, an actor for a card or a part of one.

Nothing is computed on Ray but by this package, and it does not import Ray before it is used.
"""

from calhard.engines.on_ray.engine import RayEngine

__all__ = ["RayEngine"]
