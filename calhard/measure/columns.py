"""From a file's own columns to those of predictions: names, types, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from calhard.history.columns import (
    EXAMPLE,
    FOLDER_KEYS,
    NAMES,
    NOT_TAGS,
    VERSION,
    ColumnPlan,
    check_types,
    fits,
    no_column_twice,
    required,
)
from calhard.history.convert import ColumnError, holds_ids, is_number, is_text, value_type
from calhard.measure.tables import EXTRAS, history_schema
from calhard.schema import KEY_COLUMNS, PREDICTION_COLUMNS

NUMBERS = ("score", "weight")
FLAGS = ("label", "mask")
TEXTS = (*NAMES, EXAMPLE)
REQUIRED = (*KEY_COLUMNS, "score", "label")
MEASURED = frozenset(history_schema(tuple(EXTRAS)).names)
OPTIONAL = ("weight", "mask", EXAMPLE, VERSION)


def plan_predictions(
    schema: pa.Schema,
    mapping: Mapping[str, str],
    folders: Mapping[str, str],
    wanted: Sequence[str] | None = None,
) -> ColumnPlan:
    """Return where a file of predictions holds what is measured.

    Text columns without another meaning are tags, and so are the folders' columns; a name that
    the history needs for a column of its own is none.

    Parameters
    ----------
    mapping : canonical name to the name in the input, for those that differ
    folders : columns that the file's path carries, by their names in the input
    wanted : the tags to keep; all by default

    Raises
    ------
    ColumnError
        A required column is missing, stands twice, or has a type that holds no such values.
    """
    no_column_twice(schema)
    if "score" not in mapping and "score" not in schema.names and _is_history(schema):
        raise ColumnError(
            "holds metrics and no scores: it is a history, not predictions",
            "audit it: calhard audit HISTORY --out nights",
        )
    own = {name: mapping.get(name, name) for name in (*NOT_TAGS, VERSION, *PREDICTION_COLUMNS)}
    constants = {n: folders[own[n]] for n in (*FOLDER_KEYS, VERSION) if own[n] in folders}
    source = {name: required(name, own[name], schema) for name in REQUIRED if name not in constants}
    source |= {n: own[n] for n in OPTIONAL if n not in constants and own[n] in schema.names}
    check_types(schema, source, _fits)
    taken = {*own, *own.values(), *MEASURED}

    def is_tag(name: str) -> bool:
        return name not in taken and (wanted is None or name in wanted)

    constants |= {name: value for name, value in folders.items() if is_tag(name)}
    tags = [f.name for f in schema if is_text(f.type) and is_tag(f.name)]
    source |= {tag: tag for tag in tags if tag not in constants}
    version = [VERSION] if VERSION in source or VERSION in constants else []
    extra = [name for name in constants if name not in (*FOLDER_KEYS, VERSION)]
    encoded = [column for name, column in source.items() if name not in (EXAMPLE, *FLAGS)]
    return ColumnPlan(
        source,
        constants,
        tuple(name for name in NUMBERS if name in source),
        tuple(dict.fromkeys((*version, *tags, *extra))),
        tuple(c for c in dict.fromkeys(encoded) if is_text(schema.field(c).type)),
        schema.field(source["timestamp"]).type,
        flags=tuple(name for name in FLAGS if name in source),
    )


def _is_history(schema: pa.Schema) -> bool:
    return bool({"aece", "dece"} & set(schema.names))


def _fits(name: str, kind: pa.DataType) -> tuple[bool, str]:
    """Whether a type can hold a canonical column, and what would."""
    if name in FLAGS:
        return is_number(kind) or pa.types.is_boolean(value_type(kind)), "booleans or numbers"
    if name == EXAMPLE:
        return holds_ids(kind), "text or integers"
    return fits(name, kind, NUMBERS)
