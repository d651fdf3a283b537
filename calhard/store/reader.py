"""Reads published nights."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from calhard.errors import InputError
from calhard.store.layout import Layout

MANIFEST, SUMMARY = "manifest.json", "summary.json"


@dataclass(frozen=True)
class NightReader:
    """One published night."""

    path: Path

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What the night is made of."""
        return _json(self.path / MANIFEST)

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The night in numbers."""
        return _json(self.path / SUMMARY)

    @property
    def night(self) -> str:
        """``YYYY-MM-DD``."""
        return str(self.manifest["night"])

    @property
    def revision(self) -> int:
        """1 for the first, counting up with every forced re-run."""
        return int(self.manifest["revision"])

    @cached_property
    def manifest_sha256(self) -> str:
        """Hash of the manifest, by which a later revision names this one."""
        return hashlib.sha256((self.path / MANIFEST).read_bytes()).hexdigest()

    def table(self, name: str) -> pa.Table:
        """Return a table of the night, checksums verified."""
        return pq.read_table(self.path / f"{name}.parquet", page_checksum_verification=True)

    def text(self, name: str) -> str:
        """Return a text file of the night."""
        return (self.path / name).read_text(encoding="utf-8")

    def verify(self) -> list[str]:
        """Return what differs from the manifest; nothing when the night is whole."""
        problems = []
        for entry in self.manifest["files"]:
            file = self.path / entry["name"]
            if not file.exists():
                problems.append(f"{entry['name']} is missing")
                continue
            with file.open("rb") as opened:
                if hashlib.file_digest(opened, "sha256").hexdigest() != entry["sha256"]:
                    problems.append(f"{entry['name']} has changed since it was published")
        return problems


def _json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise InputError(f"{path}: cannot be read ({e}); audit the night again with --force") from e
    return content


def is_whole(path: Path) -> bool:
    """Return whether a folder holds a complete night."""
    try:
        return not NightReader(path).verify()
    except (InputError, KeyError, TypeError, OSError):
        return False


def published(out: str | os.PathLike[str], night: str) -> NightReader | None:
    """Return a published night; its last revision if a writer died while superseding it."""
    layout = Layout(Path(out), night)
    if (layout.published / MANIFEST).exists():
        return NightReader(layout.published)
    kept = [p for p in layout.revisions.glob("rev=*") if p.name[4:].isdigit()]
    if not kept:
        return None
    return NightReader(max(kept, key=lambda p: int(p.name[4:])))


def list_nights(out: str | os.PathLike[str]) -> list[str]:
    """Return the names of all published nights, oldest first."""
    folder = Path(out) / "nights"
    return sorted(p.parent.name.removeprefix("night=") for p in folder.glob(f"night=*/{MANIFEST}"))


def open_night(out: str | os.PathLike[str], night: str | None = None) -> NightReader:
    """Return a night, the latest by default.

    Raises
    ------
    InputError
        There is none; the message lists those there are.
    """
    nights = list_nights(out)
    wanted = night or (nights[-1] if nights else None)
    found = None if wanted is None else published(out, wanted)
    if found is None:
        there = f"there are {', '.join(nights[-5:])}" if nights else "no night is published there"
        raise InputError(f"{os.fspath(out)}: no night {wanted or ''}; {there}".replace(" ;", ";"))
    return found
