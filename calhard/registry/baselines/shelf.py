"""Where baselines stand: numbered files that never change, and a file that names one of them."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from calhard.errors import ConfigError, InProgress, NightInProgress
from calhard.registry.kept import UNREADABLE, damaged, get, put
from calhard.store import Out, Place, place_of
from calhard.store.claim import claimed
from calhard.store.lock import locked
from calhard.store.place import names_in
from calhard.store.remedies import told
from calhard.store.remote import refused

FOLDER, ALIAS = "baselines", "in-force.json"
ABOUT = b"calhard.baseline"
_NAME = re.compile(r"(\d{4,})-(\d{4}-\d{2}-\d{2})-([0-9a-f]{12})\.parquet")
NOTHING = "nothing was pinned"
REMEDY = "calhard baseline pin OUT writes one"


class BaselineInProgress(InProgress):
    """Someone else is pinning a baseline right now."""


@dataclass(frozen=True, slots=True)
class Version:
    """One baseline: its number, the night that it is of, and how its hash begins."""

    number: int
    night: str
    mark: str
    place: Place

    @property
    def content(self) -> bytes:
        """Return the file, checked against the hash in its name.

        Raises
        ------
        InputError
            It is gone or has changed.
        """
        found = get(self.place)
        if found is None or not hashlib.sha256(found).hexdigest().startswith(self.mark):
            raise damaged(self.place, "its content is not what its name says")
        return found

    @property
    def table(self) -> pa.Table:
        """Return its rows: a model and class each, their values and standard errors."""
        try:
            return pq.read_table(pa.BufferReader(self.content))
        except UNREADABLE as e:
            raise damaged(self.place, e) from e

    @property
    def about(self) -> dict[str, Any]:
        """Return where it comes from: fleet, night and revision, window, what was chosen."""
        try:
            found: dict[str, Any] = json.loads(self.table.schema.metadata[ABOUT])
        except UNREADABLE as e:
            raise damaged(self.place, e) from e
        return found


@dataclass(frozen=True, slots=True)
class Shelf:
    """The baselines beside some nights."""

    out: Place

    @classmethod
    def of(cls, out: Out) -> Shelf:
        """Return the baselines of an output directory; whether there are any is not asked."""
        return cls(place_of(out))

    def versions(self) -> list[Version]:
        """Return all versions, the oldest first."""
        folder = self.out / FOLDER
        found = (_NAME.fullmatch(name) for name in names_in(folder, "*.parquet"))
        versions = [Version(int(m[1]), m[2], m[3], folder / m[0]) for m in found if m]
        return sorted(versions, key=lambda v: v.number)

    def version(self, number: int) -> Version:
        """Return a version.

        Raises
        ------
        ConfigError
            There is none of that number.
        """
        there = self.versions()
        found = next((v for v in there if v.number == number), None)
        if found is None:
            names = ", ".join(str(v.number) for v in there[-5:]) or "none"
            raise ConfigError(f"{self.out}: no baseline {number}; there are {names}; {REMEDY}")
        return found

    def in_force(self) -> Version | None:
        """Return the version in force; None where there is none.

        Raises
        ------
        InputError
            The file that names it is damaged, or names none that is there.
        """
        place = self.out / FOLDER / ALIAS
        told_by = get(place)
        if told_by is None:
            return None
        try:
            named = json.loads(told_by)
            number, mark = int(named["version"]), str(named["sha256"])[:12]
        except UNREADABLE as e:
            raise damaged(place, e) from e
        found = next((v for v in self.versions() if (v.number, v.mark) == (number, mark)), None)
        if found is None:
            raise damaged(place, f"it names version {number}, which is not there")
        return found

    def add(self, table: pa.Table, night: str, about: Mapping[str, Any]) -> Version:
        """Put a new version on the shelf; the lock must be held.

        A baseline that is there to the byte is not put again.
        """
        content = _parquet(table, about)
        digest = hashlib.sha256(content).hexdigest()
        there = self.versions()
        same = next((v for v in there if v.mark == digest[:12]), None)
        if same is not None:
            return same
        number = there[-1].number + 1 if there else 1
        place = self.out / FOLDER / f"{number:04d}-{night}-{digest[:12]}.parquet"
        put(place, content)
        return Version(number, night, digest[:12], place)

    def enforce(self, version: Version, since: str) -> None:
        """Let the alias name a version; the lock must be held."""
        digest = hashlib.sha256(version.content).hexdigest()
        named = {
            "version": version.number,
            "file": version.place.name,
            "sha256": digest,
            "since": since,
        }
        put(self.out / FOLDER / ALIAS, (json.dumps(named, indent=2) + "\n").encode())

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the shelf's lock.

        Raises
        ------
        BaselineInProgress
            Someone else pins a baseline there.
        PublishError
            The disk or the store refuses.
        """
        lock = self.out / ".locks" / FOLDER
        if isinstance(lock, Path):
            with told(lock, NOTHING), locked(lock, "a baseline", BaselineInProgress):
                yield
            return
        try:
            with refused(lock, NOTHING), claimed(lock, FOLDER, uuid4().hex):
                yield
        except NightInProgress as e:
            raise BaselineInProgress(str(e).replace(f"night {FOLDER}", "a baseline")) from e


def _parquet(table: pa.Table, about: Mapping[str, Any]) -> bytes:
    sink = io.BytesIO()
    text = json.dumps(dict(about), sort_keys=True).encode()
    plain = table.combine_chunks().replace_schema_metadata({ABOUT: text})
    pq.write_table(plain, sink, write_page_checksum=True)
    return sink.getvalue()
