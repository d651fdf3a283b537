"""Publishes a night to an object store: staged in a local folder, put file by file, manifest last.

A night without its manifest does not exist for any reader. A new revision is put only after the old
one was copied to the revisions, from where readers take it until the new manifest is there.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import pyarrow.fs as pafs

from calhard.errors import CalhardError, NightInProgress, PublishError
from calhard.store import disk
from calhard.store.claim import Claim, claimed
from calhard.store.layout import Layout, is_night
from calhard.store.place import BLOCK, FAULTS, RemotePath, sha256_of, size_of
from calhard.store.reader import MANIFEST, kept_revisions, published
from calhard.store.remedies import NOTHING
from calhard.store.writer import NightWriter
from calhard.uri import told

Target = Layout[RemotePath]
AT_ONCE = 8
"""Files that are on their way at a time."""
COPIED_WHOLE = 5 * 2**30
"""Bytes that S3 copies in one request; what is larger is read and put."""
_OTHERWISE = "what was put reads back otherwise; run again, and look into the store if it stays so"


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

    option = "[calibration.hardening.storage] scratch"
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
                owner = _owner(self.layout)
                held = claimed(self.target.lock, self.target.night, owner)
                self.claim = self._stack.enter_context(held)
                recover(self.target)
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
                raise OSError(_OTHERWISE)
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
            return there is not None and there.manifest_sha256 == _sha256(manifest)
        except CalhardError:
            return None


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@contextmanager
def refused(place: RemotePath, consequence: str = NOTHING) -> Iterator[None]:
    """Raise what the store refuses within as `PublishError`."""
    try:
        yield
    except FAULTS as e:
        raise _refusal(place, e, consequence) from e


def _refusal(place: RemotePath, error: BaseException, consequence: str) -> PublishError:
    return PublishError(f"{place}: {told(error)}; {consequence}")


# --- the local side ---------------------------------------------------------------------------


def staging_root(out: RemotePath, scratch: str | None) -> Path:
    """Return the local folder of what is staged for a place on a store."""
    base = _own_temporary() if scratch is None else Path(scratch).expanduser()
    return base / f"calhard-{_sha256(out.identity.encode())[:16]}"


def _own_temporary() -> Path:
    """Make a folder that this user alone can enter; its name stays, so that a next try finds it."""
    path = Path(tempfile.gettempdir()) / f"calhard-{os.getuid()}"
    with suppress(FileExistsError):
        path.mkdir(0o700)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PublishError(
            f"{path}: is not a folder of this user alone; remove it, or name a folder: "
            f'{RemoteNightWriter.option} = "/var/tmp/calhard"'
        )
    return path


def _owner(layout: Layout[Path]) -> str:
    """Return the name by which one staging folder claims a night; its lock must be held."""
    path = layout.out / ".owners" / f"night={layout.night}"
    with suppress(OSError, ValueError):
        return _known(path.read_text("ascii"))
    disk.make_folder(path.parent)
    disk.write_bytes(path, uuid4().hex.encode())
    return path.read_text("ascii")


def _known(name: str) -> str:
    if len(name) != 32 or not name.isalnum():
        raise ValueError(name)
    return name


# --- the store's side -------------------------------------------------------------------------


def upload(folder: Path, target: RemotePath, files: Sequence[Mapping[str, Any]]) -> None:
    """Put files and read each back; ``files`` tells name and sha256 of each."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        tasks = [
            pool.submit(_put, folder / file["name"], target / file["name"], file["sha256"])
            for file in files
        ]
        try:
            for task in tasks:
                task.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _put(source: Path, target: RemotePath, sha256: str) -> None:
    with source.open("rb") as old, target.filesystem.open_output_stream(target.key) as new:
        shutil.copyfileobj(old, new, BLOCK)
    if size_of(target) != source.stat().st_size or sha256_of(target) != sha256:
        raise OSError(f"{target}: {_OTHERWISE}")


def copy(source: RemotePath, target: RemotePath) -> None:
    """Copy a night within the store, its manifest last."""
    there = source.objects()
    for name in sorted(there, key=lambda n: (n == MANIFEST, n)):
        _copy(source / name, target / name, there[name].size)
    if {n: i.size for n, i in target.objects().items()} != {n: i.size for n, i in there.items()}:
        raise OSError(f"{target}: {_OTHERWISE}")


def _copy(source: RemotePath, target: RemotePath, size: int) -> None:
    if size <= COPIED_WHOLE:
        source.filesystem.copy_file(source.key, target.key)
    else:
        pafs.copy_files(
            source.key,
            target.key,
            source_filesystem=source.filesystem,
            destination_filesystem=target.filesystem,
        )


def clear(place: RemotePath) -> None:
    """Remove a night, its manifest first, so that it never shows in part."""
    there = place.objects()
    if MANIFEST in there:
        (place / MANIFEST).unlink(missing_ok=True)
    if there:
        with suppress(FileNotFoundError):
            place.filesystem.delete_dir(place.key)


def recover(target: Target) -> None:
    """Sweep what writers left that died: nights and revisions without a manifest."""
    there = target.published.objects()
    if there and MANIFEST not in there:
        clear(target.published)
    kept = {f"rev={number}" for number in kept_revisions(target)}
    for name in sorted({n.partition("/")[0] for n in target.revisions.objects()} - kept):
        clear(target.revisions / name)


def drop(target: Target) -> None:
    """Remove a night and its revisions, the one that readers see last."""
    recover(target)
    there = (target.published / MANIFEST).is_file()
    for number in kept_revisions(target):
        clear(target.revision(number))
    if there:
        clear(target.published)


def prune_remote(out: RemotePath, old: Sequence[str], consequence: str) -> None:
    """Drop some nights, and what writers left that died."""
    owner = uuid4().hex
    with refused(out, consequence):
        for night in old:
            target: Target = Layout(out, night)
            with claimed(target.lock, night, owner):
                drop(target)
        for night in _left_behind(out):
            target = Layout(out, night)
            with suppress(NightInProgress), claimed(target.lock, night, owner):
                recover(target)


def _left_behind(out: RemotePath) -> list[str]:
    """Nights of which there are files without a manifest, or claims."""
    found = {name.partition("/")[0] for name in (out / ".locks").objects()}
    for folder, depth in (("nights", 1), ("revisions", 2)):
        names = (out / folder).objects()
        whole = {n.removesuffix(f"/{MANIFEST}") for n in names if n.endswith(f"/{MANIFEST}")}
        places = {"/".join(name.split("/")[:depth]) for name in names}
        found |= {place.partition("/")[0] for place in places - whole}
    nights = (name.removeprefix("night=") for name in found)
    return sorted(night for night in nights if is_night(night))
