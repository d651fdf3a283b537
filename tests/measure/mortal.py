"""An engine each of whose workers is killed once, in the middle of a task."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

from calhard.engines import LocalEngine


@dataclass(frozen=True)
class Once:
    """Computes a task, and dies before it can say so, unless somebody else did."""

    function: object
    died: Path

    def __call__(self, task):
        found = self.function(task)
        try:
            self.died.touch(exist_ok=False)
        except FileExistsError:
            return found
        os.kill(os.getpid(), signal.SIGKILL)
        return found


@dataclass(frozen=True)
class Mortal(LocalEngine):
    """Two workers; one of them is killed in each stage."""

    folder: Path = Path()

    def map(self, function, tasks):
        return LocalEngine(2).map(Once(function, self.folder / type(function).__name__), tasks)
