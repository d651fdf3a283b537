"""Names in rows become codes: (model, class) pairs and tag values, and what is wrong with some."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from calhard.history.account import DAMAGED
from calhard.history.convert import ColumnError, to_text, words_of

Ints = NDArray[np.int64]
Codes = NDArray[np.int32]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

MAX_ID_BYTES = 1_024
DENSE_TABLE = 2**22
"""Pairs of a batch are counted in a table up to this size, sorted beyond it."""
SOUND, EMPTY, TOO_LONG, NOT_UTF8 = range(4)
FAULTS = (
    (NOT_UTF8, "id is not UTF-8"),
    (TOO_LONG, "id longer than 1,024 bytes"),
    (EMPTY, "{} is null or empty"),
)
"""What can be wrong with an id, in the order in which it is told."""


class Keys:
    """The (model, class) pairs and tag values seen so far; rows carry their codes."""

    def __init__(self) -> None:
        self.pairs: list[tuple[str, str]] = []
        self._pair_codes: dict[tuple[str, str], int] = {}
        self.words: dict[str, list[str]] = {}
        self._word_codes: dict[str, dict[str, int]] = {}

    def pair(self, model_id: str, class_id: str) -> int:
        """Return the code of a pair, a new one if need be."""
        key = (model_id, class_id)
        code = self._pair_codes.setdefault(key, len(self.pairs))
        if code == len(self.pairs):
            self.pairs.append(key)
        return code

    def word(self, tag: str, value: str) -> int:
        """Return the code of a tag's value."""
        words = self.words.setdefault(tag, [])
        code = self._word_codes.setdefault(tag, {}).setdefault(value, len(words))
        if code == len(words):
            words.append(value)
        return code


@dataclass(frozen=True, slots=True)
class Names:
    """A column of names: distinct ones, what is wrong with each, and each row's index.

    Row index −1 is null; ``faults`` ends with an entry for it.
    """

    words: list[str]
    faults: Ints
    index: Ints | Codes

    @classmethod
    def constant(cls, name: str, size: int) -> Names:
        """Return the names of rows that all have the same."""
        word, fault = decoded(name.encode("utf-8", "surrogateescape"))
        return cls([word], np.array([fault, EMPTY], np.int64), np.zeros(size, np.int32))

    @classmethod
    def of(cls, column: pa.Array) -> Names:
        """Return the names of a column; of a large dictionary only what is used is decoded.

        Raises
        ------
        ColumnError
            A row points outside of the dictionary: the file is damaged.
        """
        encoded = to_text(column)
        index, dictionary = sound_index(encoded), encoded.dictionary
        if len(dictionary) > len(index):
            used, place = np.unique(index[index >= 0], return_inverse=True)
            index = np.where(index >= 0, 0, -1)
            index[index >= 0] = place
            dictionary = dictionary.take(pa.array(used, pa.int64()))
        found = [decoded(word) for word in words_of(dictionary)]
        faults = np.array([*(fault for _, fault in found), EMPTY], np.int64)
        return cls([word for word, _ in found], faults, index)


def sound_index(encoded: pa.DictionaryArray) -> Any:
    """Return each row's place in a dictionary, −1 where it is null.

    Raises
    ------
    ColumnError
        A row points outside of the dictionary: the file is damaged.
    """
    indices = encoded.indices
    if indices.null_count:
        indices = indices.cast(pa.int64()).fill_null(-1)
    index = indices.to_numpy(zero_copy_only=False)
    if len(index) and not -1 <= int(index.min()) <= int(index.max()) < len(encoded.dictionary):
        raise ColumnError("cannot be read: a name points outside of its dictionary", DAMAGED)
    return index


def decoded(word: bytes | None) -> tuple[str, int]:
    """Return a name, empty where it cannot be used, and what is wrong with it."""
    if not word:
        return "", EMPTY
    if len(word) > MAX_ID_BYTES:
        return "", TOO_LONG
    try:
        return word.decode("utf-8"), SOUND
    except UnicodeDecodeError:
        return "", NOT_UTF8


@dataclass(frozen=True, slots=True)
class Pairs:
    """The pair of every row, told by runs of rows that share it.

    ``code`` per row is that of `Keys`; −1 for an unusable id, −2 for a model not read here.
    ``model`` and ``class_`` hold each run's index into the batch's names.
    """

    code: Codes
    length: Ints
    model: Ints | Codes
    class_: Ints | Codes

    def refused(self, model: Names, class_: Names) -> list[tuple[str, str, Bools]]:
        """Return (column, reason, rows) of every fault that an id can have."""
        return [
            (column, reason.format(column), np.repeat(names.faults[run] == fault, self.length))
            for column, names, run in (
                ("model_id", model, self.model),
                ("class_id", class_, self.class_),
            )
            for fault, reason in FAULTS
        ]


def pair_codes(model: Names, class_: Names, holds: Callable[[str], bool], keys: Keys) -> Pairs:
    """Return the rows' pairs; ``holds`` says which models are read."""
    size = len(model.index)
    change = model.index[1:] != model.index[:-1]
    change |= class_.index[1:] != class_.index[:-1]
    head = np.concatenate((np.zeros(min(size, 1), np.int64), np.flatnonzero(change) + 1))
    m, c = model.index[head], class_.index[head]
    usable = (model.faults[m] == SOUND) & (class_.faults[c] == SOUND)
    wanted = np.array([*map(holds, model.words), False], np.bool_)
    code = np.where(usable, -2, -1).astype(np.int32)
    read = usable & wanted[m]
    joint = m[read].astype(np.int64) * len(class_.words) + c[read]
    code[read] = _numbered(joint, model.words, class_.words, keys)
    length = np.diff(head, append=size)
    return Pairs(np.repeat(code, length), length, m, c)


def _numbered(joint: Ints, models: Sequence[str], classes: Sequence[str], keys: Keys) -> Codes:
    """Codes of pairs that a batch numbers model × classes + class."""
    width, size = max(len(classes), 1), len(models) * len(classes)
    if size > DENSE_TABLE or size > 8 * len(joint):
        present, place = np.unique(joint, return_inverse=True)
    else:
        present = np.flatnonzero(np.bincount(joint, minlength=1))
        lookup = np.zeros(max(size, 1), np.int64)
        lookup[present] = np.arange(len(present))
        place = lookup[joint]
    codes = [keys.pair(models[j // width], classes[j % width]) for j in present.tolist()]
    return np.array(codes, np.int32)[place]
