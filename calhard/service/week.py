"""Seven days of checks in memory that never grows: hourly tallies, and the latest violations."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from calhard.findings.health import Compliance
from calhard.findings.snapshot import SnapshotViolation
from calhard.schema import MICROSECONDS_PER_HOUR
from calhard.service.instants import instant

WEEK_HOURS = 7 * 24


@dataclass(frozen=True, slots=True)
class RecordedViolation:
    """A violation and the instant of its snapshot, UTC."""

    at: datetime
    violation: SnapshotViolation


@dataclass(slots=True)
class Tally:
    """Checks of some hours: how many, how many violated, and what."""

    checks: int = 0
    violated: int = 0
    better: int = 0
    severity: Counter[str] = field(default_factory=Counter)
    metric: Counter[str] = field(default_factory=Counter)

    def count(self, found: Sequence[SnapshotViolation]) -> None:
        """Count a check; what is beyond a bound for the better violates nothing."""
        worse = [v for v in found if v.direction == "worse"]
        self.checks += 1
        self.violated += bool(worse)
        self.better += len(found) - len(worse)
        self.severity.update(v.severity for v in worse)
        self.metric.update(v.metric for v in worse)

    def add(self, other: Tally) -> None:
        """Add another tally's counts."""
        self.checks += other.checks
        self.violated += other.violated
        self.better += other.better
        self.severity.update(other.severity)
        self.metric.update(other.metric)


class Week:
    """The checks of the last seven days, to the hour; at most ``kept`` violations in full."""

    def __init__(self, kept: int) -> None:
        self._hours: dict[int, Tally] = {}
        self._latest: deque[tuple[int, SnapshotViolation]] = deque(maxlen=kept)

    def count(self, us: int, found: Sequence[SnapshotViolation]) -> None:
        """Take in a check; instants never go backwards."""
        hour = us // MICROSECONDS_PER_HOUR
        if hour not in self._hours:
            self._hours = {h: t for h, t in self._hours.items() if h > hour - WEEK_HOURS}
            self._hours[hour] = Tally()
        self._hours[hour].count(found)
        self._latest.extend((us, violation) for violation in found)

    def tally(self, now_us: int) -> Tally:
        """Return the counts of the 168 hours that end with the present one."""
        total, hour = Tally(), now_us // MICROSECONDS_PER_HOUR
        for h, tally in self._hours.items():
            if h > hour - WEEK_HOURS:
                total.add(tally)
        return total

    def violations(self, now_us: int, days: float) -> list[RecordedViolation]:
        """Return the kept violations of the last days, the newest first."""
        since = now_us - days * 24 * MICROSECONDS_PER_HOUR
        newest = reversed(self._latest)
        return [RecordedViolation(instant(us), v) for us, v in newest if us >= since]


def compliance_of(tally: Tally, goal: float) -> Compliance:
    """Return the share of checks without a violation, and what is left of the error budget."""
    return Compliance(tally.checks, tally.violated, goal)
