"""Writes a night: staged, brought to the disk, then published in one step."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from calhard.errors import PublishError
from calhard.schema import NIGHT_TABLES, SCHEMA_VERSION
from calhard.store import disk
from calhard.store.layout import Layout
from calhard.store.lock import held
from calhard.store.reader import NightReader, is_whole, published
from calhard.store.tables import TableSink

MANIFEST = "manifest.json"


class NightWriter:
    """Context of one night's writing; leaving it without `publish` leaves nothing behind.

    Parameters
    ----------
    out : the output directory
    night : ``YYYY-MM-DD``
    force : publish over a published night, as a new revision

    Raises
    ------
    NightInProgress
        Another process writes this night.
    PublishError
        The disk refuses; the message says what to mend. An earlier revision stays.
    """

    def __init__(self, out: str | os.PathLike[str], night: str, *, force: bool = False) -> None:
        self.layout = Layout(Path(out), night)
        self.force = force
        self._rows: dict[str, int] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Take the lock, finish or sweep what a dead writer left, make a clean staging folder."""
        with _told(self.layout.out):
            self._stack.enter_context(held(self.layout.lock, self.layout.night))
            try:
                recover(self.layout)
                for folder in (self.layout.staging, self.layout.scratch):
                    disk.make_folder(folder)
            except BaseException:
                self._stack.close()
                raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Sweep what was not published and drop the lock."""
        try:
            with _told(self.layout.out):
                for folder in (self.layout.scratch, self.layout.staging):
                    disk.remove_tree(folder)
        except PublishError:
            if error is None:
                raise
        finally:
            self._stack.close()

    @property
    def scratch(self) -> Path:
        """A folder for intermediate files; removed at the end."""
        return self.layout.scratch

    @property
    def path(self) -> Path:
        """Where the published night lies."""
        return self.layout.published

    @contextmanager
    def table(self, name: str) -> Iterator[TableSink]:
        """Open one of the night's tables for writing."""
        with _told(self.layout.out):
            sink = TableSink(self.layout.staging / f"{name}.parquet", NIGHT_TABLES[name])
            with sink:
                yield sink
            self._rows[f"{name}.parquet"] = sink.rows

    def write_table(self, name: str, table: pa.Table) -> None:
        """Write one of the night's tables."""
        with self.table(name) as sink:
            sink.write(table)

    def write_text(self, name: str, text: str) -> None:
        """Write a text file; lone surrogates become question marks."""
        with _told(self.layout.out):
            disk.write_bytes(self.layout.staging / name, text.encode("utf-8", "replace"))

    def write_json(self, name: str, content: object) -> None:
        """Write a JSON file with sorted keys."""
        text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
        self.write_text(name, text + "\n")

    def publish(self, about: Mapping[str, Any]) -> NightReader:
        """Write the manifest, bring everything to the disk, and publish in one step.

        ``about`` is added to the manifest: as_of, plan_sha256, versions, …
        """
        layout = self.layout
        with _told(layout.out):
            before = published(layout.out, layout.night)
            manifest = {
                **about,
                "schema_version": SCHEMA_VERSION,
                "night": layout.night,
                "revision": 1 if before is None else before.revision + 1,
                "supersedes": None if before is None else before.manifest_sha256,
                "files": [self._described(p) for p in sorted(layout.staging.iterdir())],
            }
            self.write_json(MANIFEST, manifest)
            for file in sorted(layout.staging.iterdir()):
                disk.sync(file)
            disk.sync(layout.staging)
            disk.make_folder(layout.published.parent)
            if before is None:
                disk.move(layout.staging, layout.published)
            else:
                _supersede(layout, before.revision)
        found = published(layout.out, layout.night)
        if found is None:
            raise PublishError(f"{layout.published}: vanished right after it was published")
        return found

    def _described(self, file: Path) -> dict[str, object]:
        entry: dict[str, object] = {
            "name": file.name,
            "bytes": file.stat().st_size,
            "sha256": sha256_of(file),
        }
        if file.name in self._rows:
            entry["rows"] = self._rows[file.name]
        return entry


def sha256_of(path: Path) -> str:
    """Return a file's hash."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _supersede(layout: Layout, old: int) -> None:
    """Put the staged night in the place of revision ``old`` and keep that one.

    Swapped in one step where the system can. Where it cannot, the old one steps aside first; a
    reader then finds it among the revisions, and `recover` finishes the move.
    """
    disk.make_folder(layout.revisions)
    disk.remove_tree(layout.revision(old))
    if disk.exchange(layout.staging, layout.published):
        disk.move(layout.staging, layout.revision(old))
    else:
        disk.move(layout.published, layout.revision(old))
        disk.move(layout.staging, layout.published)


def recover(layout: Layout) -> None:
    """Finish or sweep what a writer left that died; the night's lock must be held."""
    if layout.staging.exists() and is_whole(layout.staging):
        staged = NightReader(layout.staging)
        current = published(layout.out, layout.night)
        if not layout.published.exists() and layout.revisions.exists():
            disk.move(layout.staging, layout.published)  # died between the two moves
        elif current is not None and staged.revision < current.revision:
            disk.make_folder(layout.revisions)
            disk.remove_tree(layout.revision(staged.revision))
            disk.move(layout.staging, layout.revision(staged.revision))  # died after the swap
    for folder in (layout.staging, layout.scratch):
        disk.remove_tree(folder)


_REMEDIES = {
    errno.ENOSPC: "the disk is full; free some space (calhard prune) and run again",
    errno.EDQUOT: "the disk quota is used up; free some space (calhard prune) and run again",
    errno.EACCES: "permission denied; give the user of the audit write access",
    errno.EPERM: "permission denied; give the user of the audit write access",
    errno.EROFS: "the file system is read-only; choose another --out",
    errno.EMFILE: "too many open files; raise the limit (ulimit -n)",
    errno.EFBIG: "the file size limit is reached; raise it (ulimit -f)",
    errno.ENOTDIR: "a file stands where a folder is needed; choose another --out",
    errno.EEXIST: "a file stands where a folder is needed; choose another --out",
}


@contextmanager
def _told(out: Path) -> Iterator[None]:
    """Turn what the system says into what a person can do."""
    try:
        yield
    except OSError as e:
        remedy = _REMEDIES.get(e.errno or 0, "check the disk and run again")
        place = e.filename or out
        raise PublishError(f"{place}: {e.strerror or e}; nothing was published: {remedy}") from e
