"""When a sample was taken: given by the caller, or read from a clock that may misbehave."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from numbers import Real
from zoneinfo import ZoneInfo

import numpy as np

from calhard.service.metrics import MetricsError

Clock = Callable[[], datetime]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
EXAMPLE = "datetime.now(timezone.utc)"
MICROSECOND = timedelta(microseconds=1)


def system_clock() -> datetime:
    """Return the machine's time, UTC."""
    return datetime.now(UTC)


def microseconds(timestamp: object, zone: str | None = None) -> int:
    """Return an instant as microseconds since 1970 UTC.

    Parameters
    ----------
    timestamp : datetime, ISO text, or seconds since 1970
    zone : name of the zone of naive instants (``windows.timezone`` of the plan)

    Raises
    ------
    MetricsError
        No instant, before 1990, or naive where no zone was named: a local time that is read as UTC
        would put the sample hours away.
    """
    moment = _moment(timestamp)
    if moment.tzinfo is None:
        if zone is None:
            raise MetricsError(
                f"timestamp {timestamp!r} has no timezone; write {EXAMPLE}, or name the zone of "
                'naive ones in the plan: AuditPlan(windows={"timezone": "UTC"})'
            )
        moment = moment.replace(tzinfo=ZoneInfo(zone))
    if moment < EARLIEST:
        raise MetricsError(f"timestamp {timestamp!r} lies before 1990; expected one of today")
    return (moment - EPOCH) // MICROSECOND


def _moment(timestamp: object) -> datetime:
    if isinstance(timestamp, datetime):
        return timestamp
    if isinstance(timestamp, str):
        try:
            return datetime.fromisoformat(timestamp)
        except ValueError as e:
            raise MetricsError(
                f'timestamp {timestamp[:60]!r} is no ISO instant, such as "2026-05-31T00:00Z"'
            ) from e
    if isinstance(timestamp, Real) and not isinstance(timestamp, bool | np.bool_):
        try:
            return EPOCH + timedelta(seconds=float(timestamp))
        except (OverflowError, ValueError) as e:
            raise MetricsError(
                f"timestamp {timestamp!r} is no number of seconds since 1970; divide milliseconds "
                "by 1000"
            ) from e
    raise MetricsError(
        f"timestamp {timestamp!r} ({type(timestamp).__name__}); expected a datetime such as "
        f"{EXAMPLE}, ISO text or seconds since 1970"
    )


def instant(us: int) -> datetime:
    """Return microseconds since 1970 as a datetime, UTC."""
    return EPOCH + us * MICROSECOND


class Timekeeper:
    """The present of one stream: its clock's, or, where only timestamps come in, its newest one.

    Live streams (those with a clock of their own, or stamped by the system's) know what lies in
    the future and for how long nothing has come. A stream that is stamped by the caller alone has
    no other time than that: histories and simulations are replayed as fast as they come.
    """

    def __init__(self, clock: Clock | None, zone: str | None, skew_us: int) -> None:
        self.live = clock is not None
        self._clock = clock or system_clock
        self._zone = zone
        self._skew = skew_us

    def stamp(self, timestamp: object, last_us: int | None) -> int:
        """Return a new sample's instant.

        One read from the clock never repeats the last: a clock that stands, or was set back by
        less than ``windows.clock_skew``, gives the next microsecond.
        """
        if timestamp is not None:
            return microseconds(timestamp, self._zone)
        self.live = True
        now = self.now()
        behind = last_us is not None and last_us - self._skew <= now <= last_us
        return last_us + 1 if behind and last_us is not None else now

    def now(self) -> int:
        """Return the clock's time.

        Raises
        ------
        MetricsError
            The clock gives no aware datetime.
        """
        return microseconds(self._clock(), self._zone)

    def is_future(self, us: int) -> bool:
        """Return whether an instant lies further ahead of a live stream's clock than its skew."""
        return self.live and us > self.now() + self._skew

    def silence(self, last_us: int) -> int:
        """Return for how long a live stream has been silent beyond its skew, µs; 0 for others."""
        gap = self.now() - last_us if self.live else 0
        return gap if gap > self._skew else 0
