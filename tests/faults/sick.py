"""A model that crashes, hangs, takes all memory or raises, in workers of the local engine."""

import os
import signal
from dataclasses import dataclass, replace

from calhard.engines import LocalEngine
from calhard.history import ShardSpec
from calhard.pipeline.judging import batches_of
from calhard.pipeline.marks import begun
from calhard.pipeline.series import KeptShard


def fail(how):
    """Fail in some way."""
    if how == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if how == "hang":
        os.kill(os.getpid(), signal.SIGSTOP)
    if how == "memory":
        raise MemoryError
    raise ValueError("a number is out of its mind")


@dataclass(frozen=True)
class Sick:
    """A task that fails where it holds any of some models."""

    function: object
    models: tuple
    how: str

    def __call__(self, task):
        if not any(self.holds(task, model) for model in self.models):
            return self.function(task)
        if not isinstance(task, ShardSpec):
            return fail(self.how)
        with begun(self.function.folder, task.name):  # as one that fails half-way through
            return fail(self.how)

    def holds(self, task, model):
        if isinstance(task, ShardSpec):
            return task.holds(model)
        if isinstance(task, KeptShard):
            return task.spec.holds(model)
        found = batches_of(task, self.function.folder)
        return any(model in groups["model_id"].to_pylist() for groups, _ in found)


@dataclass(frozen=True)
class SickEngine:
    """The local engine, where one stage fails."""

    stage: str
    models: tuple
    how: str
    workers: int = 2
    timeout: float = 3.0

    name = "local"

    def run(self, function, tasks, policy, split=None):
        if type(function).__name__ == self.stage:
            function = Sick(function, self.models, self.how)
            if self.how == "hang":
                policy = replace(policy, timeout=self.timeout, attempts=2)
        return LocalEngine(self.workers).run(function, tasks, policy, split)
