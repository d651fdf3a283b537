"""What every report is written from: the night's tables and its summary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa


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

    def rows(self, name: str, limit: int | None = None) -> list[dict[str, Any]]:
        """Return a table's rows as dicts, the first ``limit`` of them."""
        table = self.tables[name]
        return list((table if limit is None else table.slice(0, limit)).to_pylist())
