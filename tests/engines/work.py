"""Tasks for tests of engines: workers import them by name."""

import os
import signal
import sys
from multiprocessing.connection import Connection


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


def leave(x):
    if x == 2:
        sys.exit(3)
    return x


class Stubborn(Exception):
    """Cannot be made again of what it tells."""

    def __init__(self, one, other):
        super().__init__(f"{one} and {other}")


def raise_what_cannot_travel(x):
    raise Stubborn(x, "more")


def return_what_cannot_travel(x):
    return lambda: x


def large(x):
    return b"x" * (1_000_000 + x)


def die_in_sending(x):
    """Let half of the result out."""
    if x == 3:
        Connection._send = _half
    return b"x" * 1_000


def _half(pipe, content):
    os.write(pipe.fileno(), bytes(content)[: len(content) // 2])
    os.kill(os.getpid(), signal.SIGKILL)


def die_once(task):
    """Every task kills its worker the first time."""
    folder, index = task
    mark = os.path.join(folder, str(index))  # noqa: PTH118
    if not os.path.exists(mark):  # noqa: PTH110
        with open(mark, "w"):  # noqa: PTH123
            pass
        os.kill(os.getpid(), signal.SIGKILL)
    return index


def add_up(numbers):
    """A sum of numbers of which 13 crashes, 31 stops for ever and 77 takes all memory."""
    if 13 in numbers:
        os.kill(os.getpid(), signal.SIGSEGV)
    if 31 in numbers:
        os.kill(os.getpid(), signal.SIGSTOP)
    if 77 in numbers:
        raise MemoryError
    return sum(numbers)


def halves(numbers):
    """Split numbers; a single one cannot be."""
    if len(numbers) < 2:
        return None
    middle = len(numbers) // 2
    return [numbers[:middle], numbers[middle:]]


def halves_or_die(numbers):
    """Split numbers, which is deadly where 13 is among them."""
    if 13 in numbers:
        os.kill(os.getpid(), signal.SIGKILL)
    return halves(numbers)


def slowly_squared(x):
    """Some milliseconds of work."""
    return sum(x * x for _ in range(20_000)) // 20_000
