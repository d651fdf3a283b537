"""What an audit returns: the night in numbers, its findings as tables when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from calhard.store import NightReader, Place


@dataclass(frozen=True, slots=True)
class AuditReport:
    """A night's audit.

    The findings are read from the published night when they are asked for, each as a
    `pyarrow.Table` with the columns of the table of the same name.

    Attributes
    ----------
    night : str
        ``YYYY-MM-DD``, the UTC date of as_of − 1 µs.
    summary : dict
        What ``summary.json`` holds.
    path : Path
        The published directory; on an object store what prints as its URI.
    fresh : bool
        False where the night had been published before and was not audited again.

    Raises
    ------
    InputError
        A table is not what was published.
    """

    night: str
    summary: dict[str, Any]
    path: Place
    fresh: bool

    @property
    def exit_code(self) -> int:
        """0 nothing confirmed, 1 confirmed findings, 3 degraded."""
        return int(self.summary["exit_code"])

    @property
    def healthy(self) -> bool:
        """Whether the fleet is as a whole; single findings may be confirmed all the same."""
        return bool(self.summary["healthy"])

    @property
    def regressions(self) -> pa.Table:
        """Confirmed regressions."""
        return self.table("regressions")

    @property
    def improvements(self) -> pa.Table:
        """Significant changes for the better."""
        return self.table("improvements")

    @property
    def violations(self) -> pa.Table:
        """SLOs broken; ``verdict`` tells the confirmed from the unconfirmed."""
        return self.table("violations")

    @property
    def warnings(self) -> pa.Table:
        """Early warnings."""
        return self.table("warnings")

    @property
    def incidents(self) -> pa.Table:
        """Findings, grouped by what they have in common."""
        return self.table("incidents")

    @property
    def health(self) -> pa.Table:
        """One row per model and class."""
        return self.table("health")

    @property
    def coverage(self) -> pa.Table:
        """What was audited and what was not, by reason."""
        return self.table("coverage")

    @property
    def evidence(self) -> pa.Table:
        """One row per series: everything that was measured."""
        return self.table("evidence")

    def table(self, name: str) -> pa.Table:
        """Return a table of the night by its name."""
        return NightReader(self.path).table(name)
