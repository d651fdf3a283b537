"""The same shards on a Ray cluster: tasks for processors, an actor for a card or a part of one.

Nothing outside this package imports Ray, and nothing in it does before it is used.
"""

from calhard.engines.on_ray.engine import RayEngine

__all__ = ["RayEngine"]
