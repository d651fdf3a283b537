"""Rules that span several keys: refused with the key that is at fault, several at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic_core import PydanticCustomError

KeyPath = tuple[str | int, ...]
"""Steps from the outermost table to a key; array items are numbered from 0."""
RULE = "rules"


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule that a table breaks; ``key`` leads from that table to the key at fault."""

    key: KeyPath
    message: str


def refuse(broken: Sequence[Broken]) -> None:
    """Raise the error that pydantic reports for broken rules; nothing where there are none."""
    if broken:
        text = "; ".join(f"{b.key[-1]}: {b.message}" for b in broken)
        raise PydanticCustomError(RULE, "{text}", {"text": text, RULE: tuple(broken)})
