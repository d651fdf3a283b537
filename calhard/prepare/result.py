"""What a run of `prepare` did, and what it left out and why."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calhard.history.account import RowAccount


@dataclass(frozen=True, slots=True)
class Files:
    """The files of the history, by what became of them since the last run."""

    read: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    vanished: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PrepareReport:
    """A run in numbers; ``to_dict`` is what ``--json`` prints."""

    source: str
    out: Path
    files: Files
    account: RowAccount
    """Rows and files that were refused; ``rows`` are those that this run placed."""
    coverage: float
    """The least share of this run's rows, files or bytes that were not refused."""
    coverage_bound: float
    rows: int = 0
    """All rows of the prepared history."""
    parts: int = 0
    """All files of the prepared history."""
    written: tuple[str, ...] = ()
    """Names of the files that this run wrote."""
    written_rows: int = 0

    @property
    def idle(self) -> bool:
        """Whether there was nothing to do."""
        return not self.files.read and not self.account.files

    @property
    def exit_code(self) -> int:
        """3 where coverage is under its bound, else 0."""
        return 3 if self.coverage < self.coverage_bound else 0

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON would hold it."""
        return {
            "source": self.source,
            "out": str(self.out),
            "rows": {
                "placed": self.account.rows,
                "refused": self.account.rejected,
                "written": self.written_rows,
                "all": self.rows,
            },
            "files": {
                "read": self.files.read,
                "new": self.files.new,
                "changed": self.files.changed,
                "unchanged": self.files.unchanged,
                "refused": len(self.account.files),
                "vanished": list(self.files.vanished),
            },
            "parts": self.parts,
            "written": list(self.written),
            "refused": [row for row in self.account.coverage() if row["outcome"] == "rejected"],
            "coverage": {"share": self.coverage, "bound": self.coverage_bound},
            "exit_code": self.exit_code,
        }
