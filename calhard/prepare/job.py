"""One run of `prepare`, step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from calhard.engines import Engine, Progress
from calhard.errors import InputError
from calhard.history.account import RowAccount
from calhard.measure.intake import told
from calhard.prepare.bins import copy_bins
from calhard.prepare.columns import FileColumns, fits, joined_schema, with_columns
from calhard.prepare.folder import PreparedFolder
from calhard.prepare.intake import Intake
from calhard.prepare.manifest import Manifest, Source
from calhard.prepare.order import KeyNames
from calhard.prepare.packing import first_tasks, further_tasks, parts_after
from calhard.prepare.result import Files, PrepareReport
from calhard.prepare.rows import PrepareReading
from calhard.prepare.sink import Part, part_name
from calhard.prepare.source import HistorySource, Survey
from calhard.prepare.spill import by_range
from calhard.prepare.tasks import WriteParts
from calhard.schema import KEY_COLUMNS
from calhard.store import disk
from calhard.wording.names import display_name

if TYPE_CHECKING:
    from calhard.plan import AuditPlan


@dataclass(slots=True)
class Job:
    """Reads what is new, writes the parts that it changes, puts them in their places."""

    opened: HistorySource
    folder: PreparedFolder
    plan: AuditPlan
    before: Manifest
    survey: Survey
    columns: tuple[FileColumns, ...]
    names: Mapping[str, str]
    """Names of canonical columns in the prepared history, for those that differ."""
    engine: Engine
    progress: Progress

    def run(self) -> PrepareReport:
        """Read what is new, write the parts that it changes, put them in their places."""
        read = [*self.survey.new, *self.survey.changed]
        intake = self._read(read)
        parts, written = self._write(intake) if intake else (dict(self.before.parts), {})
        if not parts:
            raise InputError(self._nothing(intake))
        bins = copy_bins(self.opened, self.folder.staged, self.before.bins)
        sources = self._sources(intake)
        manifest = replace(self.before, sources=sources, parts=parts, bins=bins)
        if manifest != self.before:
            self.folder.commit(manifest.to_text())
        return self._report(read, intake, parts, written)

    def _read(self, read: Sequence[str]) -> Intake | None:
        """Read some files; what is of them waits in spills."""
        if not read:
            return None
        chosen = [self.survey.there[name].index for name in read]
        schema = self._schema(chosen)
        reading = PrepareReading(
            self.opened.filesystem,
            self.opened.files,
            self.opened.plans,
            self.columns,
            self._origins(),
            schema,
            self.plan.windows.timezone,
        )
        lows = [part.low for _, part in sorted(self.before.parts.items())][1:]
        intake = Intake(reading, self.engine, self.progress, self.folder.spills)
        intake.read({i: self.survey.there[self.opened.files[i].name].bytes for i in chosen}, lows)
        return intake

    def _schema(self, chosen: Sequence[int]) -> pa.Schema:
        """The columns of the files that are read, and of the parts that are there."""
        canonical = bool(self.before.settings["canonical"])
        read = [(self.opened.files[i].name, self.columns[i]) for i in chosen]
        schema = joined_schema(read, canonical=canonical)
        for name, old in self._old_schemas().items():
            schema = with_columns(schema, old, part_name(name))
        return schema

    def _old_schemas(self) -> dict[str, pa.Schema]:
        """The columns of the parts that are there, by their labels."""
        labels = self.before.parts
        return {label: pq.read_schema(self.folder.path / part_name(label)) for label in labels}

    def _origins(self) -> tuple[int, ...]:
        """The number of each file: its own of the last run, or the next."""
        known = {name: source.number for name, source in self.before.sources.items()}
        following = max(known.values(), default=-1) + 1
        for file in self.opened.files:
            if file.name not in known:
                known[file.name] = following
                following += 1
        return tuple(known[file.name] for file in self.opened.files)

    def _replaced(self, intake: Intake) -> frozenset[int]:
        """Origins of which the old rows go: changed files that were read."""
        changed = set(self.survey.changed) & intake.account.keys()
        return frozenset(self.before.sources[name].number for name in changed)

    def _write(self, intake: Intake) -> tuple[dict[str, Part], dict[str, Part]]:
        """Write the parts that change; return all parts, and the new ones."""
        rows, batches = by_range(intake.spills, intake.bounds.ranges)
        replaced = self._replaced(intake)
        if self.before.parts:
            schema, old = intake.reading.schema, self._old_schemas()
            narrow = [label for label in old if not fits(old[label], schema)]
            tasks = further_tasks(self.before, intake.bounds, rows, batches, replaced, narrow)
        else:
            tasks = first_tasks(intake.bounds, rows, batches, self.before.generation)
        model, class_, stamp = (self.names.get(name, name) for name in KEY_COLUMNS)
        keys: KeyNames = (model, class_, stamp)
        write = WriteParts(
            intake.reading.schema, keys, self.folder.path, self.folder.staged, replaced
        )
        results = self.engine.map(write, tasks)
        written = list(told(results, "write", [task.rows for task in tasks], self.progress))
        disk.remove_tree(self.folder.spills)
        new = {label: part for parts in written for label, part in parts.items()}
        return parts_after(self.before.parts, tasks, written), new

    def _sources(self, intake: Intake | None) -> dict[str, Source]:
        """What the next manifest tells of every file."""
        gone = set(self.survey.gone)
        found = {
            name: replace(source, gone=name in gone) for name, source in self.before.sources.items()
        }
        if intake is None:
            return found
        for name, account in intake.account.items():
            stamp = self.survey.there[name]
            number = intake.reading.origins[stamp.index]
            size, modified = stamp.bytes, stamp.modified_ns
            found[name] = Source(name, number, size, modified, account.rows, account.rejected)
        return found

    def _report(
        self,
        read: Sequence[str],
        intake: Intake | None,
        parts: Mapping[str, Part],
        written: Mapping[str, Part],
    ) -> PrepareReport:
        survey = self.survey
        account = self._account(intake)
        return PrepareReport(
            self.opened.source,
            self.folder.path,
            Files(
                len(read),
                len(survey.new),
                len(survey.changed),
                len(survey.unchanged),
                tuple(sorted(survey.vanished)),
            ),
            account,
            self._coverage(account),
            self.plan.storage.coverage_bound,
            sum(part.rows for part in parts.values()),
            len(parts),
            tuple(part_name(label) for label in sorted(written)),
            sum(part.rows for part in written.values()),
        )

    def _account(self, intake: Intake | None) -> RowAccount:
        """Rows and files that were placed or refused in this run."""
        if intake is None:
            return self.opened.account
        accounts = (*intake.account.values(), intake.refused)
        return reduce(add, accounts, self.opened.account)

    def _coverage(self, account: RowAccount) -> float:
        """The least share of rows, files and bytes of this run that were not refused."""
        rows = account.rows + account.rejected
        shares = [account.rows / rows if rows else 1.0]
        if account.files:
            bad = self.opened.sizes(sorted(account.files))
            size = {name: s.bytes for name, s in self.survey.there.items()} | bad
            shares.append(1.0 - len(bad) / len(size))
            shares.append(1.0 - sum(bad.values()) / max(sum(size.values()), 1))
        return min(shares)

    def _nothing(self, intake: Intake | None) -> str:
        """Why there is no row to place."""
        source = display_name(self.opened.source, 200)
        return "\n".join([f"{source}: no row can be placed", *self._account(intake).told()])
