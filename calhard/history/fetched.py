"""A history that was fetched from elsewhere, and lies in a folder while it is audited."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Fetched:
    """A copy of what lies elsewhere; a path as others are, that knows what it is called.

    Parameters
    ----------
    folder : where the copy lies
    name : where it comes from, for people: ``mlflow:EXPERIMENT``
    left_out : rows of the coverage table, of what is there and did not become rows
    """

    folder: Path
    name: str
    left_out: tuple[Mapping[str, object], ...] = ()

    def __fspath__(self) -> str:
        """Return the folder."""
        return str(self.folder)
