"""Rows of bin files become arrays; what cannot be is refused with its file."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from calhard.history.convert import is_number, is_text, to_floats, to_microseconds
from calhard.history.files import HistoryFile
from calhard.reliability import BinRows
from calhard.schema import LARGEST

Group = tuple[str, str]
Floats = NDArray[np.float64]

REMEDY = "measure those periods again (calhard measure --since), or remove the file"
SHARES = ("low", "high", "mean_score", "mean_label")
"""Columns that lie within [0, 1]."""
NUMBERS = (*SHARES, "bin", "count", "weight", "clamped", "merged_with")
COLUMNS = ("model_id", "class_id", "timestamp", *NUMBERS)
ROUNDING = 1e-9


class BadBins(Exception):
    """A bin file cannot be used; nothing of it is."""

    def __init__(self, file: HistoryFile, reason: str) -> None:
        super().__init__(f"{file.name}: {reason}")
        self.file, self.reason = file, reason


def check_columns(file: HistoryFile, schema: pa.Schema) -> None:
    """Raise where a column is missing or cannot hold what it should."""
    for name in COLUMNS:
        if schema.names.count(name) != 1:
            there = "is missing" if name not in schema.names else "stands twice"
            raise BadBins(file, f'column "{name}" {there}')
        kind = schema.field(name).type
        text, number = is_text(kind), is_number(kind) or pa.types.is_boolean(kind)
        sound = number if name in NUMBERS else text or name == "timestamp"
        if not sound:
            raise BadBins(file, f'column "{name}" holds {kind}')


def to_words(column: pa.Array) -> pa.Array:
    """Return names as plain text."""
    return column.cast(pa.string())


def bin_rows(file: HistoryFile, batch: pa.RecordBatch, codes: Mapping[Group, int]) -> BinRows:
    """The rows of a batch; −1 is the group of a class that is not asked for."""
    values = {name: _numbers(batch[name]) for name in NUMBERS}
    stamps = to_microseconds(batch["timestamp"], None)
    required = [n for n in NUMBERS if n != "merged_with"]
    if (
        stamps.null_count
        or batch["class_id"].null_count
        or any(np.isnan(values[name]).any() for name in required)
    ):
        raise BadBins(file, "a bin without class, time or value")
    bound = values["clamped"] * (values["count"] if _is_flag(batch["clamped"]) else 1.0)
    _check_values(file, values, bound)
    low, high, mean_score, mean_label = (np.clip(values[name], 0.0, 1.0) for name in SHARES)
    return BinRows(
        group=_codes(batch, codes),
        timestamp=stamps.to_numpy().astype(np.int64),
        number=values["bin"].astype(np.int64),
        low=low,
        high=high,
        count=values["count"].astype(np.int64),
        weight=values["weight"],
        mean_score=mean_score,
        mean_label=mean_label,
        clamped=bound.astype(np.int64),
        merged=~np.isnan(values["merged_with"]),
    )


def _numbers(column: pa.Array) -> Floats:
    """NaN where null."""
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    return np.array(to_floats(column).to_numpy(zero_copy_only=False), np.float64)


def _is_flag(column: pa.Array) -> bool:
    return bool(pa.types.is_boolean(column.type))


def _check_values(file: HistoryFile, values: Mapping[str, Floats], clamped: Floats) -> None:
    """Raise where a value cannot be: without checksums it is all that shows damage."""
    for name in SHARES:
        if np.any((values[name] < -ROUNDING) | (values[name] > 1.0 + ROUNDING)):
            raise BadBins(file, f'column "{name}" holds a value outside [0, 1]')
    count, weight = values["count"], values["weight"]
    if np.any((count < 1) | (count > 2**53)):
        raise BadBins(file, 'column "count" holds a number that counts nothing')
    if np.any(~(weight > 0) | (weight > LARGEST * count)):
        raise BadBins(file, 'column "weight" holds a value that is no positive number')
    if np.any((clamped < 0) | (clamped > count)):
        raise BadBins(file, 'column "clamped" counts more rows than its bin has')
    if np.any(np.abs(values["bin"]) > 2**53):
        raise BadBins(file, 'column "bin" holds a value that numbers nothing')


def _codes(batch: pa.RecordBatch, codes: Mapping[Group, int]) -> NDArray[np.int64]:
    """The place of each row's model and class among those asked for."""
    model, class_ = (to_words(batch[name]).dictionary_encode() for name in ("model_id", "class_id"))
    names = model.dictionary.to_pylist(), class_.dictionary.to_pylist()
    width = max(len(names[1]), 1)
    at = (column.indices.fill_null(0).to_numpy().astype(np.int64) for column in (model, class_))
    joint = next(at) * width + next(at)
    present, place = np.unique(joint, return_inverse=True)
    pairs = ((names[0][j // width], names[1][j % width]) for j in present.tolist())
    return np.array([codes.get(pair, -1) for pair in pairs], np.int64)[place]
