"""An executor on a clock of its own, whose calls fail as they are told to."""

import math

from calhard.engines.executor import Kind, Outcome
from calhard.errors import CalhardError
from calhard.uri import StorageFailed

FAULTS = ("crash", "memory", "lost", "hang", "slow", "error", "storage")
KINDS = {"crash": Kind.CRASH, "memory": Kind.MEMORY, "lost": Kind.LOST}


class Clock:
    """Seconds that pass when someone waits."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Fake:
    """Computes ``slots`` calls at once; ``faults[task]`` names what befalls its tries, in turn.

    A call takes ``seconds(task)``, a slow one fifty times that, one that hangs for ever. Splitting
    calls take no time and do not fail unless ``faults`` names ``("split", task)``.
    """

    name = "fake"

    def __init__(self, clock, slots, faults=None, seconds=lambda task: 1.0, splitter=None):
        self.clock, self.slots, self.seconds, self.splitter = clock, slots, seconds, splitter
        self.faults = {task: list(told) for task, told in (faults or {}).items()}
        self.started, self.most, self.cancelled = [], 0, []
        self._running, self._ended = {}, []

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._running.clear()

    def start(self, call):
        splits = self.splitter is not None and call.function is self.splitter
        key = ("split", call.task) if splits else call.task
        told = self.faults.get(key)
        fault = told.pop(0) if told else None
        takes = 0.0 if splits else self.seconds(call.task)
        takes = {"hang": math.inf, "slow": 50 * takes}.get(fault, takes)
        ticket = len(self.started)
        self.started.append(key)
        self._running[ticket] = (self.clock.now + takes, call, fault)
        self.most = max(self.most, len(self._running) + len(self._ended))
        assert self.most <= self.slots, "more at once than there are slots"
        return ticket

    def wait(self, seconds):
        if not self._ended:
            self._pass(seconds)
        ended, self._ended = self._ended, []
        return ended

    def cancel(self, ticket):
        if self._running.pop(ticket, None) is not None:
            self.cancelled.append(self.started[ticket])
            self._ended.append((ticket, Outcome(Kind.CANCELLED)))

    def _pass(self, seconds):
        first = min((end for end, _, _ in self._running.values()), default=math.inf)
        until = math.inf if seconds is None else self.clock.now + seconds
        assert min(first, until) < math.inf, "waits for ever"
        self.clock.now = min(first, until)
        for ticket, (end, call, fault) in list(self._running.items()):
            if end <= self.clock.now:
                del self._running[ticket]
                self._ended.append((ticket, outcome(call, fault)))


def outcome(call, fault):
    """What comes of a call that a fault befalls."""
    if fault in KINDS:
        return Outcome(KINDS[fault], error=CalhardError(f"{fault}; in truth"))
    if fault == "storage":
        return Outcome(Kind.STORAGE, error=StorageFailed("a disk is away"))
    if fault == "error":
        return Outcome(Kind.ERROR, error=ValueError("wrong"))
    return Outcome.of(call)
