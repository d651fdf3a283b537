"""The one loop that owns policy: what is started, tried again, split, given up or doubled.

Executors know nothing of it, and it knows nothing of processes, nodes or clocks but the one it is
given.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import Generic, cast

from calhard.engines.executor import Call, Executor, Kind, Outcome, Ticket
from calhard.engines.policy import Finished, Policy, Quarantined, Result, Settled, Split, Task
from calhard.engines.underway import Leaf, Root, Try
from calhard.errors import CalhardError
from calhard.uri import told

LOGGER = logging.getLogger("calhard")
COPIES = 2
"""A straggler and the one beside it."""


class Loop(Generic[Task, Result]):
    """Carries tasks through an executor.

    Parameters
    ----------
    executor : entered already
    function : picklable; computes a task
    split : how a task is split that does not get through; never by default
    clock : monotonic seconds
    """

    def __init__(
        self,
        executor: Executor,
        function: Callable[[Task], Result],
        tasks: Sequence[Task],
        policy: Policy,
        split: Split | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.executor, self.function, self.policy = executor, function, policy
        self.split, self.clock = split, clock
        self._roots = [Root(place) for place in range(len(tasks))]
        for root, task in zip(self._roots, tasks, strict=True):
            root.leaves.append(Leaf(root, task, whole=split is None))
        self._waiting = deque(root.leaves[0] for root in self._roots)
        self._put_off: list[Leaf] = []
        """Storage failed them; they wait until they are due."""
        self._tries: dict[Ticket, Try] = {}
        self._took: list[float] = []
        self._given_up = 0
        self._end = len(tasks)
        """Tasks from this place on are not begun any more: one before it failed."""

    def results(self) -> Iterator[Settled[Task, Result]]:
        """Yield what comes of every task, in the order of the tasks.

        Raises
        ------
        Exception
            A task failed for good, in its turn; none after it is begun once that is known.
        """
        for root in self._roots:
            self._fill()
            while not root.settled:
                self._step()
                self._fill()
            for leaf in root.leaves:
                if isinstance(leaf.settled, Exception):
                    raise leaf.settled
                yield cast("Settled[Task, Result]", leaf.settled)
            root.leaves = []  # results may be large

    def _fill(self) -> None:
        """Start what waits, the first tasks first, then copies of stragglers."""
        while len(self._tries) < self.executor.slots and (leaf := self._next()) is not None:
            self._start(leaf)
        for leaf in self._stragglers():
            self._start(leaf)

    def _next(self) -> Leaf | None:
        for leaf in [leaf for leaf in self._put_off if leaf.due <= self.clock()]:
            self._put_off.remove(leaf)
            self._waiting.appendleft(leaf)
        while self._waiting:
            leaf = self._waiting.popleft()
            if leaf.root.place < self._end:
                return leaf
        return None

    def _start(self, leaf: Leaf, *, splitting: bool = False) -> None:
        function = self.split if splitting and self.split is not None else self.function
        task, last = leaf.task, self.policy.last
        if last is not None and not splitting and 0 < leaf.put_off == len(self.policy.patience):
            task = last(task)
        ticket = self.executor.start(Call(function, task))
        self._tries[ticket] = Try(leaf, self.clock(), splitting)
        leaf.running += 1

    def _step(self) -> None:
        """Wait for whatever ends next; end what has hung."""
        for ticket, outcome in self.executor.wait(self._patience()):
            ended = self._tries.pop(ticket)
            ended.leaf.running -= 1
            if not ended.unwanted:
                self._settle(ended, outcome)
        if self.policy.timeout is not None:
            due = self.clock() - self.policy.timeout
            for ticket, running in list(self._tries.items()):
                if running.began <= due and not (running.hung or running.unwanted):
                    running.hung = True
                    self.executor.cancel(ticket)

    def _patience(self) -> float | None:
        """Seconds until something must be done without an outcome; None where nothing must."""
        limits = []
        if self.policy.timeout is not None:
            limits.append(self.policy.timeout)
        if (slow := self._slow()) is not None and len(self._tries) < self.executor.slots:
            limits.append(slow)
        now = self.clock()
        left = [
            running.began + limit - now
            for running in self._tries.values()
            if not running.hung
            for limit in limits
            if running.began + limit > now or limit == self.policy.timeout
        ]
        if len(self._tries) < self.executor.slots:
            left += [leaf.due - now for leaf in self._put_off]
        return max(min(left), 0.0) if left else None

    def _settle(self, ended: Try, outcome: Outcome) -> None:
        leaf = ended.leaf
        if ended.splitting:
            self._replace(leaf, outcome)
        elif outcome.kind is Kind.DONE:
            self._took.append(self.clock() - ended.began)
            leaf.settled = Finished(leaf.task, outcome.value)
            self._drop_others(leaf)
        elif outcome.kind is Kind.ERROR and isinstance(outcome.error, self.policy.fatal):
            self._fail(leaf, outcome.error)
            self._drop_others(leaf)
        else:
            self._failed(leaf, _told(outcome, self.policy.timeout) if ended.hung else outcome)

    def _failed(self, leaf: Leaf, outcome: Outcome) -> None:
        """One try failed: try again, split, or give up; a copy that still runs is waited for."""
        leaf.failure = outcome
        leaf.attempts += outcome.kind is not Kind.STORAGE
        if leaf.running:
            return
        if outcome.kind is Kind.STORAGE:
            self._storage_failed(leaf)
            return
        at_once = leaf.suspect or outcome.kind is Kind.MEMORY
        may_split = not leaf.whole and leaf.root.splits < self.policy.splits
        if may_split and (at_once or self._is_hopeless(leaf)):
            leaf.root.splits += 1
            self._start(leaf, splitting=True)
        else:
            self._retry(leaf)

    def _storage_failed(self, leaf: Leaf) -> None:
        """Try again after a while, as long as there is patience."""
        error, patience = cast("Exception", leaf.failure.error), self.policy.patience
        if leaf.put_off >= len(patience):
            if isinstance(error, self.policy.fatal):
                self._fail(leaf, error)
            else:
                self._retry(leaf)
            return
        seconds = patience[leaf.put_off]
        leaf.put_off += 1
        leaf.due = self.clock() + seconds
        self._put_off.append(leaf)
        tries = f"try {leaf.put_off + 1} of {len(patience) + 1} in {seconds:g} s"
        LOGGER.warning("storage failed (%s); %s", " ".join(told(error).split()), tries)

    def _is_hopeless(self, leaf: Leaf) -> bool:
        told = leaf.failure.kind in {Kind.ERROR, Kind.STORAGE}
        return told or leaf.attempts >= self.policy.attempts

    def _retry(self, leaf: Leaf) -> None:
        """Try once more, or give up."""
        if not self._is_hopeless(leaf):
            self._waiting.appendleft(leaf)
            return
        error = leaf.failure.error or CalhardError(f"a task failed: {leaf.failure.kind}")
        if self.policy.quarantine and not self._are_too_many():
            reason = _reason(leaf.failure.kind, error)
            leaf.settled = Quarantined(leaf.task, reason, leaf.attempts, error)
        else:
            self._fail(leaf, error)

    def _replace(self, leaf: Leaf, outcome: Outcome) -> None:
        """Put what a task was split into in its place."""
        parts = outcome.value if outcome.kind is Kind.DONE else None
        if not parts or len(parts) == 1:
            leaf.whole = True
            leaf.task = parts[0] if parts else leaf.task
            self._retry(leaf)
            return
        parted = [Leaf(leaf.root, part, suspect=True) for part in parts]
        place = leaf.root.leaves.index(leaf)
        leaf.root.leaves[place : place + 1] = parted
        self._waiting.extendleft(reversed(parted))

    def _are_too_many(self) -> bool:
        """Whether what fails is not the tasks' fault: so many fail, and hardly any is done."""
        self._given_up += 1
        return self._given_up > max(self.policy.quarantines, len(self._took))

    def _fail(self, leaf: Leaf, error: Exception) -> None:
        leaf.settled = error
        self._end = min(self._end, leaf.root.place)

    def _drop_others(self, leaf: Leaf) -> None:
        """The first to end has won; nobody waits for its copy."""
        for ticket, other in self._tries.items():
            if other.leaf is leaf and not other.unwanted:
                other.unwanted = True
                self.executor.cancel(ticket)

    def _slow(self) -> float | None:
        """Seconds after which a try is a straggler, once most tasks are done."""
        policy = self.policy
        if policy.speculate is None or self._waiting or not self._took:
            return None
        if len(self._took) < policy.speculate_after * len(self._roots):
            return None
        return policy.speculate * median(self._took)

    def _stragglers(self) -> list[Leaf]:
        """Tasks that get a copy now, as far as there are slots."""
        slow, free = self._slow(), self.executor.slots - len(self._tries)
        if slow is None or free <= 0:
            return []
        now = self.clock()
        late = [
            t.leaf
            for t in self._tries.values()
            if now - t.began >= slow
            and not (t.splitting or t.hung or t.unwanted)
            and t.leaf.running < COPIES
        ]
        return late[:free]


def _told(outcome: Outcome, timeout: float | None) -> Outcome:
    """The outcome of a try that hung and was ended for it."""
    error = CalhardError(
        f"a task took more than {timeout:g} s and was ended; nothing was published. Look for "
        "storage that hangs, or a machine that is overloaded."
    )
    return Outcome(outcome.kind, error=error)


def _reason(kind: Kind, error: Exception) -> str:
    """Why a task was given up, in a line."""
    text = str(error).partition(";")[0].partition("\n")[0]
    if kind in {Kind.ERROR, Kind.STORAGE}:
        return f"{type(error).__name__}: {text}"
    return text or str(kind)
