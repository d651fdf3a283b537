"""The folder of a prepared history."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from calhard.errors import HistoryInProgress
from calhard.prepare.manifest import Manifest
from calhard.store.staged import MANIFEST, StagedFolder


class PreparedFolder(StagedFolder):
    """Context of one run that writes to a prepared history."""

    subject = "the prepared history"
    option = "OUT"
    done = "is prepared"
    foreign = "it is no history that calhard prepared; choose another folder"
    stray = "was not prepared by calhard, but an audit would read it; move it out of the folder"
    anew = "prepare everything anew with --force"
    in_progress = HistoryInProgress
    folders = ("rows",)

    def files(self, text: str, place: str) -> Mapping[str, int]:
        """Return the names and bytes of the parts of which a manifest's text tells."""
        return Manifest.parse(text, place).files

    @property
    def spills(self) -> Path:
        """Where rows wait to be brought in order."""
        return self.staging / "rows"

    def manifest(self) -> Manifest | None:
        """Return what the last run wrote, None if there was none."""
        text = self.manifest_text()
        return None if text is None else Manifest.parse(text, str(self.path / MANIFEST))
