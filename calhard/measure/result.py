"""What a run of `measure` did, and what it left out and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from calhard.history.account import RowAccount
from calhard.measure.changes import Kept
from calhard.measure.duplicates import AGREE
from calhard.measure.manifest import period_text
from calhard.measure.periods import Period
from calhard.measure.rows import (
    BAD_LABEL,
    CONFLICTING,
    MASKED,
    MISMATCH,
    MISSING,
    OUT_OF_RANGE,
    UNLABELLED,
    WEIGHTLESS,
)

UNUSED = {
    "unlabelled": UNLABELLED,
    "out_of_range": OUT_OF_RANGE,
    "mismatch": MISMATCH,
    "missing": MISSING,
    "masked": MASKED,
    "bad_label": BAD_LABEL,
    "weightless": WEIGHTLESS,
    "conflicting": CONFLICTING,
}
"""States of rows that were read and not used, by the names that a report has for them."""
BROKEN = ("out_of_range", "mismatch", "missing", "bad_label", "conflicting")
"""Those that somebody must mend; the others wait, or are meant to be left out."""


@dataclass(frozen=True, slots=True)
class Files:
    """The files of the predictions, by what became of them since the last run."""

    read: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    vanished: tuple[str, ...] = ()
    older: tuple[str, ...] = ()
    """Of which older changes were left out (``--since``)."""
    copies: Mapping[str, str] = field(default_factory=dict)
    """Files that were left out, with those whose bytes they have."""


@dataclass(frozen=True, slots=True)
class MeasureReport:
    """A run in numbers; ``to_dict`` is what ``--json`` prints."""

    source: str
    history: Path
    period: Period
    files: Files
    account: RowAccount
    """Rows and files that were refused; ``rows`` are those that were read and are usable."""
    coverage: float
    """The least share of this run's rows, files or bytes that were not refused."""
    coverage_bound: float
    periods: tuple[int, ...] = ()
    """Numbers of the periods that were measured."""
    models: int = 0
    classes: int = 0
    """Models and classes together; whole models are not counted."""
    used: int = 0
    unused: Mapping[str, int] = field(default_factory=dict)
    """Rows that were measured and not used, by the names of `UNUSED`."""
    waiting: int = 0
    """Rows that will be used once their period has as many rows as it needs."""
    written: tuple[str, ...] = ()
    """Parts that are new or other than they were."""
    parts: int = 0
    """All parts of the history."""
    kept: tuple[Kept, ...] = ()
    kept_periods: int = 0
    """Periods that stay as they are since rows that they were measured from are gone."""
    dropped: tuple[int, ...] = ()
    """Numbers of periods that a forced run left out since no row of them is there any more."""

    @property
    def idle(self) -> bool:
        """Whether there was nothing to do."""
        return not self.periods and not self.kept and not self.account.files

    @property
    def sound(self) -> float:
        """The share of rows without a fault, of those that are meant to count and do not wait."""
        broken = sum(self.unused.get(name, 0) for name in BROKEN)
        return self.used / (self.used + broken) if broken else 1.0

    @property
    def exit_code(self) -> int:
        """3 where coverage, or the share of sound rows, is under its bound, else 0."""
        return 3 if min(self.coverage, self.sound) < self.coverage_bound else 0

    @property
    def repeated(self) -> int:
        """Rows that were left out since another one says the same of their example."""
        return self.account.counts.get(("duplicate", AGREE), 0)

    def span(self) -> tuple[str, str] | None:
        """Return the starts of the first and the last period that was measured."""
        if not self.periods:
            return None
        first, last = (period_text(self.period, n) for n in (self.periods[0], self.periods[-1]))
        return first, last

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON would hold it."""
        return {
            "source": self.source,
            "history": str(self.history),
            "period": self.period.text,
            "periods": len(self.periods),
            "span": self.span(),
            "models": self.models,
            "classes": self.classes,
            "rows": {
                "used": self.used,
                **{name: self.unused.get(name, 0) for name in UNUSED},
                "waiting": self.waiting,
                "repeated": self.repeated,
                "refused": self.account.rejected,
            },
            "files": {
                "read": self.files.read,
                "new": self.files.new,
                "changed": self.files.changed,
                "unchanged": self.files.unchanged,
                "refused": len(self.account.files),
                "vanished": list(self.files.vanished),
                "older_changes_left_out": list(self.files.older),
                "copies": dict(self.files.copies),
            },
            "parts": self.parts,
            "written": list(self.written),
            "kept": [self._kept(kept) for kept in self.kept],
            "kept_periods": self.kept_periods,
            "dropped_periods": len(self.dropped),
            "refused": [row for row in self.account.coverage() if row["outcome"] == "rejected"],
            "coverage": {
                "share": self.coverage,
                "sound": self.sound,
                "bound": self.coverage_bound,
            },
            "exit_code": self.exit_code,
        }

    def _kept(self, kept: Kept) -> dict[str, Any]:
        return {
            "period": period_text(self.period, kept.number),
            "sources": list(kept.sources),
            "rows_measured": kept.before,
            "rows_there": kept.now,
        }
