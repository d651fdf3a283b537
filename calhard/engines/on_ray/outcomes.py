"""What Ray's errors mean to the loop."""

from __future__ import annotations

import pickle

from ray import exceptions

from calhard.engines.executor import Kind, Outcome
from calhard.engines.on_ray.versions import REMEDY
from calhard.errors import CalhardError

FEWER = "Try fewer workers (--workers), more memory for each, or smaller shards."
NODE = "node has died"
"""What Ray says of an actor that was not itself to blame."""


class ClusterLost(CalhardError):
    """The cluster, or this machine's part of it, is gone; what was done is kept."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what}; nothing was published. What was done is kept: run the command again, on any "
            "engine, and it goes on from there."
        )


def ended(value: object) -> Outcome:
    """Return the outcome of a call whose result Ray holds."""
    outcome: Outcome = pickle.loads(value)  # type: ignore[arg-type]  # noqa: S301  # our worker's bytes
    return outcome


def failed(error: Exception, *, starved: bool = False) -> Outcome:
    """Return the outcome of a call for whose result Ray gives an error.

    ``starved``: the system is known to have killed processes for want of memory.

    Raises
    ------
    ClusterLost
        No task can be computed any more.
    """
    match error:
        case exceptions.LocalRayletDiedError():
            raise ClusterLost("Ray's own process on this machine (raylet) has died") from error
        case exceptions.TaskCancelledError():
            return Outcome(Kind.CANCELLED, error=error)
        case exceptions.RayTaskError():
            return _raised(error)
        case exceptions.OutOfMemoryError() | exceptions.ObjectStoreFullError():
            return _told(Kind.MEMORY, "a worker was killed by Ray, since memory ran out", error)
        case exceptions.WorkerCrashedError() if starved:
            return _told(Kind.MEMORY, "a worker process was killed, since memory ran out", error)
        case exceptions.WorkerCrashedError():
            return _told(Kind.CRASH, "a worker process died on Ray", error)
        case exceptions.ActorDiedError() if NODE not in str(error):
            return _told(Kind.CRASH, "a worker process died on Ray", error)
        case _:  # a node, an object, its owner; an actor that cannot be reached
            return _told(Kind.LOST, f"a node of the Ray cluster was lost ({_name(error)})", error)


def _raised(error: exceptions.RayTaskError) -> Outcome:
    """What a worker raised outside the task: it could not even begin."""
    cause: BaseException = getattr(error, "cause", error)
    if isinstance(cause, ImportError) or "ModuleNotFoundError" in str(error):
        lacking = f"Ray's workers lack something that the driver has ({cause})"
        return Outcome(Kind.ERROR, error=CalhardError(f"{lacking}; {REMEDY}"))
    if isinstance(cause, MemoryError):
        return Outcome(Kind.MEMORY, error=cause)
    return Outcome(Kind.ERROR, error=cause if isinstance(cause, Exception) else error)


def _told(kind: Kind, what: str, error: Exception) -> Outcome:
    told = CalhardError(f"{what}; nothing was published. {FEWER}")
    told.__cause__ = error
    return Outcome(kind, error=told)


def _name(error: Exception) -> str:
    return type(error).__name__
