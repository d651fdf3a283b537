"""From a file's own columns to the canonical ones: names, types, and what is refused."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import pyarrow as pa

from calhard.history.convert import (
    ColumnError,
    holds_ids,
    is_instant,
    is_number,
    is_text,
    value_type,
)
from calhard.schema import CANONICAL, KEY_COLUMNS, OPTIONAL_COLUMNS

VERSION = "model_version"
KNOWN = "ingested_at"
"""When a row became known."""
INSTANTS = ("timestamp", KNOWN)
NOT_TAGS = frozenset((*KEY_COLUMNS, *OPTIONAL_COLUMNS)) - {VERSION}
FOLDER_KEYS = ("model_id", "class_id")
"""Keys that a folder's name may carry in place of a column."""
NAMES = (*FOLDER_KEYS, VERSION)
"""Columns of names: text, whatever they look like."""
EXAMPLE = "example_id"
"""Predictions of one example over several classes; a name, but as many as there are rows."""


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
    time: pa.DataType = field(default_factory=pa.null)
    """The type of the file's timestamps."""
    known: pa.DataType = field(default_factory=pa.null)
    """The type of the instants at which its rows became known."""
    flags: tuple[str, ...] = ()
    """Canonical columns of predictions that hold booleans or numbers."""

    @property
    def numbers(self) -> list[str]:
        """The file's columns that hold metrics or weights."""
        names = (*self.metrics, "total_samples")
        return [self.source[name] for name in names if name in self.source]

    @property
    def names(self) -> list[str]:
        """The file's columns that hold ids or versions: text, whatever they look like."""
        return [self.source[name] for name in (*NAMES, EXAMPLE) if name in self.source]

    @property
    def needed(self) -> list[str]:
        """The file's columns to read, each once."""
        return list(dict.fromkeys(self.source.values()))

    def only(self, names: Sequence[str]) -> ColumnPlan:
        """Return a plan of some of the columns, without metrics and tags."""
        source = {name: self.source[name] for name in dict.fromkeys(names) if name in self.source}
        text = tuple(c for c in self.text if c in source.values())
        return replace(self, source=source, metrics=(), tags=(), text=text)

    @property
    def aware(self) -> bool | None:
        """Whether the timestamps carry a zone; None where they need none (dates, integers)."""
        kind = value_type(self.time)
        return kind.tz is not None if pa.types.is_timestamp(kind) else None


def plan_columns(
    schema: pa.Schema,
    mapping: Mapping[str, str],
    metrics: Sequence[str],
    folders: Mapping[str, str],
) -> ColumnPlan:
    """Return where a file holds what an audit reads.

    Parameters
    ----------
    mapping : canonical name to the name in the input, for those that differ
    metrics : names of all known metrics
    folders : columns that the file's path carries, by their names in the input

    Raises
    ------
    ColumnError
        A required column is missing, stands twice, or has a type that holds no such values.
    """
    no_column_twice(schema)
    if (schema.metadata or {}).items() >= CANONICAL.items():  # of calhard's own making
        mapping = {}
    own = {name: mapping.get(name, name) for name in (*NOT_TAGS, VERSION, *metrics)}
    constants = {n: folders[own[n]] for n in (*FOLDER_KEYS, VERSION) if own[n] in folders}
    source = {
        name: required(name, own[name], schema) for name in KEY_COLUMNS if name not in constants
    }
    present = [m for m in metrics if own[m] in schema.names]
    if not present:
        raise ColumnError(*_no_metric(schema, metrics, own))
    source |= {m: own[m] for m in (*present, "total_samples") if own[m] in schema.names}
    if VERSION not in constants and own[VERSION] in schema.names:
        source[VERSION] = own[VERSION]
    if own[KNOWN] in schema.names:
        source[KNOWN] = own[KNOWN]
    taken = {*own, *own.values()}
    tags = {f.name: f.name for f in schema if f.name not in taken and is_text(f.type)}
    check_types(schema, source, partial(fits, metrics=present))
    constants |= {name: value for name, value in folders.items() if name not in taken}
    source |= {tag: tag for tag in tags if tag not in constants}
    text = [c for c in dict.fromkeys(source.values()) if is_text(schema.field(c).type)]
    version = (VERSION,) if VERSION in source or VERSION in constants else ()
    extra = (name for name in constants if name not in FOLDER_KEYS)
    return ColumnPlan(
        source,
        constants,
        tuple(present),
        tuple(dict.fromkeys((*version, *tags, *extra))),
        tuple(text),
        schema.field(source["timestamp"]).type,
        schema.field(source[KNOWN]).type if KNOWN in source else pa.null(),
    )


def no_column_twice(schema: pa.Schema) -> None:
    """Raise `ColumnError` where two columns have one name."""
    twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
    if twice:
        raise ColumnError(
            f'column "{twice[0]}" stands {schema.names.count(twice[0])} times',
            "keep one of them, or rename the others",
        )


def required(name: str, wanted: str, schema: pa.Schema) -> str:
    """Return a column that must be there; of another name, the error tells the nearest."""
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
    schema: pa.Schema, metrics: Sequence[str], own: Mapping[str, str]
) -> tuple[str, str]:
    wanted = ", ".join(own[m] for m in metrics)
    there = ", ".join(schema.names[:12])
    if {"score", "label"} <= set(schema.names):
        remedy = "these look like predictions: calhard measure makes a history of them"
        return f"no metric column, but score and label; found {there}", remedy
    remedy = (
        "map a column under [calibration.hardening.columns] or declare a metric under "
        "[calibration.hardening.metrics.NAME]"
    )
    return f"no metric column; expected at least one of {wanted}; found {there}", remedy


def check_types(
    schema: pa.Schema,
    source: Mapping[str, str],
    fits: Callable[[str, pa.DataType], tuple[bool, str]],
) -> None:
    """Raise `ColumnError` where a column's type cannot hold what ``fits`` says it should."""
    for name, column in source.items():
        kind = schema.field(column).type
        sound, expected = fits(name, kind)
        if not sound:
            raise ColumnError(
                f'column "{column}" holds {kind}; expected {expected}',
                f'cast it before writing, for example with pyarrow: table["{column}"].cast(...)',
            )


def fits(name: str, kind: pa.DataType, metrics: Sequence[str]) -> tuple[bool, str]:
    """Return whether a type can hold a canonical column, and what would."""
    if name in FOLDER_KEYS:
        return holds_ids(kind), "text or integers"
    if name in INSTANTS:
        return is_instant(kind), "timestamps, dates or integer seconds since 1970"
    if name == VERSION:
        inner = value_type(kind)
        binary = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary)
        return not (pa.types.is_nested(inner) or any(t(inner) for t in binary)), "text"
    return name not in {*metrics, "total_samples"} or is_number(kind), "numbers"
