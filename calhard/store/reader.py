"""Reads published nights."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import and_
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from calhard.errors import InputError
from calhard.store.layout import Layout, is_night
from calhard.store.place import (
    BLOCK,
    Place,
    RemotePath,
    for_arrow,
    names_in,
    place_of,
    reading_error,
    size_of,
)
from calhard.store.place import sha256_of as sha256_of  # noqa: PLC0414  # where others look for it
from calhard.uri import no_such

Out = str | os.PathLike[str] | RemotePath

MANIFEST, SUMMARY, SERIES = "manifest.json", "summary.json", "series"
_AGAIN = "restore it from a copy, or audit the night again with --force"


@dataclass(frozen=True)
class NightReader:
    """One published night.

    Raises
    ------
    InputError
        A file is not what was published; the message names it.
    """

    path: Place

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What the night is made of."""
        return _manifest(self.path / MANIFEST, _read(self.path / MANIFEST))

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The night in numbers."""
        return _json(self.path / SUMMARY, self._content(SUMMARY))

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
        return hashlib.sha256(_read(self.path / MANIFEST)).hexdigest()

    def table(self, name: str) -> pa.Table:
        """Return a table of the night, checked against the manifest and its page checksums."""
        file = self.path / f"{name}.parquet"
        problem = self._problem(file.name)
        if problem:
            raise InputError(f"{self.path}: {problem}; {_AGAIN}")
        filesystem, path = for_arrow(file)
        with _reading(file):
            return pq.read_table(
                path,
                filesystem=filesystem,
                partitioning=None,  # folders above may be named like columns
                page_checksum_verification=True,
            )

    def series(self, model_id: str, class_id: str | None = None) -> pa.Table:
        """Return the values behind a model's series, or one class's, `schema.series_schema`.

        Reads the row groups that may hold them alone, their page checksums verified; sorted by
        class and time, empty where nothing of them was kept.
        """
        parts = sorted(name for name in self._entries if name.startswith(f"{SERIES}/"))
        if not parts:
            raise InputError(f"{self.path}: holds no {SERIES}/; {_AGAIN}")
        only = {"model_id": model_id} | ({} if class_id is None else {"class_id": class_id})
        return self._filtered(SERIES, parts, only)

    def rows(self, name: str, **equal: str) -> pa.Table:
        """Return the rows of a table in which every column of ``equal`` has that value.

        Reads the row groups that may hold them alone, their page checksums verified; sorted as the
        table is.
        """
        return self._filtered(f"{name}.parquet", [f"{name}.parquet"], equal)

    @property
    def files(self) -> tuple[str, ...]:
        """The names of the night's files."""
        return tuple(self._entries)

    def _filtered(self, place: str, names: list[str], equal: Mapping[str, str]) -> pa.Table:
        """Rows of the Parquet files of one table that have these values."""
        for name in names:
            problem = self._resized(name)
            if problem:
                raise InputError(f"{self.path}: {problem}; {_AGAIN}")
        tests = [_is(column, value) for column, value in equal.items()]
        with _reading(self.path / place):
            found = [for_arrow(self.path / name) for name in names]
            return pq.read_table(
                [path for _, path in found],
                filters=reduce(and_, tests) if tests else None,
                filesystem=found[0][0],
                partitioning=None,  # folders above may be named like columns
                page_checksum_verification=True,
            )

    def text(self, name: str) -> str:
        """Return a text file of the night."""
        return self._content(name).decode("utf-8", "replace")

    def copy(self, name: str, target: Path) -> None:
        """Copy one of the night's files block by block, checked against the manifest."""
        if name not in self._entries:
            raise InputError(f"{self.path}: {name} is not in the manifest; {_AGAIN}")
        digest = hashlib.sha256()
        filesystem, path = for_arrow(self.path / name)
        with _reading(self.path / name):
            stream = filesystem.open_input_stream(path)
        with stream, target.open("wb") as file:
            while block := _block(stream, self.path / name):
                digest.update(block)
                file.write(block)
        if digest.hexdigest() != self._entries[name]["sha256"]:
            raise InputError(f"{self.path}: {name} has changed since it was published; {_AGAIN}")

    def verify(self) -> list[str]:
        """Return what differs from the manifest; nothing when the night is whole."""
        problems = [self._problem(name) for name in self._entries]
        known = {*self._entries, MANIFEST}
        with _reading(self.path):
            strange = [name for name in names_in(self.path) if name not in known]
        return [p for p in problems if p] + [f"{name} is not in the manifest" for name in strange]

    @cached_property
    def _entries(self) -> dict[str, dict[str, Any]]:
        """The manifest's files by name."""
        return {entry["name"]: entry for entry in self.manifest["files"]}

    def _problem(self, name: str) -> str:
        """What is wrong with one file; nothing as a rule."""
        if name not in self._entries:
            return f"{name} is not in the manifest"
        file = self.path / name
        with _reading(file):
            if not file.is_file():
                return f"{name} is missing"
            same = sha256_of(file) == self._entries[name]["sha256"]
        return "" if same else f"{name} has changed since it was published"

    def _resized(self, name: str) -> str:
        """What is wrong with one file at a glance; its pages have checksums of their own."""
        if name not in self._entries:
            return f"{name} is not in the manifest"
        file = self.path / name
        with _reading(file):
            size = size_of(file)
        if size is None:
            return f"{name} is missing"
        same = size == self._entries[name]["bytes"]
        return "" if same else f"{name} has changed since it was published"

    def _content(self, name: str) -> bytes:
        problem = self._problem(name)
        if problem:
            raise InputError(f"{self.path}: {problem}; {_AGAIN}")
        return _read(self.path / name)


def _is(column: str, name: str) -> pc.Expression:
    """Whether a column has a value; no row has a name that is not UTF-8."""
    try:
        return pc.field(column) == name
    except UnicodeEncodeError:
        return pc.scalar(False)


def _read(path: Place) -> bytes:
    with _reading(path):
        return path.read_bytes()


@contextmanager
def _reading(path: Place) -> Iterator[None]:
    """Raise what cannot be read as `InputError`."""
    try:
        yield
    except (OSError, ValueError, pa.ArrowException) as e:
        raise reading_error(path, e, _AGAIN) from e


def _block(stream: pa.NativeFile, path: Place) -> bytes:
    with _reading(path):
        return bytes(stream.read(BLOCK))


def _json(path: Place, text: bytes) -> dict[str, Any]:
    with _reading(path):
        content = json.loads(text)
        if not isinstance(content, dict):
            raise ValueError("no JSON object")
    return content


def _manifest(path: Place, text: bytes) -> dict[str, Any]:
    """A manifest that says at least what its readers ask."""
    content = _json(path, text)
    with _reading(path):
        for key, kind in {"night": str, "revision": int, "files": list}.items():
            if not isinstance(content.get(key), kind):
                raise ValueError(f"tells no {key}")
        for entry in content["files"]:
            if not isinstance(entry, dict) or not {"name", "bytes", "sha256"} <= set(entry):
                raise ValueError(f"a file without name, bytes or sha256: {entry}")
    return content


def kept_revisions(layout: Layout[Any]) -> list[int]:
    """Return the numbers of a night's superseded revisions."""
    found = names_in(layout.revisions, f"rev=*/{MANIFEST}")
    names = (name.partition("/")[0][4:] for name in found)
    return sorted(int(name) for name in names if name.isdecimal())


def published(out: Out, night: str) -> NightReader | None:
    """Return a published night; its last revision if a writer died while superseding it."""
    layout: Layout[Place] = Layout(place_of(out), night)
    with _reading(layout.published):
        if (layout.published / MANIFEST).exists():
            return NightReader(layout.published)
        kept = kept_revisions(layout)
    return NightReader(layout.revision(kept[-1])) if kept else None


def list_nights(out: Out) -> list[str]:
    """Return the names of all published nights, oldest first."""
    place = place_of(out)
    with _reading(place):
        there = names_in(place / "nights", f"night=*/{MANIFEST}")
        # A writer that died while superseding may have left a night among the revisions alone.
        there += names_in(place / "revisions", f"night=*/rev=*/{MANIFEST}")
    names = {name.partition("/")[0].removeprefix("night=") for name in there}
    return sorted(name for name in names if is_night(name))


def open_night(out: Out, night: str | None = None) -> NightReader:
    """Return a night, the latest by default.

    Raises
    ------
    ConfigError
        ``night`` is no date.
    InputError
        There is none; the message lists those there are.
    """
    place = place_of(out)
    nights = list_nights(place)
    wanted = night or (nights[-1] if nights else None)
    found = None if wanted is None else published(place, wanted)
    if found is None:
        raise InputError(f"{place}: {_none(place, wanted, nights)}")
    return found


def _none(out: Place, wanted: str | None, nights: list[str]) -> str:
    """Why there is no such night, and what there is."""
    if nights:
        earlier = f"{len(nights) - 5:,} earlier and " if len(nights) > 5 else ""
        return f"no night {wanted}; there are {earlier}{', '.join(nights[-5:])}"
    with _reading(out):
        place = "no night is published there" if out.is_dir() else _nothing(out)
    return f"{place}; calhard audit HISTORY --out {out} publishes one"


def _nothing(out: Place) -> str:
    """Why there is no such place."""
    return "no such folder" if isinstance(out, Path) else no_such(out.filesystem, out.key)
