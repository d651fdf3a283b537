"""Which rows are of one example: a fingerprint of its id, for there are as many as rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from calhard.history.convert import value_type
from calhard.history.ids import Ints, sound_index
from calhard.measure.rows import NO_EXAMPLE

Bits = NDArray[np.uint64]

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
FACTORS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def example_codes(column: pa.Array) -> Ints:
    """Return a code in [0, 2⁶³) of every example's id, `NO_EXAMPLE` of a null or empty one.

    Equal ids have equal codes in all files and processes; integers are the ids of their decimal
    text. Of n different ids any two have the same code with probability n²/2⁶⁴: 3·10⁻⁸ for a
    million. A table of ids instead of fingerprints would hold every row in memory.

    Source: Steele, Lea & Flood 2014 (SplitMix64), chained over the words of the text.
    """
    if pa.types.is_null(column.type):
        return np.full(len(column), NO_EXAMPLE, np.int64)
    if not pa.types.is_dictionary(column.type):
        return _of_text(column)
    words = np.append(_of_text(column.dictionary), NO_EXAMPLE)
    found: Ints = words[sound_index(column)]
    return found


def _of_text(column: pa.Array) -> Ints:
    if pa.types.is_null(value_type(column.type)):
        return np.full(len(column), NO_EXAMPLE, np.int64)
    if pa.types.is_integer(column.type) or pa.types.is_string_view(column.type):
        column = column.cast(pa.string())
    text = column.cast(pa.large_binary())
    ends = _ends(text)
    size = np.diff(ends)
    if text.null_count:
        size[text.is_null().to_numpy(zero_copy_only=False)] = 0
    content = np.frombuffer(text.buffers()[2] or b"", np.uint8)[ends[0] : ends[-1]]
    found = _fingerprints(ends[:-1] - ends[0], size, content)
    return np.where(size == 0, NO_EXAMPLE, (found >> np.uint64(1)).astype(np.int64))


def _ends(text: pa.Array) -> Ints:
    """Where each text begins and, at last, where the last one ends."""
    if not len(text):
        return np.zeros(1, np.int64)
    offsets = np.frombuffer(text.buffers()[1], np.int64)
    return offsets[text.offset : text.offset + len(text) + 1]


def _fingerprints(start: Ints, size: Ints, content: NDArray[np.uint8]) -> Bits:
    """Fingerprints of texts, eight bytes at a time; their length comes first."""
    padded = np.zeros(len(content) + 8, np.uint8)
    padded[:-8] = content
    words = np.ndarray((len(padded) - 7,), np.dtype("<u8"), padded, 0, (1,))
    found = mixed(size.astype(np.uint64))
    done = 8 * (int(size.min()) // 8) if len(size) else 0
    for at in range(0, done, 8):  # words that all texts have
        found = mixed(found ^ words[start + at])
    open_ = np.flatnonzero(size > done)
    while len(open_):
        word = words[start[open_] + done]
        left = size[open_] - done
        word &= np.uint64(2**64 - 1) >> (8 * np.maximum(8 - left, 0)).astype(np.uint64)
        found[open_] = mixed(found[open_] ^ word)
        done += 8
        open_ = open_[left > 8]
    return found


def mixed(bits: Bits) -> Bits:
    """A bijection of 64-bit words whose outputs look independent."""
    bits = bits + GOLDEN
    bits = (bits ^ (bits >> np.uint64(30))) * FACTORS[0]
    bits = (bits ^ (bits >> np.uint64(27))) * FACTORS[1]
    return bits ^ (bits >> np.uint64(31))
