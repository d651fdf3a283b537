"""Sizes, instants and windows as a person says them."""

from __future__ import annotations

from datetime import datetime

from calhard.wording.words import count, number, percent

WINDOWS = {"week": "the week", "night": "the last night"}
HOUR, DAY = 3_600.0, 86_400.0


def signed(value: float) -> str:
    """Return a number with its sign."""
    return f"{value:+.4g}"


def of_bound(size: float, bound: float | None) -> str:
    """Return ``12% of the bound`` or ``3.2 times the bound``; nothing without a bound."""
    if bound is None or not bound > 0:
        return ""
    ratio = abs(size) / bound
    return f"{ratio:.1f} times the bound" if ratio >= 2 else f"{percent(ratio, 0)} of the bound"


def deviations(effect: float | None) -> str:
    """Return ``4.3 sd``; nothing where it is unknown."""
    return "" if effect is None else f"{abs(effect):.1f} sd"


def bracketed(*parts: str) -> str:
    """Return `` (a, b)`` of those that say something."""
    told = ", ".join(part for part in parts if part)
    return f" ({told})" if told else ""


def duration(seconds: float) -> str:
    """Return a duration in its largest sensible unit, ``23 h``."""
    size = abs(seconds)
    if size < 90:
        return f"{size:.0f} s"
    if size < 1.5 * HOUR:
        return f"{size / 60:.0f} min"
    return f"{size / HOUR:.0f} h" if size < 2 * DAY else f"{size / DAY:.0f} days"


def minute(value: datetime) -> str:
    """Return an instant to the minute, without its zone: all are UTC."""
    return f"{value:%Y-%m-%d %H:%M}"


def day(value: datetime) -> str:
    """Return an instant's date, UTC."""
    return f"{value:%Y-%m-%d}"


def spacing(seconds: float) -> str:
    """Return how often a value comes, ``hourly`` or ``every 5 min``."""
    names = {HOUR: "hourly", DAY: "daily"}
    if seconds in names:
        return names[seconds]
    unit, word = next(
        (u, w)
        for u, w in ((DAY, "days"), (HOUR, "h"), (60.0, "min"), (1.0, "s"))
        if seconds >= u or u == 1.0
    )
    return f"every {number(seconds / unit)} {word}"


def one_in(share: float) -> str:
    """Return a share of findings in words: ``of 20 … at most 1``."""
    size = round(1 / share)
    if abs(size * share - 1) < 1e-9:
        return f"of {size:,} findings this sure at most 1 is expected to be false"
    return f"of 1,000 findings this sure at most {1_000 * share:.3g} are expected to be false"


def values(n: int) -> str:
    """Return how many values."""
    return count(n, "value")
