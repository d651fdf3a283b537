"""The history's folder: parts by month, their bins beside them, the manifest last."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from calhard.errors import HistoryInProgress
from calhard.measure.manifest import MANIFEST, File, Manifest
from calhard.store.staged import LOCK, STAGING, StagedFolder

__all__ = ["BINS", "LOCK", "STAGING", "HistoryFolder", "part_name"]

BINS = "_bins"


class HistoryFolder(StagedFolder):
    """Context of one run that writes to a history."""

    subject = "the history"
    option = "--history"
    done = "is measured"
    foreign = (
        "it is no history that calhard measured; choose another folder, such as --history history"
    )
    stray = "was not measured by calhard, but an audit would read it; move it out of the history"
    anew = "measure everything anew with --force"
    in_progress = HistoryInProgress
    folders = ("rows", "measured", f"new/{BINS}")

    def files(self, text: str, place: str) -> Mapping[str, int]:
        """Return the names and bytes of the parts of which a manifest's text tells, and of bins."""
        parts = Manifest.parse(text, place).parts.items()
        return {
            name: file.bytes
            for label, part in parts
            for name, file in _files(label, part.history, part.bins)
        }

    def order(self, name: str) -> tuple[bool, str]:
        """Bins come before the history that they belong to."""
        return not name.startswith(f"{BINS}/"), name

    @property
    def spills(self) -> Path:
        """Where rows wait to be measured."""
        return self.staging / "rows"

    @property
    def outcomes(self) -> Path:
        """Where measured groups wait to be put in order."""
        return self.staging / "measured"

    def manifest(self) -> Manifest | None:
        """Return what the last run wrote, None if there was none."""
        text = self.manifest_text()
        return None if text is None else Manifest.parse(text, str(self.path / MANIFEST))


def part_name(label: str) -> str:
    """Return the name of a part's file."""
    return f"{label}.parquet"


def _files(label: str, history: File, bins: File) -> list[tuple[str, File]]:
    return [(part_name(label), history), (f"{BINS}/{part_name(label)}", bins)]
