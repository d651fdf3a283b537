"""Reads pinned baselines: a file with one row per model and class, checked before any work."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from pyarrow import csv

from calhard.errors import ConfigError, InputError
from calhard.history.cells import NO_NUMBER, odd_cell, without_nulls
from calhard.history.convert import is_number, is_text, to_floats, to_text, value_type
from calhard.history.files import list_files, open_source
from calhard.history.pins import row_problems, without_repeats
from calhard.judge.pinned import ERROR_SUFFIX, PinnedBaselines
from calhard.uri import shown, told

if TYPE_CHECKING:
    from calhard.plan import AuditPlan
    from calhard.schema import Metric

KEYS = ("model_id", "class_id")
LISTED = 10
"""Problems that an error lists."""
REMEDY = "write the file again as Parquet, Arrow IPC or CSV"


def read_baseline(source: str | os.PathLike[str], plan: AuditPlan) -> PinnedBaselines:
    """Read pinned baselines from a Parquet, Arrow IPC or CSV file, a path or a URI.

    Columns: ``model_id``, ``class_id`` (exact keys, no globs) and any metrics that have a drift or
    level bound, each with an optional ``<metric>_standard_error``; the plan's column mapping
    applies. A null pins nothing. Other columns are ignored. A level (clamp rate, merged bins) is
    judged by its bound alone: its pinned value is shown, not tested.

    Raises
    ------
    ConfigError
        The file cannot be read, a column is missing, or a row cannot be used: an empty key, a
        value that is not finite or out of its metric's range, a negative error, an error without
        a value, rows of one key that disagree. All such problems are listed.
    """
    content, kind = _content(os.fspath(source))
    return parse_baseline(content, kind, shown(os.fspath(source)), plan)


def parse_baseline(content: bytes, kind: str, name: str, plan: AuditPlan) -> PinnedBaselines:
    """Return pinned baselines from a file's bytes; see `read_baseline`.

    Parameters
    ----------
    kind : ``parquet``, ``ipc`` or ``csv``
    name : what errors call it
    """
    table = _parsed(content, kind, name, plan)
    columns = _Columns.of(table, plan, name)
    found = _typed(table, columns, name)
    problems = list(row_problems(found, columns.named, columns.specs))
    if problems:
        rest = [f"  … and {len(problems) - LISTED} more"] if len(problems) > LISTED else []
        raise ConfigError("\n".join([f"baseline {name}:", *problems[:LISTED], *rest]))
    if all(found[m].null_count == found.num_rows for m in columns.metrics):
        raise ConfigError(f"baseline {name} pins nothing: all its values are empty; fill them in")
    unique = without_repeats(found)
    digest = hashlib.sha256(content).hexdigest()
    repeated = found.num_rows - unique.num_rows
    return PinnedBaselines(unique, tuple(columns.metrics), digest, repeated)


def _content(source: str) -> tuple[bytes, str]:
    """Return a file's bytes and its kind."""
    name = shown(source)
    try:
        filesystem, path = open_source(source)
        if filesystem.get_file_info(path).type == pafs.FileType.Directory:
            raise ConfigError(f"baseline {name} is a folder; name the file in it")
        kind = list_files(filesystem, path)[0].kind
        with filesystem.open_input_stream(path, compression=None) as stream:
            return stream.read(), kind
    except (InputError, OSError) as e:
        text = str(e) if name in str(e) else f"{name}: {told(e)}"
        raise ConfigError(f"baseline {text}; check the path of --baseline") from e


def _parsed(content: bytes, kind: str, name: str, plan: AuditPlan) -> pa.Table:
    if not content:
        raise ConfigError(f"baseline {name} is empty; {REMEDY}")
    try:
        if kind == "parquet":
            opened = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)
            table = opened.read(use_threads=False)
        elif kind == "ipc":
            table = pa.ipc.open_file(pa.BufferReader(content)).read_all()
        else:
            table = _csv_table(content, plan)
        table.validate(full=True)
    except (pa.ArrowException, OSError, EOFError) as e:
        line = (str(e).splitlines() or [type(e).__name__])[0][:200]
        cell = odd_cell(e, _header(content)) if kind == "csv" else None
        reason, remedy = cell or (line, REMEDY)
        raise ConfigError(f"baseline {name} cannot be read: {reason}; {remedy}") from e
    return table


def _csv_table(content: bytes, plan: AuditPlan) -> pa.Table:
    read = csv.ReadOptions(use_threads=False)  # which tells the row of a bad cell
    table = csv.read_csv(io.BytesIO(content), read_options=read, convert_options=_csv_types(plan))
    return without_nulls(table)


def _header(content: bytes) -> list[str]:
    try:
        names: list[str] = csv.open_csv(io.BytesIO(content)).schema.names
    except pa.ArrowException:
        return []
    return names


def _csv_types(plan: AuditPlan) -> csv.ConvertOptions:
    """Keys are text even where they look like numbers, and metrics numbers even where all null."""
    types = {alias: pa.string() for key in KEYS for alias in _aliases(key, plan)}
    for metric in _pinnable(plan):
        for alias in _aliases(metric, plan):
            types |= {alias: pa.float64(), alias + ERROR_SUFFIX: pa.float64()}
    return csv.ConvertOptions(column_types=types, null_values=NO_NUMBER)


def _pinnable(plan: AuditPlan) -> dict[str, Metric]:
    """Return the metrics that a baseline can hold."""
    catalogue = plan.metric_catalogue()
    return {name: m for name, m in catalogue.items() if m.bound in {"drift", "level"}}


def _aliases(name: str, plan: AuditPlan) -> tuple[str, ...]:
    """Names of a column, the plan's own first: a baseline may come from elsewhere."""
    return tuple(dict.fromkeys((plan.columns.get(name, name), name)))


@dataclass(frozen=True, slots=True)
class _Columns:
    """Where a file holds the keys, the metrics and their errors: canonical name to column."""

    keys: dict[str, str]
    metrics: dict[str, str]
    errors: dict[str, str]
    specs: dict[str, Metric]

    @property
    def named(self) -> dict[str, str]:
        """All columns: canonical name to the file's."""
        errors = {m + ERROR_SUFFIX: column for m, column in self.errors.items()}
        return self.keys | self.metrics | errors

    @classmethod
    def of(cls, table: pa.Table, plan: AuditPlan, name: str) -> _Columns:
        names = table.schema.names
        twice = sorted({column for column in names if names.count(column) > 1})
        if twice:
            raise ConfigError(f'baseline {name}: column "{twice[0]}" stands twice; drop one')
        specs = _pinnable(plan)
        keys = {key: _present(key, names, plan) for key in KEYS}
        metrics = {m: _present(m, names, plan) for m in specs}
        errors = {m: _present(m, names, plan, ERROR_SUFFIX) for m in specs}
        there = f"found {', '.join(names[:12])}"
        for key, column in keys.items():
            if not column:
                remedy = f'add it, or map it: [calibration.hardening.columns] {key} = "…"'
                wanted = plan.columns.get(key, key)
                raise ConfigError(
                    f'baseline {name}: column "{wanted}" is missing; {there}; {remedy}'
                )
        if not any(metrics.values()):
            wanted = ", ".join(specs)
            raise ConfigError(
                f"baseline {name}: no column of a metric; expected at least one of {wanted}; "
                f"{there}; name the column as its metric"
            )
        for m, column in errors.items():
            if column and not metrics[m]:
                raise ConfigError(
                    f'baseline {name}: column "{column}" has no column "{m}" beside it; add it'
                )
        return cls(
            keys,
            {m: column for m, column in metrics.items() if column},
            {m: column for m, column in errors.items() if column},
            specs,
        )


def _present(name: str, names: Sequence[str], plan: AuditPlan, suffix: str = "") -> str:
    """Return the first of a column's names that the file has; "" without any."""
    return next((a + suffix for a in _aliases(name, plan) if a + suffix in names), "")


def _typed(table: pa.Table, columns: _Columns, name: str) -> pa.Table:
    """Return the canonical columns as text and float64; nulls stay."""
    fields: dict[str, Any] = {}
    for key, column in columns.keys.items():
        kind = table.schema.field(column).type
        if not (is_text(kind) or pa.types.is_integer(value_type(kind)) or pa.types.is_null(kind)):
            raise ConfigError(_wrong_type(name, column, kind, "text or integers"))
        encoded = to_text(table[column].combine_chunks())
        fields[key] = encoded.cast(pa.string())
    wanted = columns.metrics | {m + ERROR_SUFFIX: c for m, c in columns.errors.items()}
    for field, column in wanted.items():
        kind = table.schema.field(column).type
        if not is_number(kind):
            raise ConfigError(_wrong_type(name, column, kind, "numbers"))
        fields[field] = to_floats(table[column].combine_chunks())
    for m in columns.metrics:
        fields.setdefault(m + ERROR_SUFFIX, pa.nulls(table.num_rows, pa.float64()))
    if not table.num_rows:
        raise ConfigError(f"baseline {name} has no row; write one for every model and class")
    return pa.table(fields)


def _wrong_type(name: str, column: str, kind: pa.DataType, expected: str) -> str:
    return (
        f'baseline {name}: column "{column}" holds {kind}; expected {expected}; '
        f'cast it before writing, for example with pyarrow: table["{column}"].cast(...)'
    )
