"""Where a history may lie and how it may be laid out: the same rows, the same blocks."""

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest

from calhard.errors import InputError
from calhard.history import History
from calhard.plan import AuditPlan
from tests.blocks import AS_OF, HOUR
from tests.history.reading import plan_of, read, rows, write


def ipc(path, table, batch=3):
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=batch)
    return path


def csv(path, table):
    pacsv.write_csv(table, path)
    return path


@pytest.fixture
def table():
    return rows(total_samples=list(range(10, 26)), region=["n", None, "s", "s"] * 4)


@pytest.fixture
def expected(table, tmp_path):
    found = read(write(tmp_path / "expected" / "h.parquet", table))
    assert len(found.groups) == 4
    assert found.account.rows == 16
    return found.groups


@pytest.mark.parametrize(
    ("name", "writer"),
    [
        *((name, write) for name in ("h.parquet", "h.pq", "h.PARQUET", "h")),
        *((name, ipc) for name in ("h.arrow", "h.ipc", "h.feather", "h")),
        *((name, csv) for name in ("h.csv", "h")),
    ],
)
def test_every_container_gives_the_same_blocks(name, writer, table, expected, tmp_path):
    assert read(writer(tmp_path / name, table)).groups == expected


def test_a_folder_of_mixed_containers_is_one_history(table, expected, tmp_path):
    home = tmp_path / "h"
    write(home / "deep" / "er" / "a.parquet", table[:5])
    ipc(home / "b.arrow", table[5:9])
    csv(home / "c.csv", table[9:])
    (home / "_SUCCESS").touch()
    (home / ".hidden").mkdir()
    (home / ".hidden" / "x.parquet").write_text("no")
    (home / "_delta_log").mkdir()
    (home / "_delta_log" / "0.json").write_text("{}")
    found = read(home)
    assert found.groups == expected
    assert not found.account.files


def test_a_file_of_no_known_kind_is_refused_by_name(table, tmp_path):
    write(tmp_path / "h" / "a.parquet", table)
    (tmp_path / "h" / "README.md").write_text("hello")
    found = read(tmp_path / "h")
    assert list(found.account.files) == ["README.md"]
    assert "not Parquet" in found.account.files["README.md"][0]
    assert found.account.rows == 16


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_file_uri_is_a_path(slash, table, expected, tmp_path):
    write(tmp_path / "h" / "a.parquet", table)
    assert read(f"file://{tmp_path}/h{slash}").groups == expected


def test_a_filesystem_of_pyarrow_can_be_handed_in(table, expected, tmp_path):
    write(tmp_path / "h" / "a.parquet", table)
    inside = pafs.SubTreeFileSystem(str(tmp_path), pafs.LocalFileSystem())
    assert read("h", filesystem=inside).groups == expected


@pytest.mark.parametrize("source", ["nothing-here", "gopher://x/y", "file:///no/such/folder"])
def test_what_is_not_there_is_an_input_error_that_names_it(source, tmp_path):
    with pytest.raises(InputError, match=source):
        History.open(source if "://" in source else tmp_path / source, AuditPlan())


def test_an_empty_folder_says_what_was_looked_for(tmp_path):
    with pytest.raises(InputError, match="no Parquet, Arrow IPC or CSV file there"):
        History.open(tmp_path, AuditPlan())


def hive(home, table, *keys, names=None):
    """Write one file per combination of some columns' values, which their folders carry."""
    from urllib.parse import quote

    names = names or {}
    wanted = table.select(list(keys)).to_pylist()
    for number, combination in enumerate({tuple(r.values()) for r in wanted}):
        chosen = [i for i, r in enumerate(wanted) if tuple(r.values()) == combination]
        folders = [
            f"{names.get(k, k)}={quote(str(v), safe='')}"
            for k, v in zip(keys, combination, strict=True)
        ]
        write(home.joinpath(*folders, f"{number}.parquet"), table.take(chosen).drop(list(keys)))


@pytest.mark.parametrize("keys", [("model_id",), ("class_id",), ("model_id", "class_id")])
def test_folders_carry_ids(keys, table, expected, tmp_path):
    hive(tmp_path / "h", table, *keys)
    assert read(tmp_path / "h").groups == expected


def test_folders_carry_percent_encoded_names(tmp_path):
    table = rows(models=("a/b", "50%", "ü=x", " "), classes=("c d",))
    hive(tmp_path / "h", table, "model_id", "class_id")
    found = read(tmp_path / "h")
    assert {m for m, _ in found.groups} == {"a/b", "50%", "ü=x", " "}
    assert found.groups == read(write(tmp_path / "plain.parquet", table)).groups


def test_folders_carry_tags_and_versions(tmp_path):
    table = rows(region=["n"] * 8 + ["s"] * 8, model_version=["1", "1", "2", "2"] * 4)
    hive(tmp_path / "h", table, "region", "model_version")
    found = read(tmp_path / "h")
    assert found.groups == read(write(tmp_path / "plain.parquet", table)).groups
    assert found.groups["a", "x"].tags == {"region": "n", "model_version": "2"}
    assert found.groups["a", "x"].deployed_at == AS_OF - HOUR


def test_folders_are_mapped_as_columns_are(table, expected, tmp_path):
    hive(tmp_path / "h", table, "model_id", names={"model_id": "model"})
    plan = plan_of('[calibration.hardening.columns]\nmodel_id = "model"')
    assert read(tmp_path / "h", plan).groups == expected


def test_a_column_that_repeats_its_folder_is_no_tag(table, expected, tmp_path):
    for model in ("a", "b"):
        part = table.filter(pa.compute.equal(table["model_id"], model))
        write(tmp_path / "h" / f"model_id={model}" / "0.parquet", part)
    found = read(tmp_path / "h")
    assert found.history.tags == ("region",)
    assert found.groups == expected


def test_a_folder_never_carries_the_timestamp(table, expected, tmp_path):
    write(tmp_path / "h" / "timestamp=2026-05-31" / "a.parquet", table)
    assert read(tmp_path / "h").groups == expected
    write(tmp_path / "g" / "timestamp=2026-05-31" / "a.parquet", table.drop(["timestamp"]))
    with pytest.raises(InputError, match='"timestamp" is missing'):
        read(tmp_path / "g")


@pytest.mark.parametrize("folder", ["model_id=", "model_id=__HIVE_DEFAULT_PARTITION__"])
def test_a_folder_without_a_name_refuses_its_rows(folder, table, tmp_path):
    write(tmp_path / "h" / folder / "a.parquet", table.drop(["model_id"]))
    write(tmp_path / "h" / "model_id=m" / "a.parquet", table.drop(["model_id"])[:8])
    found = read(tmp_path / "h")
    assert found.counts()["model_id is null or empty"] == 16
    assert found.account.rows == 4 + 4
    assert {m for m, _ in found.groups} == {"m"}


def test_a_folder_whose_name_is_not_utf8_refuses_its_rows(table, tmp_path):
    write(tmp_path / "h" / "model_id=%FF" / "a.parquet", table.drop(["model_id"]))
    found = read(tmp_path / "h")
    assert found.counts() == {"id is not UTF-8": 16}
    assert not found.groups


def test_a_history_of_one_folder_per_model_is_planned_by_model(tmp_path):
    table = rows(models=[f"m{i}" for i in range(9)])
    hive(tmp_path / "h", table, "model_id")
    history = History.open(tmp_path / "h", AuditPlan())
    (spec,) = history.plan_shards()
    assert spec.ordered
    assert spec.rows == table.num_rows
    assert len(spec.pieces) == 9


def test_columns_are_mapped_through_the_plan(table, expected, tmp_path):
    plan = plan_of(
        """
        [calibration.hardening.columns]
        model_id = "model"
        class_id = "label"
        timestamp = "at"
        aece = "err"
        total_samples = "n"
        """
    )
    names = {"model_id": "model", "class_id": "label", "timestamp": "at", "aece": "err"}
    names |= {"total_samples": "n"}
    renamed = table.rename_columns([names.get(n, n) for n in table.schema.names])
    assert read(write(tmp_path / "h.parquet", renamed), plan).groups == expected
    assert read(csv(tmp_path / "h.csv", renamed), plan).groups == expected


def test_a_text_column_with_a_canonical_name_does_not_take_the_place_of_the_mapped_one(tmp_path):
    table = rows(model=["m", "n"] * 8, aece=["words"] * 16, err=[0.5] * 16)
    plan = plan_of('[calibration.hardening.columns]\nmodel_id = "model"\naece = "err"')
    found = read(write(tmp_path / "h.parquet", table), plan)
    assert {m for m, _ in found.groups} == {"m", "n"}
    assert set(found.groups["m", "x"].of("aece")) == {0.5}
    assert found.history.tags == ()


def test_declared_metrics_are_read_after_the_built_in_ones(tmp_path):
    plan = plan_of('[calibration.hardening.metrics.brier]\ndirection = "higher_is_worse"')
    found = read(write(tmp_path / "h.parquet", rows(brier=[0.25] * 16, dece=[0.1] * 16)), plan)
    assert found.history.metrics == ("aece", "dece", "brier")
    assert set(found.groups["a", "x"].of("brier")) == {0.25}


def test_an_undeclared_number_is_no_metric_and_no_tag(tmp_path):
    found = read(write(tmp_path / "h.parquet", rows(brier=[0.25] * 16)))
    assert found.history.metrics == ("aece",)
    assert found.history.tags == ()


def test_missing_metrics_are_named(tmp_path):
    history = read(write(tmp_path / "h.parquet", rows())).history
    assert history.missing_metrics == (
        *("dece", "alpha", "clamp_rate", "merged_bin_rate"),
        *("score_range_violations", "mask_mismatch_count"),
    )


def test_a_metric_that_only_some_files_hold_is_null_in_the_others(tmp_path):
    write(tmp_path / "h" / "a.parquet", rows(models=("a",), alpha=[0.5] * 8))
    write(tmp_path / "h" / "b.parquet", rows(models=("b",)))
    found = read(tmp_path / "h")
    assert found.history.metrics == ("aece", "alpha")
    assert found.groups["a", "x"].of("alpha") == [0.5] * 4
    assert np.isnan(found.groups["b", "x"].of("alpha")).all()


def test_a_group_has_the_latest_known_value_of_each_tag(tmp_path):
    table = rows(("a",), ("x",), region=["n", "s", None, ""], team=["t", None, None, None])
    tags = read(write(tmp_path / "h.parquet", table)).groups["a", "x"].tags
    assert tags == {"region": "s", "team": "t"}


def test_a_tag_that_no_row_knows_is_none(tmp_path):
    table = rows(("a",), ("x",), region=pa.nulls(4, pa.string()))
    assert read(write(tmp_path / "h.parquet", table)).groups["a", "x"].tags == {"region": None}


@pytest.mark.parametrize(
    ("versions", "changed"),
    [
        (["1", "1", "2", "2"], AS_OF - HOUR),
        (["1", "2", "1", "1"], AS_OF - HOUR),
        (["1", None, None, "2"], AS_OF),
        ([None, "1", None, "1"], -1),
        (["1", "1", "1", "1"], -1),
        ([None, None, None, None], -1),
        ([None, "1", "1", "1"], -1),
    ],
)
def test_the_deployment_is_the_last_change_of_the_version(versions, changed, tmp_path):
    column = pa.array(versions * 2, pa.string())
    table = rows(("a",), ("x", "y"), model_version=column)
    groups = read(write(tmp_path / "h.parquet", table)).groups
    assert [g.deployed_at for g in groups.values()] == [changed, changed]


def test_the_version_is_mapped_and_may_be_a_number(tmp_path):
    plan = plan_of('[calibration.hardening.columns]\nmodel_version = "release"')
    table = rows(("a",), ("x",), release=[1, 1, 7, 7])
    for path in (write(tmp_path / "h.parquet", table), csv(tmp_path / "h.csv", table)):
        group = read(path, plan).groups["a", "x"]
        assert group.tags == {"model_version": "7"}
        assert group.deployed_at == AS_OF - HOUR


def test_ids_in_csv_are_text_whatever_they_look_like(tmp_path):
    (tmp_path / "h.csv").write_text(
        "model_id,class_id,timestamp,aece,model_version\n007,1e3,2026-05-01,0.1,1.10\n"
    )
    group = read(tmp_path / "h.csv").groups["007", "1e3"]
    assert group.tags == {"model_version": "1.10"}


def test_csv_reads_quoted_line_ends_and_nulls(tmp_path):
    (tmp_path / "h.csv").write_text(
        'model_id,class_id,timestamp,aece,dece\n"a\nb",x,2026-05-01T00:00:00Z,,NaN\n'
    )
    found = read(tmp_path / "h.csv")
    group = found.groups["a\nb", "x"]
    assert np.isnan(group.of("aece")).all()  # null
    assert group.of("dece") == [float("inf")]  # reported, not finite


def test_the_fingerprint_tells_the_files_by_name_and_size(table, tmp_path):
    write(tmp_path / "h" / "a.parquet", table)
    first = History.open(tmp_path / "h", AuditPlan()).fingerprint()
    assert History.open(tmp_path / "h", AuditPlan()).fingerprint() == first
    pq.write_table(table[:3], tmp_path / "h" / "b.parquet")
    assert History.open(tmp_path / "h", AuditPlan()).fingerprint() != first


HEADER = "model_id,class_id,timestamp,aece,total_samples,team"
AT = "2026-05-01T12:00:00Z"


@pytest.mark.parametrize(
    "cell", ["", "null", "NULL", "NA", "N/A", "n/a", "na", "None", "none", "-"]
)
def test_csv_cells_that_say_nothing_are_null_where_numbers_are_meant(cell, tmp_path):
    lines = [f"a,x,{AT},{cell},{cell},t", f"b,x,{AT},0.5,7,t", f"c,x,{cell},0.5,7,t"]
    (tmp_path / "h.csv").write_text("\n".join([HEADER, *lines]))
    found = read(tmp_path / "h.csv")
    assert np.isnan(found.groups["a", "x"].of("aece")).all()
    assert found.groups["b", "x"].of("aece") == [0.5]
    assert found.counts() == {"timestamp is null": 1}


@pytest.mark.parametrize("name", ["none", "None", "n/a", "na", "-"])
def test_csv_names_may_be_words_that_say_nothing_elsewhere(name, tmp_path):
    (tmp_path / "h.csv").write_text(
        f"{HEADER}\nb,x,{AT},0.5,7,t\n{name},{name},{AT},0.5,7,{name}\n"
    )
    group = read(tmp_path / "h.csv").groups[name, name]
    assert group.tags["team"] == name


@pytest.mark.parametrize("cell", ["high", "0;5", "1,5", "0.5 %"])
def test_a_csv_cell_that_is_no_number_is_told_with_its_place(cell, tmp_path):
    (tmp_path / "h").mkdir()
    lines = [f"a,x,{AT},0.1,7,t", f'a,x,{AT},"{cell}",7,t']
    (tmp_path / "h" / "bad.csv").write_text("\n".join([HEADER, *lines]))
    write(tmp_path / "h" / "good.parquet", rows(("b",)))
    found = read(tmp_path / "h")
    told = f'row 2: column "aece" holds {cell!r}, which is no number'
    assert found.account.files == {"bad.csv": (told, "mend the cell or leave it empty")}
    assert found.account.rows == 8


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        ([AT, "01.05.2026"], "row 2 holds '01.05.2026', which is no ISO timestamp"),
        (["yesterday", AT], "row 1 holds 'yesterday', which is no ISO timestamp"),
        ([AT, "", "2026-05-01 12:00:00"], "row 3 names no zone, unlike those before it"),
    ],
)
def test_csv_timestamps_that_are_text_are_told_with_the_first_odd_cell(cells, told, tmp_path):
    lines = [f"a,x,{cell},0.1,7,t" for cell in cells]
    (tmp_path / "h.csv").write_text("\n".join([HEADER, *lines]))
    with pytest.raises(InputError, match=f'"timestamp" holds string; {told} — write ISO 8601'):
        read(tmp_path / "h.csv")


def test_a_csv_timestamp_that_goes_wrong_further_down_is_told_with_its_place(tmp_path):
    lines = [f"a,x,{AT},0.1,7,t"] * 60_000
    lines[50_000] = "a,x,soon,0.1,7,t"
    (tmp_path / "h.csv").write_text("\n".join([HEADER, *lines]))
    reason, remedy = read(tmp_path / "h.csv").account.files["h.csv"]
    assert reason.startswith("row 50001: column \"timestamp\" holds 'soon', which is no timestamp")
    assert "ISO 8601" in remedy


@pytest.mark.parametrize(("mark", "name"), [(";", "semicolons"), ("\t", "tabs")])
def test_a_csv_of_another_separator_is_told_as_such(mark, name, tmp_path):
    line = mark.join(["a", "x", AT, "0,5", "7", "t"])
    (tmp_path / "h.csv").write_text(f"{HEADER.replace(',', mark)}\n{line}\n")
    with pytest.raises(InputError, match=f"seems to be separated by {name}"):
        read(tmp_path / "h.csv")
