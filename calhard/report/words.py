"""Numbers and instants in words."""

from __future__ import annotations

from datetime import datetime

NONE = "—"


def number(value: float | None, digits: int = 4) -> str:
    """Return a number to some significant digits, ``—`` for none."""
    return NONE if value is None else f"{value:.{digits}g}"


def percent(share: float | None, digits: int = 1) -> str:
    """Return a share in percent."""
    return NONE if share is None else f"{share:.{digits}%}"


def instant(value: datetime | None) -> str:
    """Return an instant to the minute."""
    return NONE if value is None else f"{value:%Y-%m-%d %H:%M} UTC"


def count(number_: int, noun: str, plural: str = "") -> str:
    """Return ``1 model`` or ``2 models``."""
    return f"{number_:,} {noun if number_ == 1 else plural or noun + 's'}"
