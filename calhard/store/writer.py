"""Writes a night: staged, brought to the disk, then published in one step."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

import pyarrow as pa

from calhard.errors import CalhardError, ConfigError, PublishError
from calhard.schema import NIGHT_TABLES, SCHEMA_VERSION
from calhard.store import disk
from calhard.store.layout import Layout
from calhard.store.lock import held
from calhard.store.parts import PartedSink
from calhard.store.place import Place, place_of, sha256_of
from calhard.store.reader import MANIFEST, NightReader, kept_revisions, published
from calhard.store.remedies import refusal, told
from calhard.store.tables import TableSink


class NightWriter:
    """Context of one night's writing; leaving it without `publish` leaves nothing half done.

    What workers left of a run may stay for the next try of the same run: see `open_scratch`.

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

    option: ClassVar[str] = "--out"
    """What names the folder in which it writes."""

    def __init__(self, out: str | os.PathLike[str], night: str, *, force: bool = False) -> None:
        place = place_of(out)
        if not isinstance(place, Path):
            raise ConfigError(f"{place}: is written by calhard.store.night_writer")
        self.layout = Layout(place, night)
        """Where the night is staged."""
        self.out: Place = place
        """Where nights are published."""
        self.force = force
        self.resumable = True
        """Whether what workers left stays for another try where the night is not published."""
        self._rows: dict[str, int] = {}
        self._files: list[dict[str, object]] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Take the lock, mend or sweep what a dead writer left, make a clean staging folder."""
        with self._told():
            self._stack.enter_context(held(self.layout.lock, self.layout.night))
            try:
                recover(self.layout, self.layout.half_written)
                disk.make_folder(self.layout.staging)
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
        """Sweep what was not published, drop the lock; tell what the disk refused meanwhile."""
        layout = self.layout
        try:
            with suppress(OSError):  # the night's next writer sweeps what stays
                sweep(layout.half_written if self.resumable else layout.unpublished)
        finally:
            self._stack.close()
        if isinstance(error, OSError):
            raise refusal(self.layout.out, error, option=self.option) from error

    def sweep(self) -> None:
        """Sweep what a writer left that died when its night was in its place already.

        All stays where another writes the night, or the disk refuses: the night itself is sound.
        """
        with suppress(CalhardError, OSError):
            if any(folder.exists() for folder in self.layout.unpublished):
                with self:
                    self.resumable = False

    def open_scratch(self, run: str) -> Path:
        """Return the folder of what a run's workers leave, with all that an earlier try left there.

        What other runs left is swept. A worker of a dead writer may still write for a while: no
        two tries of a task may give their files the same names.
        """
        folder = self.layout.scratch / run
        with self._told():
            disk.make_folder(folder)
            for other in sorted(self.layout.scratch.iterdir()):
                if other != folder:
                    disk.remove_tree(other)
        return folder

    def _told(self) -> AbstractContextManager[None]:
        """Raise what the disk refuses within as `PublishError`."""
        return told(self.layout.out, option=self.option)

    @property
    def path(self) -> Place:
        """Where the published night lies."""
        return self.layout.published

    @contextmanager
    def table(self, name: str) -> Iterator[TableSink]:
        """Open one of the night's tables for writing."""
        with self._told():
            sink = TableSink(self.layout.staging / f"{name}.parquet", NIGHT_TABLES[name])
            with sink:
                yield sink
            self._rows[f"{name}.parquet"] = sink.rows

    def write_table(self, name: str, table: pa.Table) -> None:
        """Write one of the night's tables."""
        with self.table(name) as sink:
            sink.write(table)

    @contextmanager
    def parts(self, name: str, schema: pa.Schema) -> Iterator[PartedSink]:
        """Open a folder of the night for a table in parts."""
        with self._told():
            folder = self.layout.staging / name
            disk.make_folder(folder)
            with PartedSink(folder, schema) as sink:
                yield sink
            self._rows |= {f"{name}/{part}": rows for part, rows in sink.rows.items()}

    def write_text(self, name: str, text: str) -> None:
        """Write a text file; lone surrogates become question marks."""
        with self._told():
            disk.write_bytes(self.layout.staging / name, text.encode("utf-8", "replace"))

    def write_json(self, name: str, content: object) -> None:
        """Write a JSON file with sorted keys."""
        self.write_text(name, _json(content))

    def publish(self, about: Mapping[str, Any]) -> NightReader:
        """Write the manifest, bring everything to the disk, and publish in one step.

        ``about`` is added to the manifest: as_of, plan_sha256, versions, …
        """
        layout = self.layout
        with self._told():
            before = published(self.out, layout.night)
            if before is not None and not self.force:
                raise PublishError(f"{before.path}: is published already; force writes a revision")
            number = 0 if before is None else _revision(Layout(self.out, layout.night), before)
            self._files = [self._described(p) for p in _files(layout.staging)]
            manifest = {
                **about,
                "schema_version": SCHEMA_VERSION,
                "night": layout.night,
                "revision": number + 1,
                "supersedes": None if before is None else before.manifest_sha256,
                "files": self._files,
            }
            text = _json(manifest)
            self.write_text(MANIFEST, text)
            disk.sync_tree(layout.staging)
        self.resumable = False
        self._commit(number, text.encode("utf-8", "replace"))
        return NightReader(self.path)

    def _commit(self, old: int, manifest: bytes) -> None:
        """Put the staged night in its place; say so where it is there and yet not safe."""
        try:
            with self._told():
                if old:
                    _supersede(self.layout, old)
                else:
                    disk.make_folder(self.layout.published.parent)
                    disk.move(self.layout.staging, self.layout.published)
        except PublishError as e:
            if not self._shows(hashlib.sha256(manifest).hexdigest()):
                raise
            raise PublishError(
                f"{self.path}: is published, but the disk did not confirm it ({e.__cause__}): "
                "check the disk and audit the night again with --force"
            ) from e

    def _shows(self, manifest_sha256: str) -> bool:
        """Whether a reader sees the night with this manifest."""
        with suppress(CalhardError):
            there = published(self.layout.out, self.layout.night)
            return there is not None and there.manifest_sha256 == manifest_sha256
        return False

    def _described(self, file: Path) -> dict[str, object]:
        name = file.relative_to(self.layout.staging).as_posix()
        entry: dict[str, object] = {
            "name": name,
            "bytes": file.stat().st_size,
            "sha256": sha256_of(file),
        }
        if name in self._rows:
            entry["rows"] = self._rows[name]
        return entry


def _json(content: object) -> str:
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return text + "\n"


def _files(folder: Path) -> list[Path]:
    """All files of a night, in the order of their names."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _revision(layout: Layout[Place], night: NightReader) -> int:
    """A published night's revision, even where its manifest is damaged."""
    try:
        return night.revision
    except CalhardError:
        return max(kept_revisions(layout), default=0) + 1


def _supersede(layout: Layout[Path], old: int) -> None:
    """Put the staged night in the place of revision ``old``, which is kept first.

    Swapped in one step where the system can. Where it cannot, the old one steps aside first; a
    reader then finds it among the revisions, and `recover` puts it back if the writer dies there.
    """
    disk.make_folder(layout.revisions)
    disk.keep(layout.published, layout.aside)
    disk.remove_tree(layout.revision(old))  # the same night, of a writer that came no further
    disk.move(layout.aside, layout.revision(old))
    if not disk.exchange(layout.staging, layout.published):
        disk.move(layout.published, layout.aside)
        disk.move(layout.staging, layout.published)


def recover(layout: Layout[Path], swept: Sequence[Path] | None = None) -> None:
    """Mend or sweep what a writer left that died; the night's lock must be held.

    ``swept`` are the folders that are swept, all by default.
    """
    kept = kept_revisions(layout)
    if kept and not (layout.published / MANIFEST).exists():  # died amid superseding
        disk.make_folder(layout.published.parent)
        disk.move(layout.revision(max(kept)), layout.published)
    sweep(layout.unpublished if swept is None else swept)


def sweep(folders: Sequence[Path]) -> None:
    """Remove folders of what is not published; the night's lock must be held."""
    for folder in folders:
        disk.remove_tree(folder)
