"""Tasks for tests on Ray: workers import them by name."""

import os
import signal
import time
from pathlib import Path

UNPICKLED = []


class Heavy:
    """Tells how often it was pickled here and unpickled there."""

    def __init__(self):
        self.pickled = 0

    def __reduce__(self):
        self.pickled += 1
        return _unpickle, ()

    def __call__(self, task):
        return os.getpid(), len(UNPICKLED)


def _unpickle():
    UNPICKLED.append(1)
    return Heavy()


def threads(_):
    import pyarrow as pa

    names = ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
    return pa.cpu_count(), *(os.environ.get(name) for name in names)


def card(_):
    return os.getpid(), os.environ.get("CUDA_VISIBLE_DEVICES")


def folder(_):
    return os.getcwd()  # noqa: PTH109  # as text


def wait_for(path):
    """Wait until a file is there; a test's end ends the worker, if nothing else does."""
    while not Path(path).exists():
        time.sleep(0.01)


def hang_the_first_time(task):
    """Of task 0, the first try never ends."""
    folder, index = task
    mark = Path(folder) / "hangs"
    if index == 0 and not mark.exists():
        mark.touch()
        wait_for(Path(folder) / "never")
    return index


def tell_and_wait(task):
    """Leave this process's number, in a file that is complete, then wait for another file."""
    folder, index = task
    place = Path(folder)
    if index == 0 and not (place / "pid").exists():
        tell(place / "pid")
        wait_for(place / "never")
    return index


def stop(path):
    """Stop this process, as storage does that hangs, once it has told its number."""
    tell(path)
    os.kill(os.getpid(), signal.SIGSTOP)


def tell(path):
    """Leave this process's number in a file that is complete as soon as it is there."""
    new = Path(f"{path}.new")
    new.write_text(str(os.getpid()))
    new.rename(path)


def is_stopped(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def hungry(_):
    raise MemoryError("too many rows")


class Gate:
    """A function that computes some shards at once, and others once a file is there."""

    def __init__(self, function, open_names, path):
        self.function, self.open_names, self.path = function, open_names, path

    def __call__(self, task):
        if task.name not in self.open_names:
            wait_for(self.path)
        return self.function(task)


def tell_node_and_wait(task):
    """Leave the node's id, then wait at a gate."""
    import ray

    folder, index = task
    new = Path(folder) / f"{index}.new"
    new.write_text(ray.get_runtime_context().get_node_id())
    new.rename(Path(folder) / str(index))
    wait_for(Path(folder) / "gate")
    return 0
