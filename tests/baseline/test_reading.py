"""Baseline files: what is read, and what is refused with its file, column, row and remedy."""

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import csv

from calhard.errors import ConfigError
from calhard.history import read_baseline
from calhard.judge.pinned import PinnedBaselines
from calhard.plan import AuditPlan
from tests.baseline.fleets import pins

PLAN = AuditPlan()
GOOD = pins(
    ("b", "1", {"aece": 0.012, "aece_standard_error": 0.001, "alpha": 0.5}),
    ("a", "2", {"aece": 0.020, "alpha": None}),
    ("a", "1", {"aece": None, "alpha": 1.0}),
)


def write_parquet(table, path):
    pq.write_table(table, path)


def write_ipc(table, path):
    with pa.ipc.new_file(path, table.schema) as sink:
        sink.write_table(table)


def write_csv(table, path):
    csv.write_csv(table, path)


WRITERS = [(write_parquet, "f.parquet"), (write_ipc, "f.arrow"), (write_csv, "f.csv")]


def refused(tmp_path, text):
    path = tmp_path / "pins.csv"
    path.write_text(text)
    with pytest.raises(ConfigError) as e:
        read_baseline(path, PLAN)
    assert e.value.exit_code == 2
    assert str(path) in str(e.value)
    return str(e.value)


@pytest.mark.parametrize(("write", "name"), WRITERS)
def test_every_container_gives_the_same_pins(write, name, tmp_path):
    write(GOOD, tmp_path / name)
    found = read_baseline(tmp_path / name, PLAN)
    assert found.metrics == ("aece", "alpha")
    assert found.table["model_id"].to_pylist() == ["a", "a", "b"]
    assert found.table["class_id"].to_pylist() == ["1", "2", "1"]
    np.testing.assert_array_equal(found.table["aece"], [np.nan, 0.020, 0.012])
    np.testing.assert_array_equal(found.table["aece_standard_error"], [0.0, 0.0, 0.001])
    np.testing.assert_array_equal(found.table["alpha"], [1.0, np.nan, 0.5])


def test_the_hash_is_that_of_the_files_bytes(tmp_path):
    write_parquet(GOOD, tmp_path / "f.parquet")
    expected = hashlib.sha256((tmp_path / "f.parquet").read_bytes()).hexdigest()
    assert read_baseline(tmp_path / "f.parquet", PLAN).sha256 == expected


def test_a_uri_and_a_name_without_a_suffix_are_read(tmp_path):
    write_parquet(GOOD, tmp_path / "agreed")
    found = read_baseline((tmp_path / "agreed").as_uri(), PLAN)
    assert found.table.num_rows == 3


def test_groups_get_their_own_pins_and_others_none(tmp_path):
    write_parquet(GOOD, tmp_path / "f.parquet")
    found = read_baseline(tmp_path / "f.parquet", PLAN).of(["a", "b", "b"], ["2", "1", "2"])
    np.testing.assert_array_equal(found["aece"].value, [0.020, 0.012, np.nan])
    np.testing.assert_array_equal(found["aece"].error, [0.0, 0.001, 0.0])
    np.testing.assert_array_equal(found["alpha"].value, [np.nan, 0.5, np.nan])


def test_no_group_needs_no_pin(tmp_path):
    write_parquet(GOOD, tmp_path / "f.parquet")
    assert read_baseline(tmp_path / "f.parquet", PLAN).of([], []) == {}


WORDS = st.text("ab\x00é😀\uffff", min_size=1, max_size=3)
PAIRS = st.sets(st.tuples(WORDS, WORDS), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(pinned=PAIRS, asked=PAIRS)
def test_a_lookup_is_that_of_a_dictionary(pinned, asked):
    ordered, groups = sorted(pinned), sorted(asked)
    values = {key: float(i) for i, key in enumerate(ordered)}
    table = pa.table(
        {
            "model_id": [m for m, _ in ordered],
            "class_id": [c for _, c in ordered],
            "aece": list(values.values()),
            "aece_standard_error": [0.0] * len(ordered),
        }
    )
    found = PinnedBaselines(table, ("aece",), "").of(*zip(*groups, strict=True))
    expected = [values.get(key, np.nan) for key in groups]
    np.testing.assert_array_equal(found["aece"].value, expected)


def test_numbers_as_ids_and_as_values_are_read(tmp_path):
    table = pa.table({"model_id": [7], "class_id": [1], "alpha": pa.array([2], pa.int32())})
    write_parquet(table, tmp_path / "f.parquet")
    found = read_baseline(tmp_path / "f.parquet", PLAN)
    assert found.of(["7"], ["1"])["alpha"].value.tolist() == [2.0]


def test_ids_that_look_like_numbers_stay_text_in_csv(tmp_path):
    (tmp_path / "f.csv").write_text("model_id,class_id,aece\n007,1.0,0.02\n")
    found = read_baseline(tmp_path / "f.csv", PLAN)
    assert found.of(["007"], ["1.0"])["aece"].value.tolist() == [0.02]


def test_the_plans_column_names_apply_and_canonical_ones_do_too(tmp_path):
    plan = AuditPlan(columns={"model_id": "model", "aece": "ece"})
    (tmp_path / "f.csv").write_text("model,class_id,ece,ece_standard_error\nm,c,0.02,0.001\n")
    found = read_baseline(tmp_path / "f.csv", plan).of(["m"], ["c"])["aece"]
    assert (found.value.tolist(), found.error.tolist()) == ([0.02], [0.001])
    (tmp_path / "g.csv").write_text("model_id,class_id,aece\nm,c,0.02\n")
    assert read_baseline(tmp_path / "g.csv", plan).metrics == ("aece",)


def test_declared_metrics_can_be_pinned(tmp_path):
    plan = AuditPlan.from_text(
        '[calibration.hardening.metrics.brier]\nbound = "drift"\nthreshold = 0.02\n'
    )
    (tmp_path / "f.csv").write_text("model_id,class_id,brier\nm,c,0.2\n")
    assert read_baseline(tmp_path / "f.csv", plan).metrics == ("brier",)
    with pytest.raises(ConfigError, match="no column of a metric"):
        read_baseline(tmp_path / "f.csv", PLAN)


def test_rows_that_repeat_each_other_count_once(tmp_path):
    (tmp_path / "f.csv").write_text("model_id,class_id,aece,alpha\nm,c,0.02,\nm,c,0.02,\n")
    found = read_baseline(tmp_path / "f.csv", PLAN)
    assert (found.table.num_rows, found.duplicates) == (1, 1)


ROWS = [
    ("m,c,nan,", 'column "aece", row 2: not finite; pin a number'),
    ("m,c,inf,", 'column "aece", row 2: not finite'),
    ("m,c,-0.01,", r'column "aece", row 2: outside [0, 1]; pin a value'),
    ("m,c,1.01,", r'column "aece", row 2: outside [0, 1]'),
    ("m,c,0.02,-1", 'column "aece_standard_error", row 2: negative or not finite; a standard'),
    ("m,c,0.02,nan", 'column "aece_standard_error", row 2: negative or not finite'),
    ("m,c,,0.01", 'column "aece_standard_error", row 2: has no "aece"; pin the value'),
    (",c,0.02,", 'column "model_id", row 2: null or empty; give every row its key'),
    ("m,,0.02,", 'column "class_id", row 2: null or empty'),
    ("x,y,0.03,", "column \"aece\", rows 1 and 2: both are 'x' / 'y' and disagree; keep one row"),
    ("x,y,,", 'column "aece", rows 1 and 2'),
]


@pytest.mark.parametrize(("row", "told"), ROWS)
def test_a_bad_row_is_refused_with_its_column_row_and_remedy(row, told, tmp_path):
    text = f"model_id,class_id,aece,aece_standard_error\nx,y,0.02,\n{row}\n"
    assert told in refused(tmp_path, text)


def test_all_problems_are_told_at_once(tmp_path):
    text = "model_id,class_id,aece,alpha\n,c,0.1,inf\nm,c,7,1\nm,d,8,\nx,y,.1,1\nx,y,.1,2\n"
    told = refused(tmp_path, text)
    assert [line.split(":")[0] for line in told.splitlines()[1:]] == [
        '  column "model_id", row 1',
        '  column "aece", row 2 (and 1 more)',
        '  column "alpha", row 1',
        '  column "alpha", rows 4 and 5',
    ]


FILES = [
    ("class_id,aece\nc,0.1\n", 'column "model_id" is missing; found class_id, aece; add it'),
    ("model_id,aece\nm,0.1\n", 'column "class_id" is missing'),
    ("model_id,class_id,aeec\nm,c,0.1\n", "no column of a metric; expected at least one of aece"),
    ("model_id,class_id,aece_standard_error\nm,c,1\n", "no column of a metric"),
    (
        "model_id,class_id,alpha,aece_standard_error\nm,c,1,1\n",
        'column "aece_standard_error" has no column "aece" beside it; add it',
    ),
    ("model_id,class_id,aece,aece\nm,c,0.1,0.1\n", 'column "aece" stands twice; drop one'),
    ("model_id,class_id,aece\n", "has no row; write one for every model and class"),
    (
        "model_id,class_id,aece\nm,c,0.1\nm,d,high\n",
        "cannot be read: row 2: column \"aece\" holds 'high', which is no number; mend the cell",
    ),
    ("", "is empty"),
]


@pytest.mark.parametrize(("text", "told"), FILES)
def test_an_unusable_file_is_refused_with_its_column_and_remedy(text, told, tmp_path):
    assert told in refused(tmp_path, text)


def test_a_file_of_empty_cells_pins_nothing_and_is_refused(tmp_path):
    assert "pins nothing" in refused(tmp_path, "model_id,class_id,aece\nm,c,\n")


def test_text_where_numbers_belong_is_refused_with_a_line_that_mends_it(tmp_path):
    table = pa.table({"model_id": ["m"], "class_id": ["c"], "aece": ["0.02"]})
    write_parquet(table, tmp_path / "f.parquet")
    with pytest.raises(ConfigError, match=r'column "aece" holds string; expected numbers; cast it'):
        read_baseline(tmp_path / "f.parquet", PLAN)


@pytest.mark.parametrize(("write", "name"), WRITERS[:2])
@pytest.mark.parametrize("share", [1 / 8, 1 / 2, 7 / 8])
def test_a_truncated_file_is_refused(write, name, share, tmp_path):
    write(GOOD, tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ConfigError, match="cannot be read"):
        read_baseline(tmp_path / name, PLAN)


def test_garbage_under_a_good_name_is_refused(tmp_path):
    (tmp_path / "f.parquet").write_bytes(np.random.default_rng(0).bytes(4_096))
    with pytest.raises(ConfigError, match=r"f\.parquet cannot be read.*write the file again"):
        read_baseline(tmp_path / "f.parquet", PLAN)


def test_a_flipped_byte_is_found_by_its_checksum(tmp_path):
    rows = [(f"m{i}", "c", {"aece": i / 1_000}) for i in range(500)]
    path = tmp_path / "f.parquet"
    pq.write_table(pins(*rows), path, write_page_checksum=True, compression="none")
    content = bytearray(path.read_bytes())
    place = content.find(np.float64(0.123).tobytes())
    assert place > 0
    content[place] ^= 0x10
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_baseline(path, PLAN)


def test_names_that_are_no_utf8_are_refused(tmp_path):
    (tmp_path / "f.csv").write_bytes(b"model_id,class_id,aece\n\xff\xfe,c,0.1\n")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_baseline(tmp_path / "f.csv", PLAN)


@pytest.mark.parametrize("name", ["missing.csv", "s4://bucket/pins.csv"])
def test_what_is_not_there_is_refused(name, tmp_path):
    source = name if "://" in name else tmp_path / name
    with pytest.raises(ConfigError, match="check the path of --baseline"):
        read_baseline(source, PLAN)


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="is a folder; name the file in it"):
        read_baseline(tmp_path, PLAN)
