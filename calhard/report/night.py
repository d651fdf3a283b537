"""What every report is written from: the night's tables and its summary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from calhard.report.order import ranked


@dataclass(frozen=True, slots=True)
class NightReport:
    """A night, ready to be told.

    Attributes
    ----------
    night : ``YYYY-MM-DD``
    tables : every table of `schema.NIGHT_TABLES` but the evidence
    summary : what ``summary.json`` holds
    configuration : the effective configuration as TOML, secrets masked
    """

    night: str
    tables: Mapping[str, pa.Table]
    summary: Mapping[str, Any]
    configuration: str

    def rows(self, name: str, limit: int | None = None, **only: str) -> list[dict[str, Any]]:
        """Return a table's rows as dicts, the most urgent first and the first ``limit`` of them.

        ``only`` names the value that a column must have, such as ``verdict="violated"``.
        """
        table = ranked(name, self.chosen(name, **only))
        return list((table if limit is None else table.slice(0, limit)).to_pylist())

    def chosen(self, name: str, **only: str) -> pa.Table:
        """Return the rows of a table in which every column of ``only`` has that value."""
        table = self.tables[name]
        for column, value in only.items():
            found = [word == value for word in table[column].to_pylist()]
            table = table.filter(pa.array(found, pa.bool_()))
        return table
