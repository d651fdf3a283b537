"""From a file's own columns to the canonical ones: names, types, and what is refused."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from calhard.schema import KEY_COLUMNS, OPTIONAL_COLUMNS

NOT_TAGS = frozenset(OPTIONAL_COLUMNS) - {"model_version"}
EPOCH_LIMIT = 100_000_000_000
"""Integer seconds beyond this (year 5138) are in another unit."""


class ColumnError(Exception):
    """A file's columns cannot be used; the message names the column and the remedy."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class ColumnPlan:
    """Where a file holds the canonical columns.

    ``source`` maps canonical names to the file's; ``constants`` holds what its path says instead
    (hive partitions). ``tags`` are the file's tag columns.
    """

    source: Mapping[str, str]
    constants: Mapping[str, str]
    metrics: tuple[str, ...]
    tags: tuple[str, ...]
    text: tuple[str, ...]
    """The file's columns that hold text."""

    @property
    def numbers(self) -> list[str]:
        """The file's columns that hold metrics or weights."""
        names = (*self.metrics, "total_samples")
        return [self.source[name] for name in names if name in self.source]

    @property
    def needed(self) -> list[str]:
        """The file's columns to read, each once."""
        return list(dict.fromkeys(self.source.values()))


def plan_columns(
    schema: pa.Schema,
    mapping: Mapping[str, str],
    metrics: Sequence[str],
    constants: Mapping[str, str],
) -> ColumnPlan:
    """Return where a file holds what an audit reads.

    Parameters
    ----------
    mapping : canonical name to the name in the input, for those that differ
    metrics : names of all known metrics
    constants : columns that the file's path carries

    Raises
    ------
    ColumnError
        A required column is missing, stands twice, or has a type that holds no such values.
    """
    twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
    if twice:
        raise ColumnError(f'column "{twice[0]}" stands {schema.names.count(twice[0])} times', "")
    source = {}
    for name in KEY_COLUMNS:
        if name not in constants:
            source[name] = _required(name, mapping.get(name, name), schema)
    present = [m for m in metrics if mapping.get(m, m) in schema.names]
    if not present:
        raise ColumnError(*_no_metric(schema, metrics, mapping))
    for name in (*present, "total_samples"):
        if mapping.get(name, name) in schema.names:
            source[name] = mapping.get(name, name)
    used = set(source.values())
    tags = [f.name for f in schema if f.name not in used | NOT_TAGS and is_text(f.type)]
    source |= {tag: tag for tag in tags}
    _check_types(schema, source, present)
    extra = tuple(name for name in constants if name not in KEY_COLUMNS)
    text = [c for c in dict.fromkeys(source.values()) if is_text(schema.field(c).type)]
    return ColumnPlan(
        source, constants, tuple(present), tuple(dict.fromkeys((*tags, *extra))), tuple(text)
    )


def _required(name: str, wanted: str, schema: pa.Schema) -> str:
    if wanted in schema.names:
        return wanted
    folded = {other.casefold(): other for other in schema.names}
    near = folded.get(wanted.casefold()) or next(
        iter(difflib.get_close_matches(wanted, schema.names, 1, 0.6)), None
    )
    found = f'; found "{near}"' if near else f"; found {', '.join(schema.names[:12])}"
    example = near or "your_column"
    raise ColumnError(
        f'column "{wanted}" is missing{found}',
        f'rename it, or map it: [calibration.hardening.columns] {name} = "{example}"',
    )


def _no_metric(
    schema: pa.Schema, metrics: Sequence[str], mapping: Mapping[str, str]
) -> tuple[str, str]:
    wanted = ", ".join(mapping.get(m, m) for m in metrics)
    there = ", ".join(schema.names[:12])
    remedy = (
        "map a column under [calibration.hardening.columns] or declare a metric under "
        "[calibration.hardening.metrics.NAME]"
    )
    return f"no metric column; expected at least one of {wanted}; found {there}", remedy


def value_type(kind: pa.DataType) -> pa.DataType:
    """Return the type of a dictionary's values, any other type itself."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def is_text(kind: pa.DataType) -> bool:
    """Return whether a column holds text."""
    kind = value_type(kind)
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or _is_view(kind)


def _is_view(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string_view(kind))


def is_number(kind: pa.DataType) -> bool:
    """Return whether a column holds numbers (all-null columns count as such)."""
    kind = value_type(kind)
    tests = (pa.types.is_floating, pa.types.is_integer, pa.types.is_decimal, pa.types.is_null)
    return any(test(kind) for test in tests)


def _check_types(schema: pa.Schema, source: Mapping[str, str], metrics: Sequence[str]) -> None:
    for name, column in source.items():
        kind = schema.field(column).type
        if name in {"model_id", "class_id"}:
            sound = is_text(kind) or pa.types.is_integer(value_type(kind))
            expected = "text or integers"
        elif name == "timestamp":
            sound = (
                pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_integer(kind)
            )
            expected = "timestamps, dates or integer seconds since 1970"
        elif name in metrics or name == "total_samples":
            sound, expected = is_number(kind), "numbers"
        else:
            continue
        if not sound:
            raise ColumnError(
                f'column "{column}" holds {kind}; expected {expected}',
                f'cast it before writing, for example with pyarrow: table["{column}"].cast(...)',
            )


def to_text(column: pa.Array) -> pa.DictionaryArray:
    """Return ids or tags as a dictionary of strings."""
    kind = value_type(column.type)
    if not pa.types.is_string(kind):
        flat = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
        column = flat.cast(pa.string())
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    return column


def to_floats(column: pa.Array) -> pa.Array:
    """Return a metric as float64; nulls stay."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column if column.type == pa.float64() else pc.cast(column, pa.float64(), safe=False)


def to_microseconds(column: pa.Array, timezone: str | None) -> pa.Array:
    """Return timestamps as int64 microseconds since 1970 UTC; nulls stay.

    Naive timestamps are UTC unless a zone is given; a doubled hour is the earlier one.

    Raises
    ------
    ColumnError
        Integers that cannot be seconds.
    """
    kind = column.type
    if pa.types.is_integer(kind):
        seconds = column.cast(pa.int64())
        largest = pc.max(pc.abs(seconds)).as_py()
        if largest is not None and largest > EPOCH_LIMIT:
            raise ColumnError(
                f"integer timestamps up to {largest} are no seconds since 1970 "
                f"(they look like {_unit(largest)})",
                "divide them, or write a timestamp column",
            )
        return pc.multiply(seconds, 1_000_000)
    if pa.types.is_date(kind):
        column = column.cast(pa.timestamp("ms"))
    if timezone is not None and column.type.tz is None:
        column = pc.assume_timezone(column, timezone, ambiguous="earliest", nonexistent="earliest")
    return pc.cast(column, pa.timestamp("us", tz=column.type.tz), safe=False).cast(pa.int64())


def _unit(largest: int) -> str:
    if largest < EPOCH_LIMIT * 1_000:
        return "milliseconds"
    return "microseconds" if largest < EPOCH_LIMIT * 1_000_000 else "nanoseconds"
