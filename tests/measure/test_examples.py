"""Fingerprints of examples: equal ids have equal codes, wherever they stand."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calhard.history.convert import ColumnError
from calhard.measure.examples import example_codes
from calhard.measure.rows import NO_EXAMPLE
from tests.history.test_names import raw_names

MASK = 2**64 - 1


def mixed(bits):
    """SplitMix64, in integers of any size."""
    bits = (bits + 0x9E3779B97F4A7C15) & MASK
    bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & MASK
    return bits ^ (bits >> 31)


def literal(word):
    """The documented chain over a text's length and its words of eight bytes."""
    if not word:
        return NO_EXAMPLE
    found = mixed(len(word))
    for at in range(0, len(word), 8):
        found = mixed(found ^ int.from_bytes(word[at : at + 8].ljust(8, b"\0"), "little"))
    return found >> 1


WORDS = st.none() | st.text(max_size=40) | st.text(alphabet="ab", max_size=20)


@settings(max_examples=200, deadline=None)
@given(st.lists(WORDS, max_size=20), st.integers(0, 5), st.integers(0, 5))
def test_codes_are_those_of_the_literal_chain_wherever_an_array_is_cut(words, before, after):
    expected = [literal((w or "").encode()) for w in words]
    padded = ["x" * 9] * before + words + ["y"] * after
    for kind in (pa.string(), pa.large_string(), pa.string_view()):
        column = pa.array(padded, kind).slice(before, len(words))
        assert example_codes(column).tolist() == expected
    column = pa.array(padded, pa.string()).dictionary_encode().slice(before, len(words))
    assert example_codes(column).tolist() == expected


@given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), max_size=20))
def test_integers_are_the_ids_of_their_decimal_text(values):
    text = pa.array([None if v is None else str(v) for v in values], pa.string())
    assert example_codes(pa.array(values, pa.int64())).tolist() == example_codes(text).tolist()


def test_a_hundred_thousand_ids_have_as_many_codes():
    names = [f"example-{i:08d}" for i in range(100_000)] + [f"{i}" for i in range(100_000)]
    codes = example_codes(pa.array(names))
    assert len(np.unique(codes)) == 200_000
    assert codes.dtype == np.int64
    assert codes.min() >= 0
    low = np.bincount(codes & 1023, minlength=1024)
    assert abs(low - 200_000 / 1024).max() < 6 * np.sqrt(200_000 / 1024)


def test_ids_that_differ_in_length_or_in_one_bit_have_other_codes():
    ids = [b"a" * n for n in range(1, 70)] + [b"\0" * n for n in range(1, 70)]
    ids += [bytes([1 << bit]) + b"\0" * 20 for bit in range(7)]
    codes = example_codes(pa.array(ids, pa.binary()).view(pa.string()))
    assert len(set(codes.tolist())) == len(ids)


def test_ids_that_are_not_utf8_or_very_long_are_ids_like_any_other():
    names = raw_names([b"\xff", b"\xff", b"\xfe", b"z" * 65_536, b"z" * 65_535])
    codes = example_codes(names).tolist()
    assert codes == [literal(w) for w in (b"\xff", b"\xff", b"\xfe", b"z" * 65_536, b"z" * 65_535)]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([], pa.string()),
        pa.array([], pa.int64()),
        pa.nulls(0),
        pa.array([None, ""], pa.string()),
        pa.nulls(2),
        pa.nulls(2, pa.dictionary(pa.int8(), pa.string())),
        pa.DictionaryArray.from_arrays(pa.array([0, 0]), pa.nulls(1)),
        pa.DictionaryArray.from_arrays(pa.array([0, 1]), pa.array(["", None])),
    ],
    ids=str,
)
def test_null_and_empty_ids_are_none(column):
    assert example_codes(column).tolist() == [NO_EXAMPLE] * len(column)


def test_an_index_outside_of_its_dictionary_is_damage():
    column = pa.DictionaryArray.from_arrays(pa.array([0, 5]), pa.array(["a"]), safe=False)
    with pytest.raises(ColumnError, match="outside of its dictionary"):
        example_codes(column)


def test_codes_are_the_same_in_another_process():
    code = (
        "import pyarrow as pa; from calhard.measure.examples import example_codes;"
        "print(example_codes(pa.array(['game 7', 'ü'])).tolist())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == str([literal(b"game 7"), literal("ü".encode())]), done.stderr
