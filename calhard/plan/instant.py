"""Instants as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from calhard.errors import ConfigError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)


def instant(as_of: str | datetime | None, name: str = "as_of") -> int | None:
    """Return an instant as microseconds since 1970 UTC; naive ones are UTC, None stays None.

    ``name`` is what a message calls it.

    Raises
    ------
    ConfigError
        Not an ISO date or instant, or before 1990, where no history begins.
    """
    if as_of is None:
        return None
    try:
        moment = datetime.fromisoformat(as_of) if isinstance(as_of, str) else as_of
    except ValueError as e:
        raise ConfigError(
            f"{name} {as_of!r} is no ISO instant; write one such as 2026-05-31T00:00Z"
        ) from e
    if not isinstance(moment, datetime):
        raise ConfigError(f"{name} {as_of!r} is neither ISO text nor a datetime")
    aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    if aware < EARLIEST:
        raise ConfigError(f"{name} {as_of} lies before 1990, and so before every history")
    return (aware - EPOCH) // timedelta(microseconds=1)
