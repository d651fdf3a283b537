"""What of a history was audited, and what became of the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from calhard.history import History, RowAccount
from calhard.history.checksums import has_checksums
from calhard.judge.pinned import PinnedBaselines
from calhard.judge.status import CAUSES, REMEDIES
from calhard.pipeline.evidence import NightEvidence
from calhard.pipeline.quarantine import Quarantine
from calhard.pipeline.roster import Roster
from calhard.schema import COVERAGE, coverage_row

CAUSE_OUTCOMES = (
    "indeterminate",
    "failed",
    "failed",
    "failed",
    "failed",
    "insufficient",
    "indeterminate",
)
"""What each of `judge.status.CAUSES` makes of a series."""
UNVERIFIABLE = "no page checksums: a flipped bit is seen only where a value leaves its range"


@dataclass(frozen=True, slots=True)
class Coverage:
    """All that the coverage of a night is told from."""

    history: History
    account: RowAccount
    evidence: NightEvidence
    models: Roster
    pinned: PinnedBaselines | None
    quarantine: Quarantine

    def table(self) -> pa.Table:
        """Return one row per unit, outcome and reason, `schema.COVERAGE`."""
        rows = [
            *self.account.coverage(),
            *self.history.left_out,
            *self._unverifiable(),
            *self._series(),
            *(
                coverage_row("metric", "missing", f"no column {metric}", 1, metric)
                for metric in self.history.missing_metrics
            ),
            coverage_row("model", "audited", "", audited_models(self.evidence.groups)),
            *self.models.coverage(),
            *self.quarantine.coverage(),
            *([] if self.pinned is None else self.pinned.coverage(self.evidence.groups)),
        ]
        return pa.Table.from_pylist(rows, schema=COVERAGE)

    def _unverifiable(self) -> list[dict[str, object]]:
        """One row where a flipped bit could pass for a value; it lowers no coverage."""
        history = self.history
        if all(has_checksums(history.filesystem, file) for file in history.files):
            return []
        remedy = "write Parquet with page checksums (pyarrow: write_page_checksum=True)"
        return [coverage_row("history", "unverifiable", UNVERIFIABLE, 1, remedy=remedy)]

    def _series(self) -> list[dict[str, object]]:
        """Series that were audited, and the others by cause."""
        fine, *others = self.evidence.causes.tolist()
        told = zip(CAUSES, CAUSE_OUTCOMES, REMEDIES, others, strict=True)
        return [
            coverage_row("series", "audited", "", fine),
            *(
                coverage_row("series", outcome, cause, count, remedy=remedy)
                for cause, outcome, remedy, count in told
                if count
            ),
        ]

    def share(self, series: Mapping[str, int]) -> float:
        """Return the least share audited: of series (by status), rows, files, their bytes, models.

        Series too young to audit count neither way; nothing audited is no coverage.
        """
        audited = series["ok"] + series["failed"]
        if not audited:
            return 0.0
        rows, rejected = self.account.rows, self.account.rejected
        models, lost = audited_models(self.evidence.groups), len(self.quarantine.blamed)
        return min(
            audited / (audited + series["indeterminate"]),
            rows / (rows + rejected + self.quarantine.rows),
            models / (models + lost) if lost else 1.0,
            self._files(),
        )

    def _files(self) -> float:
        """Return the share of files or, where that is less, of bytes: one file may hold a fleet.

        A file that broke while it was read is among the history's and among the refused ones.
        """
        history, refused = self.history, self.account.files
        if not refused:
            return 1.0
        first = history.files[0]
        root = first.path.removesuffix(first.name)
        names = sorted(refused.keys() | {file.name for file in history.files})
        found = history.filesystem.get_file_info([root + name for name in names])
        size = {name: info.size or 0 for name, info in zip(names, found, strict=True)}
        bad = sum(size[name] for name in refused)
        return 1.0 - max(len(refused) / len(names), bad / max(sum(size.values()), 1))


def audited_models(groups: pa.Table) -> int:
    """Return the number of models of which any series was audited."""
    audited = groups.filter(pa.array(groups["audited"].to_numpy() > 0))
    return len(audited["model_id"].unique())
