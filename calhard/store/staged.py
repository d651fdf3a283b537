"""A folder that is written by one process at a time, file by file, its manifest last.

What is new is written aside and brought to the disk; one rename then decides that it shall be. From
there on any run, this one or the next, puts it in its place file by file, so a run that dies leaves
every file old or new as a whole, and a reader never waits.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from calhard.errors import ConfigError, InProgress, InputError, PublishError
from calhard.store import disk
from calhard.store.lock import locked
from calhard.store.remedies import refusal
from calhard.uri import is_uri
from calhard.wording.names import display_name

MANIFEST = "_manifest.json"
STAGING = "_staging"
LOCK = "_lock"


class StagedFolder(ABC):
    """Context of one run that writes to a folder; a kind of folder says what it tells of itself.

    Raises
    ------
    ConfigError
        ``path`` is a URI.
    InProgress
        Another process writes to it.
    InputError
        The folder holds files that no run has written.
    PublishError
        The disk refuses; the message says what to mend.
    """

    subject: ClassVar[str]
    """What it is called: ``the history``."""
    option: ClassVar[str]
    """What names it on the command line."""
    done: ClassVar[str]
    """What was done once all is decided: ``is measured``."""
    foreign: ClassVar[str]
    """Why a folder without a manifest is refused."""
    stray: ClassVar[str]
    """Why a file is refused of which the manifest does not tell."""
    anew: ClassVar[str]
    """What else to do where a file is missing."""
    in_progress: ClassVar[type[InProgress]] = InProgress
    folders: ClassVar[tuple[str, ...]] = ()
    """Folders within the staging folder."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        if is_uri(os.fspath(path)):
            raise ConfigError(
                f"{os.fspath(path)}: {self.subject} is written to a folder, not to a URI, in this "
                f"version; name a folder for {self.option}"
            )
        self.path = Path(path)
        # A worker of a dead run may still write for a while; it shall not meet this one's files.
        self.staging = self.path / STAGING / uuid4().hex
        self._stack = ExitStack()

    @abstractmethod
    def files(self, text: str, place: str) -> Mapping[str, int]:
        """Return the names and bytes of the files of which a manifest's text tells.

        Raises
        ------
        InputError
            It is damaged, or of another kind; ``place`` names it.
        """

    def order(self, name: str) -> tuple[bool, str]:
        """Return when a file is put in its place: what was not there before what was."""
        return (self.path / name).exists(), name

    @property
    def nothing(self) -> str:
        """What became of it where the disk refused."""
        return f"{self.subject} is as it was"

    @property
    def staged(self) -> Path:
        """Where new files are written: the folder's own layout."""
        return self.staging / "new"

    @property
    def _commit(self) -> Path:
        return self.path / STAGING / "commit"

    def __enter__(self) -> Self:
        """Take the lock, finish or sweep what a dead run left, make a clean staging folder."""
        if self.path.is_dir() and not (self.path / LOCK).exists():
            self.check()  # a folder that is somebody else's does not even get a lock
        try:
            subject = f"{self.subject} {self.path}"
            self._stack.enter_context(locked(self.path / LOCK, subject, self.in_progress))
            try:
                self._recover()
                self.check()
                for folder in (self.staged, *(self.staging / name for name in self.folders)):
                    disk.make_folder(folder)
            except BaseException:
                self._stack.close()
                raise
        except OSError as e:
            raise refusal(self.path, e, self.nothing, self.option) from e
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
            raise refusal(self.path, error, self.nothing, self.option) from error

    def manifest_text(self) -> str | None:
        """Return what the last run wrote, None if there was none."""
        place = self.path / MANIFEST
        return place.read_text("utf-8", "replace") if place.exists() else None

    def _known(self) -> dict[str, int]:
        """Names and bytes of the files of which the manifest in place tells."""
        text = self.manifest_text()
        return {} if text is None else dict(self.files(text, str(self.path / MANIFEST)))

    def check(self) -> None:
        """Refuse a folder that is somebody else's, in whole or in part.

        Raises
        ------
        InputError
            The message names the file.
        """
        if not self.path.is_dir():
            return
        known = self._known()
        there = sorted(p.name for p in self.path.iterdir() if not p.name.startswith(("_", ".")))
        strange = next((name for name in there if name not in known), None)
        if strange is None:
            return
        if not (self.path / MANIFEST).exists():
            raise InputError(
                f"{self.path}: holds {display_name(strange, 100)!r} and no {MANIFEST}, so "
                f"{self.foreign}"
            )
        raise InputError(f"{self.path / display_name(strange, 100)}: {self.stray}")

    def check_whole(self) -> None:
        """Refuse a folder some files of which are missing or not as long as they were written.

        Raises
        ------
        InputError
            The message names the file.
        """
        for name, told in self._known().items():
            path = self.path / name
            size = path.stat().st_size if path.exists() else None
            if size != told:
                found = "is missing" if size is None else f"has {size:,} bytes"
                raise InputError(
                    f"{path}: {found}; {MANIFEST} tells of {told:,}: put the file back, "
                    f"or {self.anew}"
                )

    def commit(self, text: str) -> None:
        """Put the staged files in the places of the old ones, and the manifest last.

        Raises
        ------
        PublishError
            The disk refuses. Before all is decided the folder is as it was; after that, files of it
            may be new, and the next run puts the others in their places.
        """
        try:
            disk.write_bytes(self.staged / MANIFEST, text.encode())
            disk.sync_tree(self.staged)
            disk.move(self.staged, self._commit)
        except OSError as e:
            raise refusal(self.path, e, self.nothing, self.option) from e
        try:
            self._finish()
        except OSError as e:
            raise PublishError(
                f"{self.path}: {self.done}, but the disk refused to put all of it in its place "
                f"({e.strerror or e}): mend the disk and run the same again"
            ) from e

    def _recover(self) -> None:
        if (self._commit / MANIFEST).exists():
            self._finish()
        if (self.path / STAGING).exists():
            disk.remove_tree(self.path / STAGING)

    def _finish(self) -> None:
        """Put in place what is decided, and remove what goes.

        In between a reader may see rows twice, which agree, but misses none.
        """
        commit = self._commit
        text = (commit / MANIFEST).read_text("utf-8")
        dropped = self._known().keys() - self.files(text, str(commit / MANIFEST)).keys()
        found = (p.relative_to(commit).as_posix() for p in commit.rglob("*") if p.is_file())
        new = [name for name in found if name != MANIFEST]
        for name in sorted(new, key=self.order):
            disk.make_folder((self.path / name).parent)
            disk.replace(commit / name, self.path / name)
        for name in sorted(dropped):
            if (self.path / name).exists():
                disk.remove(self.path / name)
        disk.replace(commit / MANIFEST, self.path / MANIFEST)
        disk.remove_tree(commit)


def check_apart(source: str | os.PathLike[str], folder: str | os.PathLike[str], among: str) -> None:
    """Refuse a folder among the files that it is made from: the next run would read it as such.

    ``among`` says what they are: ``the predictions``.

    Raises
    ------
    ConfigError
        It lies there.
    """
    text = os.fspath(source)
    path = unquote(urlsplit(text).path) if text.startswith("file://") else text
    if "://" in path:
        return
    there, here = Path(path).resolve(), Path(folder).resolve()
    if here == there or (
        there in here.parents
        and not any(p.startswith(("_", ".")) for p in here.relative_to(there).parts)
    ):
        raise ConfigError(
            f"{os.fspath(folder)}: lies among {among} ({text}), where it would be read as such; "
            "choose a folder beside them"
        )
