"""Where a night lies under the output directory. Names are dates and numbers, never a user's."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from calhard.errors import ConfigError

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
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


def is_uri(text: str) -> bool:
    """Return whether a text names a place on a store rather than a folder."""
    return _URI.match(text) is not None


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths of one night under ``out``.

    Raises
    ------
    ConfigError
        ``night`` is no date, or ``out`` a URI.
    """

    out: Path
    night: str

    def __post_init__(self) -> None:
        """Refuse anything that is no date, and what would become a folder named ``s3:``."""
        if is_uri(os.fspath(self.out)):
            raise ConfigError(
                f"{self.out}: nights are published to a folder, not to a URI, in this version; "
                "name a folder, such as --out nights"
            )
        if not is_night(self.night):
            raise ConfigError(
                f"{self.night!r} is no night; nights are dates such as 2026-05-31 (YYYY-MM-DD)"
            )

    @property
    def published(self) -> Path:
        """``OUT/nights/night=YYYY-MM-DD``."""
        return self.out / "nights" / f"night={self.night}"

    @property
    def staging(self) -> Path:
        """Where the night is written before it is published."""
        return self.out / ".staging" / f"night={self.night}"

    @property
    def scratch(self) -> Path:
        """What workers leave for the driver; never published."""
        return self.out / ".staging" / f"scratch={self.night}"

    @property
    def aside(self) -> Path:
        """Where a superseded revision waits for its place."""
        return self.out / ".staging" / f"aside={self.night}"

    @property
    def half_written(self) -> tuple[Path, ...]:
        """What a writer leaves that dies, and nobody can go on with."""
        return self.staging, self.aside

    @property
    def unpublished(self) -> tuple[Path, ...]:
        """All that a writer leaves that dies."""
        return self.scratch, *self.half_written

    @property
    def lock(self) -> Path:
        """The file whose lock the night's writer holds."""
        return self.out / ".locks" / f"night={self.night}"

    @property
    def revisions(self) -> Path:
        """Superseded revisions of the night."""
        return self.out / "revisions" / f"night={self.night}"

    def revision(self, number: int) -> Path:
        """One superseded revision."""
        return self.revisions / f"rev={number}"
