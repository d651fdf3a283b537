"""What became of every row and file that was not audited: a sum that merges in any order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from calhard.schema import coverage_row
from calhard.wording.names import display_name

Key = tuple[str, str]
"""(outcome, reason)."""


@dataclass(frozen=True, slots=True, order=True)
class Example:
    """The first row of its kind: where it stands and what is there.

    Rows that only together are a kind (duplicates) have no place but a ``key``: their model, class
    and microseconds since 1970.
    """

    file: str
    row: int
    detail: str = field(compare=False)
    key: tuple[str, str, int] | tuple[()] = ()

    def __str__(self) -> str:
        """Return ``part-0.parquet, row 17: model_id = null``; rows count from 1."""
        place = f"{self.file}, row {self.row + 1}" if self.row >= 0 else self.file
        return ": ".join(part for part in (place, self.detail) if part)


DAMAGED = "write the file again, or move it out of the folder"


REMEDIES = {
    "model_id is null or empty": "give every row a model_id",
    "class_id is null or empty": "give every row a class_id (of a history's whole models: __all__)",
    "id longer than 1,024 bytes": "use shorter names",
    "id is not UTF-8": "write names as UTF-8",
    "timestamp is null": "give every row a timestamp",
    "not yet known at as_of": "nothing to mend: a later audit reads them",
    "timestamp in the future": "check the clock and the zone of the writer (windows.timezone)",
    "timestamp before 1990": "check the unit: integers are seconds since 1970",
    "timestamp in an hour that the clock repeats": "write UTC: it may be either of two",
    "timestamp in an hour that its zone skips": "write UTC, or mend windows.timezone",
    "total_samples is negative": "write the number of labels behind the row, or null",
    "total_samples is not finite": "write the number of labels behind the row, or null",
    "class_id __all__ is made by measure": "leave such rows out, or give the class another name",
    "weight is negative": "write a weight of 0 or more, or null, which weighs 1",
    "weight is not finite": "write a weight of 0 or more, or null, which weighs 1",
    "weight outside of 1e-100 to 1e100": "multiply all weights by the same number",
    "mask is neither true nor false": "write true or false, 1 or 0, or null",
    "score is not in [0, 1]": "write probabilities; null where there is none",
    "label is not in [0, 1]": "write 0 or 1, or a share between them; null where there is none yet",
    "mask contradicts score and label": "mask exactly the rows that lack a score or a label",
    "score is null": "write the score",
    "label is null": "nothing to mend: the row counts once its label is there",
    "masked": "nothing to mend",
    "weight is 0": "nothing to mend",
    "same model, class, example_id and timestamp": "nothing to mend: they agree and count once",
    "same model, class, example_id and timestamp, other values": "keep one: none is used",
    "same model, class and timestamp": "nothing to mend: they agree and count once",
    "same model, class and timestamp, other values": "keep one of them; series are not "
    "judged while a window holds such rows",
}


@dataclass(slots=True)
class RowAccount:
    """Counts of rows by outcome and reason, and the files that could not be read.

    ``RowAccount()`` is zero; ``+`` merges accounts of any shards in any order.
    """

    rows: int = 0
    """Rows that were audited."""
    counts: dict[Key, int] = field(default_factory=dict)
    examples: dict[Key, Example] = field(default_factory=dict)
    files: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Rejected files: path to (reason, remedy)."""

    def add(self, outcome: str, reason: str, count: int, example: Example | None = None) -> None:
        """Count rows of one kind."""
        if count <= 0:
            return
        key = (outcome, reason)
        self.counts[key] = self.counts.get(key, 0) + count
        if example is not None:
            self.examples[key] = min(self.examples.get(key, example), example)

    def reject_file(self, path: str, reason: str, remedy: str) -> None:
        """Record a file of which nothing is audited; of several reasons the first by name stays."""
        told = (reason, remedy)
        self.files[path] = min(self.files.get(path, told), told)

    def __add__(self, other: RowAccount) -> RowAccount:
        """Return the account of both."""
        merged = RowAccount(
            self.rows + other.rows, dict(self.counts), dict(self.examples), dict(self.files)
        )
        for (outcome, reason), count in other.counts.items():
            merged.add(outcome, reason, count, other.examples.get((outcome, reason)))
        for path, (reason, remedy) in other.files.items():
            merged.reject_file(path, reason, remedy)
        return merged

    @property
    def rejected(self) -> int:
        """Rows that were rejected."""
        return sum(n for (outcome, _), n in self.counts.items() if outcome == "rejected")

    def coverage(self, done: str = "audited") -> list[Mapping[str, object]]:
        """Return the rows of the coverage table, in a fixed order; ``done`` names the first."""
        found: list[Mapping[str, object]] = [coverage_row("row", done, "", self.rows, "", "")]
        for outcome, reason in sorted(self.counts):
            example = self.examples.get((outcome, reason))
            found.append(
                coverage_row(
                    "row",
                    outcome,
                    reason,
                    self.counts[outcome, reason],
                    "" if example is None else str(example),
                    REMEDIES.get(reason, ""),
                )
            )
        for path in sorted(self.files):
            reason, remedy = self.files[path]
            found.append(coverage_row("file", "rejected", reason, 1, path, remedy))
        return found

    def told(self, most: int = 10) -> list[str]:
        """Return the first lines of the coverage table that are not audited, safe to show."""
        lines = []
        for row in [r for r in self.coverage() if r["outcome"] != "audited"][:most]:
            reason, example, remedy = (
                display_name(str(row[key]), 300) for key in ("reason", "example", "remedy")
            )
            line = f"  {row['count']:,} {row['unit']}(s): {reason}; {example}"
            lines.append(f"{line} — {remedy}" if remedy else line)
        return lines
