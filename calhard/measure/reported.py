"""What a column of predictions reports: numbers or booleans, and where it reports nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from calhard.history.cells import LONGEST, MEND, NO_NUMBER
from calhard.history.convert import ColumnError, is_text, to_floats
from calhard.history.ids import Bools, Floats, Ints, sound_index

WORDS = {"true": 1.0, "false": 0.0}


@dataclass(frozen=True, slots=True)
class Reported:
    """A column as float64, shape (R,): NaN where null, and no −0.0."""

    value: Floats
    null: Bools | None
    """Rows that report nothing; None where all report something."""

    @property
    def probability(self) -> Bools:
        """Rows that report a number in [0, 1]."""
        return (self.value >= 0.0) & (self.value <= 1.0)

    @classmethod
    def of(cls, column: pa.Array, name: str, first_row: int) -> Reported:
        """Return what a column of numbers, booleans or (of a CSV) words for them reports.

        Raises
        ------
        ColumnError
            A cell is neither; ``name`` and ``first_row`` tell where it is.
        """
        if pa.types.is_dictionary(column.type) and is_text(column.type):
            return cls._of_words(column, name, first_row)
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if pa.types.is_boolean(column.type):
            column = column.cast(pa.uint8())
        found = to_floats(column)
        null = found.is_null().to_numpy(zero_copy_only=False) if found.null_count else None
        value: Floats = found.to_numpy(zero_copy_only=False)
        with np.errstate(invalid="ignore"):  # a signalling NaN, of damaged bytes
            return cls(value + 0.0, null)

    @classmethod
    def _of_words(cls, column: pa.DictionaryArray, name: str, first_row: int) -> Reported:
        index = sound_index(column)
        words = column.dictionary.to_pylist()
        for place in [i for i, word in enumerate(words) if _number(word) is None]:
            rows: Ints = np.flatnonzero(index == place)
            if len(rows):
                cell = f'row {first_row + rows[0] + 1}: column "{name}" holds'
                told = words[place][:LONGEST]
                raise ColumnError(f"{cell} {told!r}, which is no boolean and no number", MEND)
        value = np.array([*(_number(word) or 0.0 for word in words), np.nan])[index]
        empty = np.array([*(_is_empty(word) for word in words), True])[index]
        value[empty] = np.nan
        return cls(value, empty if empty.any() else None)


def _is_empty(word: str | None) -> bool:
    return word is None or word.strip() in NO_NUMBER


def _number(word: str | None) -> float | None:
    """A cell of a CSV as a number; 0 where it is empty, None where it is no number."""
    if word is None or _is_empty(word):
        return 0.0
    plain = word.strip().lower()
    if plain in WORDS:
        return WORDS[plain]
    try:
        return None if "_" in plain else float(plain)
    except ValueError:
        return None
