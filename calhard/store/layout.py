"""Where a night lies under the output directory. Names are dates and numbers, never a user's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from calhard.errors import PublishError

_NIGHT = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths of one night under ``out``."""

    out: Path
    night: str

    def __post_init__(self) -> None:
        """Refuse anything that is no date."""
        if not _NIGHT.fullmatch(self.night):
            raise PublishError(f"{self.night!r} is no night; nights are named YYYY-MM-DD")

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
