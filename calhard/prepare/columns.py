"""The columns of a prepared history: those of its files, by their own names, of one type each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from calhard.errors import InputError
from calhard.history.columns import FOLDER_KEYS, KNOWN, NAMES, ColumnPlan
from calhard.history.convert import is_number, is_text, value_type
from calhard.schema import CANONICAL
from calhard.wording.names import display_name

ORIGIN = "_prepared_from"
"""The number of the file that a row comes from, as the manifest tells it."""
INSTANT = pa.timestamp("us", "UTC")
_UNITS = ("s", "ms", "us", "ns")


@dataclass(frozen=True, slots=True)
class FileColumns:
    """Where a file holds each column of the prepared history: its own column, or its path's word.

    ``keys`` are the prepared names of ``model_id``, ``class_id``, ``timestamp`` and, if it is
    there, ``ingested_at``.
    """

    source: Mapping[str, str]
    constants: Mapping[str, str]
    types: Mapping[str, pa.DataType]
    keys: Mapping[str, str]

    @classmethod
    def of(
        cls, schema: pa.Schema, plan: ColumnPlan, names: Mapping[str, str], out: Mapping[str, str]
    ) -> FileColumns:
        """Return the columns of a file.

        Parameters
        ----------
        schema : the file's own
        plan : what an audit reads of it
        names : names of canonical columns in the history, for those that differ
        out : the same in the prepared history

        Raises
        ------
        InputError
            Two columns would get one name.
        """
        own = {} if is_canonical(schema) else names
        rename = {own.get(name, name): out.get(name, name) for name in {*own, *out}}
        constants = {
            out.get(name, name) if name in NAMES else name: word
            for name, word in plan.constants.items()
        }
        source: dict[str, str] = {}
        for column in schema.names:
            name = rename.get(column, column)
            if name in source:
                raise InputError(
                    f'columns "{source[name]}" and "{column}" would both be named "{name}"; '
                    "rename one of them"
                )
            if name not in constants and name != ORIGIN:
                source[name] = column
        types = {name: _kept(schema.field(column).type) for name, column in source.items()}
        types |= dict.fromkeys(constants, pa.string())
        keys = {}
        for key in (*NAMES, "timestamp", KNOWN):
            if key in plan.constants or key in plan.source:
                keys[key] = out.get(key, key)
                types[keys[key]] = INSTANT if key in ("timestamp", KNOWN) else pa.string()
        return cls(source, constants, types, keys)


def is_canonical(schema: pa.Schema) -> bool:
    """Return whether a file's columns have calhard's own names, whatever a configuration maps."""
    return bool((schema.metadata or {}).items() >= CANONICAL.items())


def _kept(kind: pa.DataType) -> pa.DataType:
    """The type under which a column is kept."""
    return pa.string() if is_text(kind) else value_type(kind)


def joined_schema(files: Iterable[tuple[str, FileColumns]], *, canonical: bool) -> pa.Schema:
    """Return the columns of all files together, the keys first, the others as they come.

    Raises
    ------
    InputError
        Two files hold types of a column that no type holds both, or one that Parquet has not.
    """
    keys: dict[str, pa.DataType] = {}
    types: dict[str, pa.DataType] = {}
    told: dict[str, str] = {}
    for name, columns in files:
        for key in (*FOLDER_KEYS, "timestamp"):
            keys[columns.keys[key]] = columns.types[columns.keys[key]]
        for column, kind in columns.types.items():
            before = types.get(column, kind)
            both = joined_type(before, kind)
            if both is None:
                raise InputError(_no_type(column, (told[column], before), (name, kind)))
            if both != before or column not in told:
                told[column] = name
            types[column] = both
    types.pop(ORIGIN, None)
    fields = [pa.field(name, types[name]) for name in (*keys, *(n for n in types if n not in keys))]
    schema = pa.schema([*fields, pa.field(ORIGIN, pa.int32())])
    _check_writable(schema)
    return schema.with_metadata(CANONICAL) if canonical else schema


def with_columns(schema: pa.Schema, old: pa.Schema, name: str) -> pa.Schema:
    """Return a schema with the columns of an older part, of types that hold both.

    Raises
    ------
    InputError
        As of `joined_schema`.
    """
    fields = {f.name: f.type for f in schema}
    for field in old:
        both = joined_type(fields.get(field.name, field.type), field.type)
        if both is None:
            ours, theirs = ("the files", fields[field.name]), (name, field.type)
            raise InputError(_no_type(field.name, ours, theirs))
        fields[field.name] = both
    origin = fields.pop(ORIGIN)
    found = [pa.field(n, kind) for n, kind in fields.items()]
    return pa.schema([*found, pa.field(ORIGIN, origin)], metadata=schema.metadata)


def fits(old: pa.Schema, schema: pa.Schema) -> bool:
    """Return whether an older part's columns have the types that they have now."""
    return all(field.type == schema.field(field.name).type for field in old)


def joined_type(a: pa.DataType, b: pa.DataType) -> pa.DataType | None:
    """Return a type that holds the values of both as an audit reads them, None without any."""
    if a == b or pa.types.is_null(b):
        return a
    if pa.types.is_null(a):
        return b
    if is_number(a) and is_number(b):
        return _joined_number(a, b)
    if pa.types.is_timestamp(a) and pa.types.is_timestamp(b) and a.tz == b.tz:
        return pa.timestamp(max(a.unit, b.unit, key=_UNITS.index), a.tz)
    if _is_bytes(a) and _is_bytes(b):
        return pa.large_binary()
    return None


def _joined_number(a: pa.DataType, b: pa.DataType) -> pa.DataType:
    if pa.types.is_decimal(a) or pa.types.is_decimal(b):
        return pa.float64()
    return pa.from_numpy_dtype(np.promote_types(a.to_pandas_dtype(), b.to_pandas_dtype()))


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _no_type(column: str, a: tuple[str, pa.DataType], b: tuple[str, pa.DataType]) -> str:
    held = " and ".join(f"{kind} in {display_name(file, 100)}" for file, kind in (a, b))
    return (
        f'column "{display_name(column, 100)}" holds {held}, which no column holds both; cast it '
        "in one of them, or leave it out"
    )


def _check_writable(schema: pa.Schema) -> None:
    """Refuse a column of a type that Parquet has not."""
    for field in schema:
        try:
            with pq.ParquetWriter(pa.BufferOutputStream(), pa.schema([field])) as writer:
                writer.write_table(pa.schema([field]).empty_table())
        except (pa.ArrowException, OSError, ValueError) as e:
            raise InputError(
                f'column "{display_name(field.name, 100)}" holds {field.type}, which Parquet '
                "cannot hold; cast it, or leave it out"
            ) from e


def spilled(schema: pa.Schema) -> pa.Schema:
    """Return the same columns while they wait: text of any length."""
    wide = {pa.string(): pa.large_string(), pa.binary(): pa.large_binary()}
    return pa.schema([pa.field(f.name, wide.get(f.type, f.type)) for f in schema])
