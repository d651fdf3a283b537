"""Every Arrow type that can hold a column is read without loss; the others are refused by name."""

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from calhard.errors import InputError
from tests.history.reading import UTC_US, hours, read, rows, write
from tests.history.test_sources import ipc

TEXT = [
    pa.string(),
    pa.large_string(),
    pa.string_view(),
    pa.dictionary(pa.int8(), pa.string()),
    pa.dictionary(pa.int32(), pa.large_string()),
    pa.dictionary(pa.uint32(), pa.string()),
]
INTEGERS = [pa.int8(), pa.int16(), pa.int32(), pa.int64()]
INTEGERS += [pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]
WRITERS = [pytest.param(write, id="parquet"), pytest.param(ipc, id="ipc")]


def as_type(values, kind):
    column = pa.array(values)
    if pa.types.is_dictionary(kind):
        encoded = column.dictionary_encode()
        return pa.DictionaryArray.from_arrays(
            encoded.indices.cast(kind.index_type), encoded.dictionary.cast(kind.value_type)
        )
    return column.cast(kind)


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("kind", TEXT, ids=str)
def test_text_of_every_kind_names_models_classes_and_tags(kind, writer, tmp_path):
    table = rows(region=["n", None, "s", "s"] * 4)
    for name in ("model_id", "class_id", "region"):
        table = table.set_column(
            table.schema.get_field_index(name), name, as_type(table[name].to_pylist(), kind)
        )
    found = read(writer(tmp_path / "h", table))
    assert list(found.groups) == [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y")]
    assert found.groups["b", "y"].tags == {"region": "s"}
    assert found.account.rows == 16


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("kind", [*INTEGERS, pa.dictionary(pa.int8(), pa.int64())], ids=str)
def test_integers_name_models_and_classes_in_the_order_of_their_text(kind, writer, tmp_path):
    table = rows(
        model_id=as_type([2] * 8 + [10] * 8, kind), class_id=as_type(([1] * 4 + [0] * 4) * 2, kind)
    )
    found = read(writer(tmp_path / "h", table))
    assert list(found.groups) == [("10", "0"), ("10", "1"), ("2", "0"), ("2", "1")]
    assert found.account.rows == 16


@pytest.mark.parametrize("index", [[0, None, 0, 2] * 4, [0, 1, 2, 0] * 4], ids=["row", "word"])
def test_null_and_empty_ids_are_refused_where_ever_the_null_stands(index, tmp_path):
    words = pa.array(["a", None, ""])
    column = pa.DictionaryArray.from_arrays(pa.array(index, pa.uint8()), words)
    table = rows(model_id=column, timestamp=pa.array(hours(16), UTC_US))
    found = read(ipc(tmp_path / "h.arrow", table))
    assert found.counts() == {"model_id is null or empty": 8}
    assert found.account.rows == 8


FLOATS = [pa.float16(), pa.float32(), pa.float64(), pa.dictionary(pa.int8(), pa.float64())]
DECIMALS = [pa.decimal128(9, 4), pa.decimal256(60, 4), pa.decimal32(9, 4), pa.decimal64(18, 4)]


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("kind", FLOATS, ids=str)
def test_floats_of_every_width_are_read(kind, writer, tmp_path):
    halves = [0.5, 0.25, None, 0.125] * 4
    column = pa.array(np.array(halves, object), pa.float64())
    column = column.dictionary_encode() if pa.types.is_dictionary(kind) else column.cast(kind)
    found = read(writer(tmp_path / "h", rows(aece=column))).groups["a", "x"].of("aece")
    assert found[0::2][:1] == [0.5]
    assert np.isnan(found[2])
    assert [found[1], found[3]] == [0.25, 0.125]


@pytest.mark.parametrize("kind", [*INTEGERS, *DECIMALS], ids=str)
def test_integers_and_decimals_are_numbers(kind, tmp_path):
    values = [Decimal(i) if pa.types.is_decimal(kind) else i for i in range(16)]
    column = pa.array(values, kind)
    found = read(write(tmp_path / "h.parquet", rows(aece=column, total_samples=column)))
    assert found.groups["a", "y"].of("aece") == [4.0, 5.0, 6.0, 7.0]
    assert np.frombuffer(found.groups["a", "y"].samples).tolist() == [4.0, 5.0, 6.0, 7.0]


@pytest.mark.parametrize(
    "kind", [pa.null(), pa.float64(), pa.int32(), pa.decimal128(9, 4)], ids=str
)
def test_an_all_null_metric_is_present_and_missing_in_every_slot(kind, tmp_path):
    found = read(write(tmp_path / "h.parquet", rows(dece=pa.nulls(16, kind))))
    assert "dece" in found.history.metrics
    assert np.isnan(found.groups["a", "x"].of("dece")).all()


@pytest.mark.parametrize("name", ["model_id", "class_id", "timestamp"])
def test_rows_of_an_all_null_key_are_refused_one_by_one(name, tmp_path):
    found = read(write(tmp_path / "h.parquet", rows(**{name: pa.nulls(16)})))
    assert found.account.rows == 0
    assert sum(found.counts().values()) == 16
    assert all(name in reason for reason in found.counts())


UNSOUND = [
    ("model_id", pa.array([1.5] * 16), "double", "text or integers"),
    ("model_id", pa.array([b"a"] * 16), "binary", "text or integers"),
    ("class_id", pa.array([["a"]] * 16), "list<", "text or integers"),
    ("class_id", pa.array([True] * 16), "bool", "text or integers"),
    ("timestamp", pa.array(["2026-05-01"] * 16), "string", "timestamps, dates or integer seconds"),
    ("timestamp", pa.array([1.7e9] * 16), "double", "timestamps, dates or integer seconds"),
    ("timestamp", pa.array([5] * 16, pa.duration("s")), "duration", "timestamps, dates or integer"),
    ("timestamp", pa.array([5] * 16, pa.time32("s")), "time32", "timestamps, dates or integer"),
    ("aece", pa.array(["0.1"] * 16), "string", "numbers"),
    ("aece", pa.array([[0.1]] * 16), "list<", "numbers"),
    ("aece", pa.array([{"v": 0.1}] * 16), "struct<", "numbers"),
    ("aece", pa.array([True] * 16), "bool", "numbers"),
    ("total_samples", pa.array(["many"] * 16), "string", "numbers"),
    ("model_version", pa.array([["1"]] * 16), "list<", "text"),
]


@pytest.mark.parametrize(("name", "column", "kind", "expected"), UNSOUND)
def test_an_unsound_type_is_refused_with_column_type_and_remedy(
    name, column, kind, expected, tmp_path
):
    write(tmp_path / "h" / "bad.parquet", rows(**{name: column}))
    write(tmp_path / "h" / "good.parquet", rows())
    found = read(tmp_path / "h")
    reason, remedy = found.account.files["bad.parquet"]
    assert reason.startswith(f'column "{name}" holds {kind}')
    assert f"expected {expected}" in reason
    assert f'table["{name}"].cast' in remedy
    assert found.account.rows == 16


def test_timestamps_may_be_a_dictionary(tmp_path):
    plain = rows()
    encoded = plain["timestamp"].combine_chunks().dictionary_encode()
    found = read(ipc(tmp_path / "h.arrow", rows(timestamp=encoded)))
    assert found.groups == read(write(tmp_path / "h.parquet", plain)).groups


def test_a_dictionary_with_the_same_word_twice_names_one_model(tmp_path):
    twin = pa.DictionaryArray.from_arrays(pa.array([0, 1] * 8), pa.array(["a", "a"]))
    table = rows(model_id=twin, timestamp=pa.array(hours(16), UTC_US))
    found = read(ipc(tmp_path / "h.arrow", table))
    assert list(found.groups) == [("a", "x"), ("a", "y")]
    assert found.account.rows == 16


def test_a_dictionary_much_larger_than_its_rows_is_read(tmp_path):
    words = pa.array([f"m{i}" for i in range(50_000)])
    index = pa.array([49_999, None, 7, 7] * 4, pa.int32())
    table = rows(model_id=pa.DictionaryArray.from_arrays(index, words))
    found = read(ipc(tmp_path / "h.arrow", table))
    assert {m for m, _ in found.groups} == {"m7", "m49999"}
    assert found.counts()["model_id is null or empty"] == 4


def test_a_history_of_nothing_readable_names_each_file(tmp_path):
    write(tmp_path / "h" / "a.parquet", rows(aece=["x"] * 16))
    (tmp_path / "h" / "b.csv").touch()
    with pytest.raises(InputError) as told:
        read(tmp_path / "h")
    assert "none of 2 file(s)" in str(told.value)
    assert 'a.parquet: column "aece" holds string; expected numbers' in str(told.value)
    assert "b.csv: cannot be read" in str(told.value)
