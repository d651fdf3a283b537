"""Windows of time or of samples: ``"28d"``, ``"24h"``, ``"5m"``, or a number of samples."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import core_schema

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_PATTERN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([smhdw])\s*", re.ASCII)
_SECOND = 1_000_000
LONGEST_US = 36_500 * _UNITS["d"] * _SECOND
"""A hundred years: sums with any instant still fit into 64 bits."""
EXAMPLE = 'write a number and a unit, such as "28d", "24h", "90m" or "30s"'


DURATION_SCHEMA = {
    "type": "string",
    "pattern": f"^{_PATTERN.pattern}$",
    "examples": ["28d", "24h"],
}


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time in microseconds, or a number of samples; exactly one is set."""

    duration_us: int | None = None
    samples: int | None = None

    @classmethod
    def parse(cls, value: object) -> Window:
        """Return the window that a configuration names.

        Raises
        ------
        ValueError
            Not a positive duration with a unit, nor a positive number of samples.
        """
        if isinstance(value, Window):
            return value
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise ValueError(f"neither a duration nor a number of samples; {EXAMPLE}, or 28")
        if isinstance(value, int):
            if value <= 0:
                raise ValueError(f"{value} samples is no window; it must be positive")
            return cls(samples=value)
        return cls(duration_us=parse_duration(value))

    def __str__(self) -> str:
        """Return the text of the configuration: ``28d``, or ``28`` for samples."""
        if self.samples is not None:
            return str(self.samples)
        return format_duration(self.duration_us or 0)

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Validate with `parse`; write as an int or a string."""
        return core_schema.no_info_plain_validator_function(
            cls.parse,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda w: w.samples if w.samples is not None else str(w)
            ),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Describe both forms."""
        return {
            "anyOf": [
                {"type": "integer", "exclusiveMinimum": 0, "description": "samples"},
                DURATION_SCHEMA,
            ]
        }


def parse_duration(text: object) -> int:
    """Return a duration in microseconds.

    Raises
    ------
    ValueError
        Not a text with a number and a unit, not positive, or longer than a hundred years.
    """
    found = _PATTERN.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError(f"not a duration; {EXAMPLE}")
    seconds = float(found[1]) * _UNITS[found[2]]
    if seconds > LONGEST_US / _SECOND:
        raise ValueError("longer than a hundred years")
    microseconds = round(seconds * _SECOND)
    if microseconds <= 0:
        raise ValueError(f"not a positive duration; {EXAMPLE}")
    return microseconds


def format_duration(microseconds: int) -> str:
    """Return a duration in the largest unit that divides it; `parse_duration` reads it back."""
    for unit in ("d", "h", "m", "s"):
        size = _UNITS[unit] * _SECOND
        if microseconds % size == 0:
            return f"{microseconds // size}{unit}"
    whole, rest = divmod(microseconds, _SECOND)
    return f"{whole}.{rest:06d}".rstrip("0") + "s"
