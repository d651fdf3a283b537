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
    if isinstance(error, exceptions.LocalRayletDiedError):
        raise ClusterLost("Ray's own process on this machine (raylet) has died") from error
    if isinstance(error, exceptions.TaskCancelledError):
        return Outcome(Kind.CANCELLED, error=error)
    if isinstance(error, exceptions.RayTaskError):
        return _raised(error)
    kind, what = _death(error, starved=starved)
    told = CalhardError(f"{what}; nothing was published. {FEWER}")
    told.__cause__ = error
    return Outcome(kind, error=told)


def _death(error: Exception, *, starved: bool) -> tuple[Kind, str]:
    """How a worker died."""
    match error:
        case exceptions.OutOfMemoryError() | exceptions.ObjectStoreFullError():
            return Kind.MEMORY, "a worker was killed by Ray, since memory ran out"
        case exceptions.WorkerCrashedError() if starved:
            return Kind.MEMORY, "a worker process was killed, since memory ran out"
        case exceptions.WorkerCrashedError():
            return Kind.CRASH, "a worker process died on Ray"
        case exceptions.ActorDiedError() if NODE not in str(error):
            return Kind.CRASH, "a worker process died on Ray"
        case _:  # a node, an object, its owner; an actor that cannot be reached
            return Kind.LOST, f"a node of the Ray cluster was lost ({type(error).__name__})"


def _raised(error: exceptions.RayTaskError) -> Outcome:
    """What a worker raised outside the task: it could not even begin."""
    cause: BaseException = getattr(error, "cause", error)
    if isinstance(cause, ImportError) or "ModuleNotFoundError" in str(error):
        lacking = f"Ray's workers lack something that the driver has ({cause})"
        return Outcome(Kind.ERROR, error=CalhardError(f"{lacking}; {REMEDY}"))
    if isinstance(cause, MemoryError):
        return Outcome(Kind.MEMORY, error=cause)
    return Outcome(Kind.ERROR, error=cause if isinstance(cause, Exception) else error)
