"""Columns that are missing, renamed, doubled or differ between files (faults 4 and 6)."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calhard.history.columns import plan_columns
from calhard.history.convert import ColumnError
from tests.history.reading import plan_of, read, rows, write

METRICS = ["aece", "dece"]
STANDARD = {"model_id": pa.string(), "class_id": pa.string(), "timestamp": pa.timestamp("us")}
STANDARD |= {"aece": pa.float64()}


def columns_of(fields, mapping=None, folders=None):
    return plan_columns(pa.schema(list(fields)), mapping or {}, METRICS, folders or {})


@pytest.mark.parametrize("name", ["model_id", "class_id", "timestamp"])
def test_a_missing_required_column_is_named_with_what_is_there(name):
    fields = [f for f in STANDARD.items() if f[0] != name]
    with pytest.raises(ColumnError) as told:
        columns_of(fields)
    assert f'column "{name}" is missing; found ' in told.value.reason
    assert all(other in told.value.reason for other, _ in fields if other != name)
    assert f'{name} = "your_column"' in told.value.remedy or "map it" in told.value.remedy


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        *(("model_id", "modelid"), ("model_id", "MODEL_ID"), ("class_id", "Class_Id")),
        *(("timestamp", "time_stamp"), ("timestamp", "TimeStamp")),
    ],
)
def test_a_renamed_or_differently_cased_column_is_named_with_its_remedy(wanted, found):
    fields = [(found if n == wanted else n, t) for n, t in STANDARD.items()]
    with pytest.raises(ColumnError) as told:
        columns_of(fields)
    assert told.value.reason == f'column "{wanted}" is missing; found "{found}"'
    assert f'[calibration.hardening.columns] {wanted} = "{found}"' in told.value.remedy
    assert columns_of(fields, {wanted: found}).source[wanted] == found


def test_the_remedy_works_when_it_is_followed(tmp_path):
    table = rows().rename_columns(["ModelId", "class_id", "timestamp", "aece"])
    path = write(tmp_path / "h.parquet", table)
    plan = plan_of('[calibration.hardening.columns]\nmodel_id = "ModelId"')
    assert read(path, plan).account.rows == 16


@pytest.mark.parametrize("name", [*STANDARD, "unused"])
def test_a_doubled_column_is_refused_by_name(name):
    fields = [*STANDARD.items(), ("unused", pa.int64()), (name, pa.string())]
    with pytest.raises(ColumnError, match=f'column "{name}" stands 2 times') as told:
        columns_of(fields)
    assert told.value.remedy


def test_a_mapped_column_that_is_not_there_is_named_as_mapped():
    with pytest.raises(ColumnError, match='column "model" is missing; found "model_id"'):
        columns_of(STANDARD.items(), {"model_id": "model"})


def test_without_any_metric_the_known_ones_are_named():
    with pytest.raises(ColumnError, match="expected at least one of aece, error; found model_id"):
        columns_of(list(STANDARD.items())[:3], {"dece": "error"})


def test_one_column_may_serve_two_metrics():
    found = columns_of(STANDARD.items(), {"dece": "aece"})
    assert found.metrics == ("aece", "dece")
    assert found.needed == ["model_id", "class_id", "timestamp", "aece"]


@settings(max_examples=150, deadline=None)
@given(
    st.permutations([*STANDARD.items(), ("tag", pa.large_string()), ("n_bins", pa.int64())]),
    st.lists(st.text(min_size=1), unique=True, max_size=3),
    st.sets(st.sampled_from(list(STANDARD))),
)
def test_a_schema_is_planned_whatever_its_order_or_refused_for_what_it_lacks(fields, more, dropped):
    known = {"tag", "n_bins", *STANDARD}
    extra = [(name, pa.string()) for name in more if name not in known]
    kept = [f for f in [*fields, *extra] if f[0] not in dropped]
    if dropped:
        with pytest.raises(ColumnError) as told:
            columns_of(kept)
        assert any(name in told.value.reason for name in dropped)
        assert told.value.remedy
        return
    found = columns_of(kept)
    assert set(found.source) == {*STANDARD, "tag", *(n for n, _ in extra if n not in NOT_TAGS)}
    assert found.tags == tuple(n for n, _ in kept if n in found.tags)


NOT_TAGS = {"total_samples", "tau", "aece_minus_tau", "ece_debiased", "ingested_at", "dece"}


EVOLUTIONS = {
    "an added metric": {"dece": [0.5] * 16},
    "an added tag": {"region": ["n"] * 16},
    "wider integers": {"total_samples": pa.array(range(16), pa.int32())},
    "narrower integers": {"total_samples": pa.array(range(16), pa.int16())},
    "text for an unused column": {"n_bins": ["15"] * 16},
}


@pytest.mark.parametrize("change", EVOLUTIONS)
def test_files_may_differ_in_what_loses_nothing(change, tmp_path):
    wide = pa.array(range(16), pa.int64())
    write(tmp_path / "h" / "1.parquet", rows(("a", "b"), total_samples=wide))
    later = rows(("c", "d"), **EVOLUTIONS[change])
    write(tmp_path / "h" / "2.parquet", later.select(later.schema.names[::-1]))
    found = read(tmp_path / "h")
    assert not found.account.files
    assert found.account.rows == 32
    alone = read(tmp_path / "h" / "2.parquet").groups
    for key, group in alone.items():
        assert found.groups[key].of("aece") == group.of("aece")
        assert found.groups[key].samples == group.samples


def test_integers_and_text_of_the_same_name_are_one_model(tmp_path):
    write(tmp_path / "h" / "1.parquet", rows((7,), n=2))
    write(tmp_path / "h" / "2.parquet", rows(("7",), classes=("z",)))
    assert list(read(tmp_path / "h").groups) == [("7", "x"), ("7", "y"), ("7", "z")]


def test_only_the_file_whose_type_conflicts_is_refused(tmp_path):
    write(tmp_path / "h" / "1.parquet", rows())
    write(tmp_path / "h" / "2.parquet", rows(("c",), aece=["0.1"] * 8))
    found = read(tmp_path / "h")
    assert list(found.account.files) == ["2.parquet"]
    assert {m for m, _ in found.groups} == {"a", "b"}
