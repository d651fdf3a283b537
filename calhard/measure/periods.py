"""Periods into which predictions are cut: fixed lengths, calendar months, or numbers of rows."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calhard.errors import ConfigError
from calhard.plan import parse_duration
from calhard.schema import MICROSECONDS_PER_DAY

Ints = NDArray[np.int64]

MONDAY = 4 * MICROSECONDS_PER_DAY
"""1970-01-05: fixed periods are counted from it, so that weeks begin on Mondays."""
FEWEST_ROWS = 10
_MONTHS = re.compile(r"\s*([1-9]\d?)\s*mo\s*", re.ASCII)
_ROWS = re.compile(r"\s*(\d{1,12})\s*rows?\s*", re.ASCII)
EXAMPLE = 'write "1h", "1d", "7d", "1mo" (calendar months) or "1000rows"'


@dataclass(frozen=True, slots=True)
class Period:
    """The length of a period; exactly one of the three is set.

    Time is UTC, microseconds since 1970. A period of time is [start, end); fixed ones are counted
    from Monday 1970-01-05, months from January 1970. A period of rows holds that many of one model
    and class, in order of time, and ends between two instants.
    """

    text: str
    width_us: int | None = None
    months: int | None = None
    rows: int | None = None

    @classmethod
    def parse(cls, text: str) -> Period:
        """Return the period that a text names.

        Raises
        ------
        ConfigError
            Not a number with a unit, too short or too long.
        """
        months, rows = _MONTHS.fullmatch(text), _ROWS.fullmatch(text)
        if months:
            return cls(f"{int(months[1])}mo", months=int(months[1]))
        if rows:
            return cls._of_rows(int(rows[1]))
        try:
            width = parse_duration(text)
        except ValueError as e:
            raise ConfigError(f"{text!r} is no period; {EXAMPLE}") from e
        return cls(text.strip().replace(" ", ""), width_us=width)

    @classmethod
    def _of_rows(cls, rows: int) -> Period:
        if rows < FEWEST_ROWS:
            raise ConfigError(f"a period of {rows} rows says nothing; give it at least 10")
        return cls(f"{rows}rows", rows=rows)

    @property
    def is_short(self) -> bool:
        """Whether it is shorter than a day."""
        return self.width_us is not None and self.width_us < MICROSECONDS_PER_DAY

    def number(self, timestamp: Ints) -> Ints:
        """Return the number of the period in which each instant lies; not for periods of rows."""
        if self.months is not None:
            months = timestamp.astype("datetime64[us]").astype("datetime64[M]").astype(np.int64)
            return months // self.months
        if self.width_us is None:
            raise TypeError("a period of rows is told by rows, not by an instant")
        return (timestamp - MONDAY) // self.width_us

    def start(self, number: Ints) -> Ints:
        """Return the instants at which numbered periods start; the end is the next one's start."""
        if self.months is not None:
            months = (number * self.months).astype("datetime64[M]")
            return months.astype("datetime64[us]").astype(np.int64)
        if self.width_us is None:
            raise TypeError("a period of rows starts with its first row")
        return number * self.width_us + MONDAY

    def starts(self, timestamp: Ints) -> Ints:
        """Return the start of the period in which each instant lies."""
        return self.start(self.number(timestamp))

    def ends(self, start: Ints) -> Ints:
        """Return the end of the periods that start there."""
        return self.start(self.number(start) + 1)
