"""The history that is prepared: its readable files, all their columns, what changed of them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.fs as pafs

from calhard.errors import InputError
from calhard.history.account import RowAccount
from calhard.history.columns import ColumnPlan, plan_columns
from calhard.history.convert import is_text
from calhard.history.files import FAULTS, HistoryFile, list_files, open_source
from calhard.history.readable import file_schema, no_file, readable_files
from calhard.prepare.columns import ORIGIN, FileColumns, is_canonical
from calhard.prepare.manifest import Source
from calhard.uri import is_uri, shown, told

if TYPE_CHECKING:
    from calhard.plan import AuditPlan


@dataclass(frozen=True, slots=True)
class HistorySource:
    """The files of a history that an audit can read; ``account`` holds those that were refused."""

    source: str
    filesystem: pafs.FileSystem
    files: tuple[HistoryFile, ...]
    plans: tuple[ColumnPlan, ...]
    """All columns of each file, those that an audit reads by their canonical names."""
    schemas: tuple[pa.Schema, ...]
    account: RowAccount

    @classmethod
    def open(cls, source: str | os.PathLike[str], plan: AuditPlan) -> HistorySource:
        """List a history's files and read their schemas.

        Raises
        ------
        InputError
            Nothing is there, or no file can be read; the message names each file's fault.
        """
        filesystem, root = open_source(source)
        text = os.fspath(source)
        name = shown(text) if is_uri(text) else text
        account = RowAccount()
        catalogue = list(plan.metric_catalogue())
        schemas: dict[str, pa.Schema] = {}

        def columns_of(file: HistoryFile) -> ColumnPlan:
            schema = file_schema(filesystem, file, plan.columns, (*catalogue, "total_samples"))
            schemas[file.name] = schema
            return plan_columns(schema, plan.columns, catalogue, dict(file.constants))

        files = list_files(filesystem, root)
        found = readable_files(files, columns_of, plan.windows.timezone, account)
        if not found:
            raise InputError(no_file(name, account, "prepared"))
        read = tuple(schemas[file.name] for file, _ in found)
        return cls(
            name,
            filesystem,
            tuple(file for file, _ in found),
            tuple(_whole(p, schema) for (_, p), schema in zip(found, read, strict=True)),
            read,
            account,
        )

    @property
    def canonical(self) -> bool:
        """Whether all files are of calhard's own making."""
        return all(map(is_canonical, self.schemas))

    @property
    def root(self) -> str:
        """The path of the folder, with its last slash, in which the files have their names."""
        return self.files[0].path.removesuffix(self.files[0].name)

    def columns(self, names: Mapping[str, str], out: Mapping[str, str]) -> list[FileColumns]:
        """Return where each file holds the columns of the prepared history.

        Raises
        ------
        InputError
            Two columns of a file would get one name.
        """
        found = []
        for file, plan, schema in zip(self.files, self.plans, self.schemas, strict=True):
            try:
                found.append(FileColumns.of(schema, plan, names, out))
            except InputError as e:
                raise InputError(f"{file.name}: {e}") from e
        return found

    def stamps(self) -> dict[str, Stamp]:
        """Return what tells each file's versions apart, by its name."""
        found = infos(self.filesystem, [file.path for file in self.files])
        return {
            file.name: Stamp(index, info.size or 0, info.mtime_ns or 0)
            for index, (file, info) in enumerate(zip(self.files, found, strict=True))
        }

    def sizes(self, names: Sequence[str]) -> dict[str, int]:
        """Return the bytes of files by name, of those that cannot be read too; 0 if untold."""
        try:
            found = infos(self.filesystem, [self.root + name for name in names])
        except InputError:
            return dict.fromkeys(names, 0)
        return {name: info.size or 0 for name, info in zip(names, found, strict=True)}


def infos(filesystem: pafs.FileSystem, paths: Sequence[str]) -> list[pafs.FileInfo]:
    """Return what the place of some files tells of them.

    Raises
    ------
    InputError
        It cannot be asked.
    """
    try:
        found: list[pafs.FileInfo] = filesystem.get_file_info(list(paths))
    except FAULTS as e:
        raise InputError(f"the history cannot be looked at: {told(e)}") from e
    return found


def _whole(plan: ColumnPlan, schema: pa.Schema) -> ColumnPlan:
    """Return a plan that reads the columns as well which no audit does."""
    known = {*plan.source.values(), ORIGIN}
    more = {f"column {name}": name for name in schema.names if name not in known}
    text = tuple(f.name for f in schema if is_text(f.type) and f.name != ORIGIN)
    return replace(plan, source={**plan.source, **more}, text=text)


@dataclass(frozen=True, slots=True)
class Stamp:
    """A file's place among those of the history, its size and time."""

    index: int
    bytes: int
    modified_ns: int


@dataclass(frozen=True, slots=True)
class Survey:
    """The files that are there beside those of the last run, by name."""

    there: Mapping[str, Stamp]
    before: Mapping[str, Source]
    refused: frozenset[str] = frozenset()
    """Files that are there and cannot be read."""

    @property
    def new(self) -> list[str]:
        """Files of which no row is there."""
        return [name for name in self.there if name not in self.before]

    @property
    def changed(self) -> list[str]:
        """Files that are not as they were."""
        return [n for n in self.there if n in self.before and not self._is_known(n)]

    @property
    def unchanged(self) -> list[str]:
        """Files that are as they were."""
        return [n for n in self.there if n in self.before and self._is_known(n)]

    @property
    def vanished(self) -> list[str]:
        """Files that were there at the last run and are not now."""
        return [n for n in self.gone if not self.before[n].gone]

    @property
    def gone(self) -> list[str]:
        """Files that are not there; their rows stay."""
        return [n for n in self.before if n not in self.there and n not in self.refused]

    def _is_known(self, name: str) -> bool:
        stamp, source = self.there[name], self.before[name]
        return (stamp.bytes, stamp.modified_ns) == (source.bytes, source.modified_ns)
