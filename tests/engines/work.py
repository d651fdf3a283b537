"""Tasks for tests of engines: workers import them by name."""

import os
import signal


def square(x):
    return x * x


def refuse_three(x):
    if x == 3:
        raise ValueError(f"task {x} cannot be done")
    return x


def die_at_three(x):
    if x == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return x


def die(_):
    os.kill(os.getpid(), signal.SIGKILL)


def process(_):
    return os.getpid()


def first_waits(x):
    """The first task ends after the second has: results come in order all the same."""
    folder, index = x
    mark = os.path.join(folder, "second")  # noqa: PTH118
    if index == 1:
        with open(mark, "w"):  # noqa: PTH123
            pass
    while index == 0 and not os.path.exists(mark):  # noqa: PTH110
        pass
    return index
