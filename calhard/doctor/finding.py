"""What was found about one thing: well, a note, or wrong, and then what mends it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How it is."""

    OK = "ok"
    NOTE = "note"
    """Something that works without, or that a person should know."""
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of an examination."""

    name: str
    state: State
    told: str
    remedy: str | None = None

    def line(self) -> str:
        """Return it for a person."""
        mend = "" if self.remedy is None else f"; {self.remedy}"
        return f"{self.state:<5}  {self.name:<12}  {self.told}{mend}"

    def to_dict(self) -> dict[str, str | None]:
        """Return it for a program."""
        return {
            "name": self.name,
            "state": str(self.state),
            "told": self.told,
            "remedy": self.remedy,
        }


def ok(name: str, told: str) -> Finding:
    """Return that something is well."""
    return Finding(name, State.OK, told)


def note(name: str, told: str, remedy: str | None = None) -> Finding:
    """Return that something is to be known."""
    return Finding(name, State.NOTE, told, remedy)


def wrong(name: str, told: str, remedy: str) -> Finding:
    """Return that something is wrong, and what mends it."""
    return Finding(name, State.WRONG, told, remedy)
