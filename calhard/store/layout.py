"""Where a night lies under the output directory. Names are dates and numbers, never a user's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Generic, TypeVar

from calhard.errors import ConfigError
from calhard.store.place import Place, RemotePath

At = TypeVar("At", Path, RemotePath, Place)
_NIGHT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def is_night(name: str) -> bool:
    """Return whether a name is a date as nights are named, YYYY-MM-DD."""
    if not _NIGHT.fullmatch(name):
        return False
    try:
        date.fromisoformat(name)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Layout(Generic[At]):
    """Paths of one night under ``out``.

    Raises
    ------
    ConfigError
        ``night`` is no date.
    """

    out: At
    night: str

    def __post_init__(self) -> None:
        """Refuse anything that is no date."""
        if not is_night(self.night):
            raise ConfigError(
                f"{self.night!r} is no night; nights are dates such as 2026-05-31 (YYYY-MM-DD)"
            )

    @property
    def published(self) -> At:
        """``OUT/nights/night=YYYY-MM-DD``."""
        return self.out / "nights" / f"night={self.night}"

    @property
    def staging(self) -> At:
        """Where the night is written before it is published."""
        return self.out / ".staging" / f"night={self.night}"

    @property
    def scratch(self) -> At:
        """What workers leave for the driver; never published."""
        return self.out / ".staging" / f"scratch={self.night}"

    @property
    def aside(self) -> At:
        """Where a superseded revision waits for its place."""
        return self.out / ".staging" / f"aside={self.night}"

    @property
    def half_written(self) -> tuple[At, ...]:
        """What a writer leaves that dies, and nobody can go on with."""
        return self.staging, self.aside

    @property
    def unpublished(self) -> tuple[At, ...]:
        """All that a writer leaves that dies."""
        return self.scratch, self.staging, self.aside

    @property
    def lock(self) -> At:
        """The file whose lock the night's writer holds."""
        return self.out / ".locks" / f"night={self.night}"

    @property
    def revisions(self) -> At:
        """Superseded revisions of the night."""
        return self.out / "revisions" / f"night={self.night}"

    def revision(self, number: int) -> At:
        """One superseded revision."""
        return self.revisions / f"rev={number}"
