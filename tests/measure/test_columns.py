"""Columns of predictions: missing, renamed, doubled, of every type, other in every file."""

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calhard.errors import InputError
from calhard.history.convert import ColumnError
from calhard.measure.columns import plan_predictions
from tests.history.reading import plan_of, write
from tests.history.test_sources import csv, ipc
from tests.history.test_types import FLOATS, INTEGERS, TEXT, as_type
from tests.measure.reading import log, read

WRITERS = [pytest.param(write, id="parquet"), pytest.param(ipc, id="ipc")]
STANDARD = {
    "model_id": pa.string(),
    "class_id": pa.string(),
    "timestamp": pa.timestamp("us"),
    "score": pa.float64(),
    "label": pa.bool_(),
}
OPTIONAL = {"weight": pa.float32(), "mask": pa.bool_(), "example_id": pa.int64()}


def columns_of(fields, mapping=None, folders=None):
    return plan_predictions(pa.schema(list(fields)), mapping or {}, folders or {})


def refused(fields, mapping=None):
    with pytest.raises(ColumnError) as told:
        columns_of(fields, mapping)
    return told.value


@pytest.mark.parametrize("name", STANDARD)
def test_a_missing_required_column_is_named_with_what_is_there(name):
    told = refused([f for f in STANDARD.items() if f[0] != name])
    assert f'column "{name}" is missing; found ' in told.reason
    assert f'map it: [calibration.hardening.columns] {name} = "' in told.remedy


@pytest.mark.parametrize(
    ("wanted", "found"),
    [("score", "Score"), ("score", "scores"), ("label", "LABEL"), ("label", "labels")],
)
def test_a_renamed_or_differently_cased_column_is_named_with_its_remedy(wanted, found):
    fields = [(found if n == wanted else n, t) for n, t in STANDARD.items()]
    told = refused(fields)
    assert told.reason == f'column "{wanted}" is missing; found "{found}"'
    assert f'[calibration.hardening.columns] {wanted} = "{found}"' in told.remedy
    assert columns_of(fields, {wanted: found}).source[wanted] == found


def test_the_remedy_works_when_it_is_followed(tmp_path):
    names = {"score": "p", "label": "won", "weight": "w", "mask": "ok", "example_id": "game"}
    table = log(weight=[2.0] * 4, mask=[True] * 4, example_id=[1, 2, 3, 4])
    mapped = table.rename_columns([names.get(n, n) for n in table.schema.names])
    lines = [f'{name} = "{own}"' for name, own in names.items()]
    plan = plan_of("\n".join(["[calibration.hardening.columns]", *lines]))
    for writer, name in ((write, "p.parquet"), (csv, "p.csv")):
        found = read(writer(tmp_path / name, mapped), plan)
        assert found.told() == read(writer(tmp_path / f"own-{name}", table)).told()
        assert found.rows.weight.tolist() == [2.0] * 4


@pytest.mark.parametrize("name", [*STANDARD, "mask", "unused"])
def test_a_doubled_column_is_refused_by_name(name):
    fields = [*STANDARD.items(), ("mask", pa.bool_()), ("unused", pa.int64()), (name, pa.string())]
    assert refused(fields).reason == f'column "{name}" stands 2 times'


def test_a_mapped_column_that_is_not_there_is_named_as_mapped():
    told = refused(STANDARD.items(), {"label": "outcome"})
    assert told.reason.startswith('column "outcome" is missing; found ')
    assert columns_of(STANDARD.items(), {"weight": "nowhere"}).source.keys() == STANDARD.keys()


def test_a_folder_may_name_model_class_version_and_tags_but_no_score(tmp_path):
    bare = log().drop(["model_id", "class_id"])
    home = tmp_path / "p"
    write(home / "model_id=a%2Fb" / "class_id=x" / "night=3" / "1.parquet", bare)
    found = read(home)
    assert set(found.pairs) == {("a/b", "x")}
    assert found.tag("night") == ["3"] * 4
    folders = {"score": "1", "label": "1"}
    with pytest.raises(ColumnError, match='"score" is missing'):
        columns_of([f for f in STANDARD.items() if f[0] != "score"], folders=folders)


def test_text_without_another_meaning_is_a_tag_and_numbers_are_none():
    tags = [("region", pa.string()), ("team", pa.dictionary(pa.int8(), pa.string()))]
    others = [("latency", pa.float64()), ("aece", pa.float64()), ("tau", pa.string())]
    found = columns_of([*STANDARD.items(), *OPTIONAL.items(), *tags, *others])
    assert found.tags == ("region", "team")
    assert set(found.source) == {*STANDARD, *OPTIONAL, "region", "team"}


def test_a_name_that_the_history_needs_for_its_own_columns_is_no_tag():
    names = ("aece", "intercept", "top_label", "smooth_ece", "total_samples", "ecce_p")
    found = columns_of(
        [*STANDARD.items(), *((n, pa.string()) for n in names)], folders={"tau": "1"}
    )
    assert found.tags == ()
    assert set(found.source) == set(STANDARD)


def test_the_version_is_a_tag_whatever_it_looks_like(tmp_path):
    for writer, name in ((write, "p.parquet"), (csv, "p.csv")):
        found = read(writer(tmp_path / name, log(model_version=[1, 1, 2, 2])))
        assert found.tag("model_version") == ["1", "1", "2", "2"]


def test_tags_are_those_of_all_files_by_name(tmp_path):
    write(tmp_path / "p" / "1.parquet", log(b=["x"] * 4))
    write(tmp_path / "p" / "2.parquet", log(a=["y"] * 4))
    found = read(tmp_path / "p")
    assert found.predictions.tags == ("a", "b")
    assert found.tag("a") == [None] * 4 + ["y"] * 4
    assert found.tag("b") == ["x"] * 4 + [None] * 4


@settings(max_examples=150, deadline=None)
@given(
    st.permutations([*STANDARD.items(), *OPTIONAL.items(), ("tag", pa.large_string())]),
    st.lists(st.text(min_size=1), unique=True, max_size=3),
    st.sets(st.sampled_from([*STANDARD, *OPTIONAL])),
)
def test_a_schema_is_planned_whatever_its_order_or_refused_for_what_it_lacks(fields, more, dropped):
    known = {"tag", "model_version", "total_samples", "ingested_at", *STANDARD, *OPTIONAL}
    extra = [(name, pa.string()) for name in more if name not in known]
    kept = [f for f in [*fields, *extra] if f[0] not in dropped]
    if dropped & set(STANDARD):
        told = refused(kept)
        assert any(name in told.reason for name in dropped)
        assert told.remedy
        return
    found = columns_of(kept)
    names = {n for n, _ in kept}
    assert names - {"tau", "n_bins", "aece_minus_tau", "ece_debiased"} <= set(found.source)
    assert set(found.source) <= names
    assert set(found.tags) == set(found.source) - {*STANDARD, *OPTIONAL}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("kind", [*TEXT, *INTEGERS], ids=str)
def test_ids_and_examples_may_be_text_or_integers_of_every_kind(kind, writer, tmp_path):
    ids = [7, 7, 8, None]
    values = [None if i is None else str(i) for i in ids] if kind in TEXT else ids
    column = as_type(values, kind)
    table = log(example_id=column, model_id=as_type(values[:3] + values[:1], kind))
    found = read(writer(tmp_path / "p", table))
    expected = read(write(tmp_path / "text.parquet", log(example_id=["7", "7", "8", None])))
    assert found.rows.example.tolist() == expected.rows.example.tolist()
    assert found.rows.example[0] == found.rows.example[1] != found.rows.example[2]
    assert [m for m, _ in found.pairs] == ["7", "7", "8", "7"]


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("kind", [*FLOATS, pa.decimal128(9, 4), pa.decimal256(60, 4)], ids=str)
def test_numbers_of_every_kind_are_scores_labels_and_weights(kind, writer, tmp_path):
    halves = [0.5, 0.25, None, 1.0]
    values = [None if v is None else Decimal(v) for v in halves]
    column = pa.array(halves if not pa.types.is_decimal(kind) else values)
    column = column.dictionary_encode() if pa.types.is_dictionary(kind) else column.cast(kind)
    found = read(writer(tmp_path / "p", log(score=column, label=column, weight=column)))
    assert found.states == ["used", "used", "missing", "used"]
    for got in (found.rows.score, found.rows.label):
        assert np.array_equal(got, [0.5, 0.25, np.nan, 1.0], equal_nan=True)
    assert found.rows.weight.tolist() == [0.5, 0.25, 1.0, 1.0]


FLAG_TYPES = [pa.bool_(), *INTEGERS, *FLOATS, pa.dictionary(pa.int8(), pa.int64())]
FLAG_TYPES += [pa.decimal128(5, 2)]


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("kind", FLAG_TYPES, ids=str)
def test_labels_and_masks_may_be_booleans_or_numbers(kind, writer, tmp_path):
    plain = pa.array([1, 0, None, 1], pa.int8())
    column = plain.cast(kind.value_type if pa.types.is_dictionary(kind) else kind)
    column = column.dictionary_encode() if pa.types.is_dictionary(kind) else column
    found = read(writer(tmp_path / "p", log(label=column, mask=column)))
    assert found.states == ["used", "mismatch", "unlabelled", "used"]
    assert np.array_equal(found.rows.label, [1.0, 0.0, np.nan, 1.0], equal_nan=True)


@pytest.mark.parametrize("name", ["score", "label", "weight", "mask", "example_id"])
def test_an_all_null_column_is_there_and_says_nothing(name, tmp_path):
    for writer, file in ((write, "p.parquet"), (ipc, "p.arrow"), (csv, "p.csv")):
        found = read(writer(tmp_path / file, log(**{name: pa.nulls(4)})))
        expected = {"score": "missing", "label": "unlabelled"}.get(name, "used")
        assert found.states == [expected] * 4
        if name == "example_id":
            assert found.rows.example.tolist() == [-1] * 4


UNSOUND = [
    ("model_id", pa.array([1.5] * 4), "double", "text or integers"),
    ("class_id", pa.array([b"a"] * 4), "binary", "text or integers"),
    ("timestamp", pa.array(["2026-05-01"] * 4), "string", "timestamps, dates or integer seconds"),
    ("score", pa.array(["0.1"] * 4), "string", "numbers"),
    ("score", pa.array([True] * 4), "bool", "numbers"),
    ("score", pa.array([[0.1]] * 4), "list<", "numbers"),
    ("label", pa.array(["1"] * 4), "string", "booleans or numbers"),
    ("label", pa.array([{"v": 1}] * 4), "struct<", "booleans or numbers"),
    ("weight", pa.array(["1"] * 4), "string", "numbers"),
    ("weight", pa.array([True] * 4), "bool", "numbers"),
    ("mask", pa.array(["true"] * 4), "string", "booleans or numbers"),
    ("mask", pa.array([1] * 4, pa.date32()), "date32", "booleans or numbers"),
    ("example_id", pa.array([0.5] * 4), "double", "text or integers"),
    ("example_id", pa.array([b"a"] * 4), "binary", "text or integers"),
    ("model_version", pa.array([["1"]] * 4), "list<", "text"),
]


@pytest.mark.parametrize(("name", "column", "kind", "expected"), UNSOUND)
def test_an_unsound_type_is_refused_with_column_type_and_remedy(
    name, column, kind, expected, tmp_path
):
    write(tmp_path / "p" / "bad.parquet", log(**{name: column}))
    write(tmp_path / "p" / "good.parquet", log())
    found = read(tmp_path / "p")
    reason, remedy = found.account.files["bad.parquet"]
    assert reason.startswith(f'column "{name}" holds {kind}')
    assert f"expected {expected}" in reason
    assert f'table["{name}"].cast' in remedy
    assert found.states == ["used"] * 4


EVOLUTIONS = {
    "an added weight": {"weight": [0.5] * 4},
    "an added mask": {"mask": [True] * 4},
    "an added example": {"example_id": ["e"] * 4},
    "an added tag": {"region": ["n"] * 4},
    "booleans for numbers": {"label": [True, False, True, True]},
    "narrower scores": {"score": pa.array([0.5] * 4, pa.float32())},
    "text for an unused column": {"latency": ["fast"] * 4},
}


@pytest.mark.parametrize("change", EVOLUTIONS)
def test_files_may_differ_in_what_loses_nothing(change, tmp_path):
    write(tmp_path / "p" / "1.parquet", log(latency=[1.0] * 4))
    later = log(**EVOLUTIONS[change])
    write(tmp_path / "p" / "2.parquet", later.select(later.schema.names[::-1]))
    found = read(tmp_path / "p")
    assert not found.account.files
    assert found.states == ["used"] * 8
    alone = read(tmp_path / "p" / "2.parquet").rows
    assert found.rows.score[4:].tolist() == alone.score.tolist()
    assert found.rows.label[4:].tolist() == alone.label.tolist()
    assert (found.rows.weight is None) == (alone.weight is None)
    if alone.weight is not None:
        assert found.rows.weight.tolist() == [1.0] * 4 + [0.5] * 4
    if alone.example is not None:
        assert found.rows.example.tolist() == [-1] * 4 + alone.example.tolist()


def test_a_log_of_nothing_readable_names_each_file(tmp_path):
    write(tmp_path / "p" / "a.parquet", log(score=["x"] * 4))
    (tmp_path / "p" / "b.csv").touch()
    (tmp_path / "p" / "c.txt").touch()
    with pytest.raises(InputError) as told:
        read(tmp_path / "p")
    assert "none of 3 file(s) can be measured" in str(told.value)
    assert 'a.parquet: column "score" holds string; expected numbers' in str(told.value)
    assert "b.csv: cannot be read" in str(told.value)
    assert "c.txt: not Parquet" in str(told.value)


def test_a_dictionary_with_the_same_word_twice_names_one_model_and_one_example(tmp_path):
    twin = pa.DictionaryArray.from_arrays(pa.array([0, 1] * 2), pa.array(["a", "a"]))
    found = read(ipc(tmp_path / "p.arrow", log(model_id=twin, example_id=twin)))
    assert set(found.pairs) == {("a", "c")}
    assert len(set(found.rows.example.tolist())) == 1
