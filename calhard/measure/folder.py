"""The history's folder: one writer, parts replaced whole, the manifest last.

What is new is written aside and brought to the disk; one rename then decides that it shall be. From
there on any run, this one or the next, puts it in its place file by file, so a run that dies leaves
every part old or new as a whole, and a reader never waits.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

from calhard.errors import ConfigError, HistoryInProgress, InputError, PublishError
from calhard.measure.manifest import MANIFEST, File, Manifest
from calhard.report.names import display_name
from calhard.store import disk
from calhard.store.layout import is_uri
from calhard.store.lock import locked
from calhard.store.remedies import refusal

BINS = "_bins"
STAGING = "_staging"
LOCK = "_lock"
OPTION = "--history"
NOTHING = "the history is as it was"


class HistoryFolder:
    """Context of one run that writes to a history.

    Raises
    ------
    ConfigError
        ``path`` is a URI.
    HistoryInProgress
        Another process measures into it.
    InputError
        The folder holds files that no run has measured, or lacks some that one has.
    PublishError
        The disk refuses; the message says what to mend.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        if is_uri(os.fspath(path)):
            raise ConfigError(
                f"{os.fspath(path)}: a history is written to a folder, not to a URI, in this "
                "version; name a folder, such as --history history"
            )
        self.path = Path(path)
        # A worker of a dead run may still write for a while; it shall not meet this one's files.
        self.staging = self.path / STAGING / uuid4().hex
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Take the lock, finish or sweep what a dead run left, make a clean staging folder."""
        if self.path.is_dir() and not (self.path / LOCK).exists():
            self.manifest()  # a folder that is somebody else's does not even get a lock
        try:
            self._stack.enter_context(
                locked(self.path / LOCK, f"the history {self.path}", HistoryInProgress)
            )
            try:
                self._recover()
                for folder in (self.spills, self.outcomes, self.staged / BINS):
                    disk.make_folder(folder)
            except BaseException:
                self._stack.close()
                raise
        except OSError as e:
            raise refusal(self.path, e, NOTHING, OPTION) from e
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Sweep what was not committed, drop the lock; tell what the disk refused meanwhile."""
        try:
            with suppress(OSError):  # the next run sweeps what stays
                disk.remove_tree(self.staging)
                if not self._commit.exists():
                    disk.remove_tree(self.path / STAGING)
        finally:
            self._stack.close()
        if isinstance(error, OSError):
            raise refusal(self.path, error, NOTHING, OPTION) from error

    @property
    def spills(self) -> Path:
        """Where rows wait to be measured."""
        return self.staging / "rows"

    @property
    def outcomes(self) -> Path:
        """Where measured groups wait to be put in order."""
        return self.staging / "measured"

    @property
    def staged(self) -> Path:
        """Where new parts are written: the history's own layout."""
        return self.staging / "new"

    @property
    def _commit(self) -> Path:
        return self.path / STAGING / "commit"

    def manifest(self) -> Manifest | None:
        """Return what the last run wrote, None if there was none.

        Raises
        ------
        InputError
            It is damaged, or does not tell of the files that are there.
        """
        place = self.path / MANIFEST
        found = None
        if place.exists():
            found = Manifest.parse(place.read_text("utf-8", "replace"), str(place))
        self._check_foreign(found)
        return found

    def _parts(self) -> set[str]:
        """Names of the parts of which the manifest in place tells."""
        place = self.path / MANIFEST
        if not place.exists():
            return set()
        manifest = Manifest.parse(place.read_text("utf-8", "replace"), str(place))
        return {part_name(label) for label in manifest.parts}

    def _check_foreign(self, manifest: Manifest | None) -> None:
        """Refuse a folder that is somebody else's, in whole or in part."""
        known = set() if manifest is None else {part_name(label) for label in manifest.parts}
        there = sorted(p.name for p in self.path.iterdir() if not p.name.startswith(("_", ".")))
        strange = [name for name in there if name not in known]
        if strange and manifest is None:
            raise InputError(
                f"{self.path}: holds {display_name(strange[0], 100)!r} and no {MANIFEST}, so "
                "it is no history that calhard measured; choose another folder, such as "
                "--history history"
            )
        if strange:
            raise InputError(
                f"{self.path / display_name(strange[0], 100)}: was not measured by calhard, but an "
                "audit would read it; move it out of the history"
            )

    def check_parts(self, manifest: Manifest) -> None:
        """Refuse a history some files of which are missing or not as long as they were written.

        Raises
        ------
        InputError
            The message names the file.
        """
        for label, part in manifest.parts.items():
            for name, file in _files(label, part.history, part.bins):
                path = self.path / name
                size = path.stat().st_size if path.exists() else None
                if size != file.bytes:
                    found = "is missing" if size is None else f"has {size:,} bytes"
                    raise InputError(
                        f"{path}: {found}; {MANIFEST} tells of {file.bytes:,}: put the file back, "
                        "or measure everything anew with --force"
                    )

    def commit(self, manifest: Manifest) -> None:
        """Put the staged parts in the places of the old ones, and the manifest last.

        Raises
        ------
        PublishError
            The disk refuses. Before all is decided the history is as it was; after that, parts of
            it may be new, and the next run puts the others in their places.
        """
        try:
            disk.write_bytes(self.staged / MANIFEST, manifest.to_text().encode())
            disk.sync_tree(self.staged)
            disk.move(self.staged, self._commit)
        except OSError as e:
            raise refusal(self.path, e, NOTHING, OPTION) from e
        try:
            self._finish()
        except OSError as e:
            raise PublishError(
                f"{self.path}: is measured, but the disk refused to put all of it in its place "
                f"({e.strerror or e}): mend the disk and run the same again"
            ) from e

    def _recover(self) -> None:
        if (self._commit / MANIFEST).exists():
            self._finish()
        if (self.path / STAGING).exists():
            disk.remove_tree(self.path / STAGING)

    def _finish(self) -> None:
        """Put in place what is decided: bins before the history that they belong to."""
        commit = self._commit
        manifest = Manifest.parse((commit / MANIFEST).read_text("utf-8"), str(commit / MANIFEST))
        dropped = self._parts() - {part_name(label) for label in manifest.parts}
        for there, here in ((commit / BINS, self.path / BINS), (commit, self.path)):
            new = sorted(p for p in there.iterdir() if p.suffix == ".parquet")
            if new:
                disk.make_folder(here)
            for path in new:
                disk.replace(path, here / path.name)
            for path in (here / name for name in sorted(dropped)):
                if path.exists():
                    disk.remove(path)
        disk.replace(commit / MANIFEST, self.path / MANIFEST)
        disk.remove_tree(commit)


def part_name(label: str) -> str:
    """Return the name of a part's file."""
    return f"{label}.parquet"


def _files(label: str, history: File, bins: File) -> list[tuple[str, File]]:
    return [(part_name(label), history), (f"{BINS}/{part_name(label)}", bins)]
