"""A table of predictions as arrays: columns checked, keys and times known, bad scores marked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from calhard.errors import InputError
from calhard.history.convert import (
    ColumnError,
    is_instant,
    is_number,
    is_text,
    to_floats,
    to_microseconds,
    to_text,
    value_type,
)

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

PREDICTIONS = ("model_id", "class_id", "timestamp", "score", "label")


@dataclass(frozen=True, slots=True)
class PredictionTable:
    """The columns of predictions as arrays; NaN where a score or a label is null."""

    model: pa.DictionaryArray
    class_: pa.DictionaryArray
    timestamp: Ints
    score: Floats
    label: Floats
    violates: Bools
    """Scores that were reported and are no probability."""

    @property
    def in_range(self) -> Bools:
        """Rows whose score is a probability."""
        return ~np.isnan(self.score) & ~self.violates

    @classmethod
    def of(cls, table: pa.Table) -> PredictionTable:
        """Return the rows of a table of predictions.

        Raises
        ------
        InputError
            A column is missing or holds no such values, or a row has no key or no timestamp.
        """
        missing = [name for name in PREDICTIONS if name not in table.schema.names]
        if missing:
            there = ", ".join(table.schema.names[:12])
            raise InputError(
                f'predictions: column "{missing[0]}" is missing; found {there}; '
                f"rename yours: table.rename_columns(...)"
            )
        stamp = _known("timestamp", _microseconds(table))
        score = _numbers(table, "score")
        values = _floats(score)
        reported = np.asarray(score.is_valid().to_numpy(zero_copy_only=False), np.bool_)
        probability = (values >= 0.0) & (values <= 1.0)
        return cls(
            _ids(table, "model_id"),
            _ids(table, "class_id"),
            stamp.to_numpy(),
            values,
            _floats(_numbers(table, "label")),
            reported & ~probability,
        )


def _ids(table: pa.Table, name: str) -> pa.DictionaryArray:
    column = _known(name, table[name].combine_chunks())
    kind = value_type(column.type)
    if not (is_text(kind) or pa.types.is_integer(kind)):
        raise _unusable(name, kind, "text or integers")
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()  # its dictionary may hold a word twice
    return to_text(column)


def _known(name: str, column: pa.Array) -> pa.Array:
    if column.null_count:
        row = pc.index(column.is_null(), value=True).as_py() + 1
        raise InputError(f'predictions: column "{name}", row {row}: null; give every row one')
    return column


def _microseconds(table: pa.Table) -> pa.Array:
    column = table["timestamp"].combine_chunks()
    if not is_instant(column.type):
        raise _unusable("timestamp", column.type, "timestamps, dates or seconds since 1970")
    try:
        return to_microseconds(column, None)
    except ColumnError as e:
        raise InputError(f'predictions: column "timestamp": {e.reason}; {e.remedy}') from e


def _numbers(table: pa.Table, name: str) -> pa.Array:
    column = table[name].combine_chunks()
    if not (is_number(column.type) or pa.types.is_boolean(column.type)):
        raise _unusable(name, column.type, "numbers")
    return to_floats(column)


def _unusable(name: str, kind: pa.DataType, expected: str) -> InputError:
    return InputError(
        f'predictions: column "{name}" holds {kind}; expected {expected}; '
        f'cast it, for example with pyarrow: table["{name}"].cast(...)'
    )


def _floats(column: pa.Array) -> Floats:
    return np.asarray(column.to_numpy(zero_copy_only=False), np.float64)
