"""Publishes a night to an object store: staged in a local folder, put file by file, manifest last.

A night without its manifest does not exist for any reader. A new revision is put only after the old
one was copied to the revisions, from where readers take it until the new manifest is there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from calhard.errors import CalhardError, PublishError
from calhard.store.claim import Claim, claimed
from calhard.store.layout import Layout
from calhard.store.objects import OTHERWISE, clear, copy, upload
from calhard.store.place import FAULTS, RemotePath
from calhard.store.reader import MANIFEST, kept_revisions, published
from calhard.store.remedies import NOTHING
from calhard.store.staging import OPTION, owner_of, staging_root
from calhard.store.writer import NightWriter
from calhard.uri import told

Target = Layout[RemotePath]


class RemoteNightWriter(NightWriter):
    """A `NightWriter` whose night goes to an object store.

    Parameters
    ----------
    out : the place of the nights
    scratch : the folder in which nights are staged, this user's own among the temporary ones by
        default; a run that died is gone on with where the next one has the same

    Raises
    ------
    NightInProgress
        Another process writes this night.
    PublishError
        The store or the disk refuses. An earlier revision stays.
    """

    option = OPTION
    claim: Claim

    def __init__(
        self, out: RemotePath, night: str, *, force: bool = False, scratch: str | None = None
    ) -> None:
        super().__init__(staging_root(out, scratch), night, force=force)
        self.out = out
        self.target: Target = Layout(out, night)

    def __enter__(self) -> Self:
        """Take the lock of this machine, then the store's; sweep what a dead writer left."""
        super().__enter__()
        try:
            with refused(self.target.out):
                owner = owner_of(self.layout)
                held = claimed(self.target.lock, self.target.night, owner)
                self.claim = self._stack.enter_context(held)
                recover_objects(self.target)
        except BaseException:
            self._stack.close()
            raise
        return self

    @property
    def path(self) -> RemotePath:
        """Where the published night lies."""
        return self.target.published

    def _commit(self, old: int, manifest: bytes) -> None:
        """Keep the old revision, put the new one's files, then its manifest."""
        self.resumable = True  # until it is published
        target = self.target
        with refused(self.target.out, "the earlier revision stays" if old else NOTHING):
            if old and (target.published / MANIFEST).is_file():
                copy(target.published, target.revision(old))
            self.claim.check()
            clear(target.published)
            upload(self.layout.staging, target.published, self._files)
            self.claim.check()
        self._show(old, manifest)
        self.resumable = False

    def _show(self, old: int, manifest: bytes) -> None:
        """Put the manifest, from where on the night is there."""
        try:
            place = self.path / MANIFEST
            place.write_bytes(manifest)
            if place.read_bytes() != manifest:
                place.unlink(missing_ok=True)
                raise OSError(OTHERWISE)
        except FAULTS as e:
            seen = self._seen(manifest)
            if seen is None:
                raise PublishError(
                    f"{self.path}: {told(e)}; whether the night is published shows when the store "
                    "answers again: run the same again"
                ) from e
            if not seen:
                raise _refusal(
                    self.target.out, e, "the earlier revision stays" if old else NOTHING
                ) from e

    def _seen(self, manifest: bytes) -> bool | None:
        """Whether a reader sees this night; None where the store does not answer."""
        try:
            there = published(self.target.out, self.target.night)
            return (
                there is not None and there.manifest_sha256 == hashlib.sha256(manifest).hexdigest()
            )
        except CalhardError:
            return None


@contextmanager
def refused(place: RemotePath, consequence: str = NOTHING) -> Iterator[None]:
    """Raise what the store refuses within as `PublishError`."""
    try:
        yield
    except FAULTS as e:
        raise _refusal(place, e, consequence) from e


def _refusal(place: RemotePath, error: BaseException, consequence: str) -> PublishError:
    return PublishError(f"{place}: {told(error)}; {consequence}")


def recover_objects(target: Target) -> None:
    """Sweep what writers left that died: nights and revisions without a manifest."""
    there = target.published.objects()
    if there and MANIFEST not in there:
        clear(target.published)
    kept = {f"rev={number}" for number in kept_revisions(target)}
    for name in sorted({n.partition("/")[0] for n in target.revisions.objects()} - kept):
        clear(target.revisions / name)
