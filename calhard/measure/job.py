"""A run, step by step: read, measure, put in order, publish, tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np

from calhard.engines import Engine, LocalEngine, Progress
from calhard.errors import InputError
from calhard.history.account import RowAccount
from calhard.history.ids import Ints
from calhard.measure.buckets import BUCKET_ROWS, Bucket, MeasureBucket, MeasuredBucket
from calhard.measure.changes import Decision, Tallies, next_sources
from calhard.measure.folder import HistoryFolder
from calhard.measure.intake import Intake, file_sizes, told
from calhard.measure.manifest import Manifest, Part, instant_text, part_labels
from calhard.measure.parts import MergePart, MergeTask
from calhard.measure.predictions import Predictions
from calhard.measure.result import UNUSED, Files, MeasureReport
from calhard.measure.rows import STATE_COUNT, USED
from calhard.measure.settings import Settings
from calhard.measure.spilled import bucketed
from calhard.measure.tasks import Wanted
from calhard.measure.told import waiting_text
from calhard.schema import MICROSECONDS_PER_DAY
from calhard.store import disk
from calhard.wording.names import display_name

SMALL = 2**18
"""Rows of history and bins that are put in order here: workers would take longer to start."""
FUTURE = "timestamp in the future"
WEEK_NS = 7 * MICROSECONDS_PER_DAY * 1_000
READ_COLUMNS = (
    *("model_id", "class_id", "timestamp", "score", "label", "weight", "mask", "example_id"),
    "model_version",
)
"""Columns of predictions that the configuration may give another name."""


def manifest_settings(settings: Settings) -> dict[str, object]:
    """All that changes a number."""
    columns = {n: c for n, c in sorted(settings.plan.columns.items()) if n in READ_COLUMNS}
    return settings.told() | {"columns": columns}


@dataclass(slots=True)
class Job:
    """One run, step by step."""

    predictions: Predictions
    folder: HistoryFolder
    settings: Settings
    there: Manifest | None
    """What the history was measured from."""
    before: Manifest
    """What of that still counts: nothing where all is measured anew."""
    tallies: Tallies
    intake: Intake
    engine: Engine
    progress: Progress

    def run(self) -> MeasureReport:
        """Read what is needed, measure what changed, publish it."""
        decision = self._read()
        measured = self._measure(decision.measured)
        parts, written = self._merge(decision.measured, measured)
        if not parts:
            raise InputError(self._nothing(sum(m.waiting for m in measured)))
        manifest = self._manifest(decision.measured, parts)
        if manifest != self.before:
            self.folder.commit(manifest.to_text())
        return self._report(decision, measured, manifest, written)

    def _read(self) -> Decision:
        """Read what changed, then the other files that touch the same periods; decide on each."""
        tallies, lowest = self.tallies, self.tallies.extent.lowest
        sought = tallies.sought()
        self._take(tallies.first(), Wanted(sought, lowest))
        decision = tallies.decide()
        second = tallies.second(decision.measured)
        if not second:
            return decision
        self._take(second, Wanted(sought, numbers=decision.measured))
        for name in set(second) & tallies.seen.keys():
            others = tallies.survey.before[name].holds.without(decision.measured)
            tallies.seen[name] += others
        return tallies.decide()

    def _take(self, names: Sequence[str], wanted: Wanted) -> None:
        """Read some files; those that break are refused."""
        there = self.tallies.survey.there
        self.intake.read({there[name].index: there[name].bytes for name in names}, wanted)
        self.tallies.survey = self.tallies.survey.without(self.intake.refused.files)
        for name in names:
            if name in self.intake.tally:
                self.tallies.seen[name] = self.intake.tally[name]
        self.tallies.found = self.intake.found

    def _measure(self, numbers: Ints) -> list[MeasuredBucket]:
        """Measure the rows of some periods, bucket by bucket."""
        if not len(numbers):
            return []
        found = bucketed(self.intake.spills, BUCKET_ROWS)
        buckets = [Bucket(i, batches, rows) for i, (rows, batches) in enumerate(found)]
        measure = MeasureBucket(self.intake.shape, self.settings, self.folder.outcomes, numbers)
        results = self.engine.map(measure, buckets)
        measured = list(told(results, "measure", [b.rows for b in buckets], self.progress))
        disk.remove_tree(self.folder.spills)
        return measured

    def _merge(
        self, numbers: Ints, measured: Sequence[MeasuredBucket]
    ) -> tuple[dict[str, Part], list[str]]:
        """Write the parts that hold some periods; return all parts, and which of them are new."""
        old = self.before.parts
        parts = dict(old)
        tasks = [MergeTask(label, old.get(label)) for label in self._touched(numbers, measured)]
        merge = MergePart(
            self.settings,
            self.folder.path,
            self.folder.staged,
            tuple(m.history for m in measured),
            tuple(m.bins for m in measured),
            numbers,
        )
        size = sum(m.rows for m in measured)
        size += sum(t.old.history.rows + t.old.bins.rows for t in tasks if t.old is not None)
        engine = self.engine if size > SMALL else LocalEngine(1)
        results = told(engine.map(merge, tasks), "merge", [0] * len(tasks), self.progress)
        for task, part in zip(tasks, results, strict=True):
            parts.pop(task.label, None)
            if part is not None:
                parts[task.label] = part
        other = {*parts, *old} - {n for n, p in parts.items() if n in old and p.is_as(old[n])}
        return parts, sorted(other)

    def _touched(self, numbers: Ints, measured: Sequence[MeasuredBucket]) -> list[str]:
        """Labels of the parts that hold some periods, or held them."""
        found = {label for m in measured for label in m.history.batches}
        found |= set(part_labels(self.settings.period, numbers))
        if len(numbers) and self.settings.period.rows is not None:
            found |= self.before.parts.keys()
        return sorted(found)

    def _manifest(self, numbers: Ints, parts: Mapping[str, Part]) -> Manifest:
        """Return what the history is measured from, and its parts."""
        sources = next_sources(
            self.tallies,
            numbers,
            {name: account.rejected for name, account in self.intake.account.items()},
            [*self._partial(), *self._early()],
        )
        settings = manifest_settings(self.settings)
        return Manifest(self.settings.period, settings, sources, parts).labelled()

    def _partial(self) -> list[str]:
        """New and changed files of which older rows were passed over, or whose old rows may be."""
        survey, lowest = self.tallies.survey, self.tallies.extent.lowest
        if lowest is None:
            return []
        found = []
        for name in (*survey.new, *survey.changed):
            old = survey.before.get(name)
            known = old is not None and any(
                len(tally.before(lowest).number) for tally in (old.holds, old.measured)
            )
            if known or name in self.intake.older:
                found.append(name)
        return found

    def _early(self) -> list[str]:
        """Files some rows of which lay in the future, and may not any more when it is late enough.

        Those that nobody has written to for a week hold a wrong clock's rows for good.
        """
        written_ns = self.intake.reading.latest_us * 1_000 - WEEK_NS
        there = self.tallies.survey.there
        return [
            name
            for name, account in self.intake.account.items()
            if ("rejected", FUTURE) in account.counts and there[name].modified_ns > written_ns
        ]

    def _report(
        self,
        decision: Decision,
        measured: Sequence[MeasuredBucket],
        manifest: Manifest,
        written: Sequence[str],
    ) -> MeasureReport:
        survey = self.tallies.survey
        states = sum((m.states for m in measured), np.zeros(STATE_COUNT, np.int64))
        pairs = frozenset().union(*(m.pairs for m in measured))
        account = reduce(add, self.intake.account.values(), self.predictions.account)
        account = reduce(add, (m.account for m in measured), account + self.intake.refused)
        waiting = sum(m.waiting for m in measured)
        return MeasureReport(
            self.predictions.source,
            self.folder.path,
            self.settings.period,
            Files(
                len(self.intake.tally),
                len(survey.new),
                len(survey.changed),
                len(survey.unchanged),
                tuple(sorted(survey.vanished)),
                tuple(sorted(self._partial())),
                {name: copy.original for name, copy in survey.copies.items()},
            ),
            account,
            self._coverage(account),
            self.settings.plan.storage.coverage_bound,
            tuple(decision.measured.tolist()),
            len({model for model, _ in pairs}),
            len(pairs),
            int(states[USED]) - waiting,
            {name: int(states[state]) for name, state in UNUSED.items()},
            waiting,
            tuple(written),
            len(manifest.parts),
            decision.told,
            len(decision.kept),
            self._dropped(manifest),
        )

    def _dropped(self, manifest: Manifest) -> tuple[int, ...]:
        """Periods of which no row is there any more, so that a forced run left none of them."""
        old = self.there
        if old is None or old.period != manifest.period:
            return ()
        return tuple(np.setdiff1d(old.numbers(), manifest.numbers()).tolist())

    def _coverage(self, account: RowAccount) -> float:
        """The least share of rows, files and bytes of this run that were not refused."""
        rows = account.rows + account.rejected
        shares = [account.rows / rows if rows else 1.0]
        if account.files:
            size = file_sizes(self.predictions, account.files)
            bad = sum(size[name] for name in account.files)
            shares.append(1.0 - len(account.files) / len(size))
            shares.append(1.0 - bad / max(sum(size.values()), 1))
        return min(shares)

    def _nothing(self, waiting: int) -> str:
        """Why there is no row to measure."""
        accounts = (self.predictions.account, self.intake.refused, *self.intake.account.values())
        account = reduce(add, accounts, RowAccount())
        source = display_name(self.predictions.source, 200)
        since, why = self.tallies.extent.since_us, ""
        if waiting:
            why = f": {waiting_text(waiting, self.settings.period)}"
        elif since is not None and self.intake.older:
            why = f": all usable rows lie before the period of --since {instant_text(since)}"
        return "\n".join([f"{source}: no row can be measured{why}", *account.told()])
