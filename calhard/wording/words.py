"""Numbers, instants and what a summary says, in words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from math import floor
from typing import Any

from calhard.wording.names import display_name

NONE = "—"
LONGEST_REASON = 400
MOST_BOUNDS = 100.0
"""A change of more than so many SLO bounds is a number without meaning."""
NOTHING_SEEN = "no change of level could have been told from chance here"


def number(value: float | None, digits: int = 4) -> str:
    """Return a number to some significant digits, ``—`` for none."""
    return NONE if value is None else f"{value:.{digits}g}"


def is_telling(least: float, bound: float | None) -> bool:
    """Return whether a smallest detectable change says more than that none could be seen."""
    return not bound or least <= MOST_BOUNDS * bound


def percent(share: float | None, digits: int = 1) -> str:
    """Return a share in percent; one below 1 never reads as 100 %."""
    if share is None:
        return NONE
    step = 10.0 ** -(digits + 2)
    return f"{1.0 - step if 1.0 - step < share < 1.0 else share:.{digits}%}"


def covered(share: float) -> str:
    """Return a coverage in percent, rounded down: what falls short never reads as its bound."""
    return f"{floor(1_000 * share) / 1_000:.1%}"


def instant(value: datetime | None) -> str:
    """Return an instant to the minute."""
    return NONE if value is None else f"{value:%Y-%m-%d %H:%M} UTC"


def count(number_: int, noun: str, plural: str = "") -> str:
    """Return ``1 model`` or ``2 models``."""
    return f"{number_:,} {noun if number_ == 1 else plural or noun + 's'}"


def enumerated(parts: list[str]) -> str:
    """Return ``a``, ``a and b`` or ``a, b and c``."""
    *most, last = parts
    return f"{', '.join(most)} and {last}" if most else last


def reasons(summary: Mapping[str, Any]) -> list[str]:
    """Return why the fleet is not healthy; names in it made safe to show."""
    return [display_name(reason, LONGEST_REASON) for reason in summary["reasons"]]


def budget(left: float | None) -> str:
    """Return how much of the error budget is left; an overdrawn one is told by what was used."""
    if left is None or left >= 0:
        return percent(left, 0)
    return f"none; {1.0 - left:,.0%} of it is used"
