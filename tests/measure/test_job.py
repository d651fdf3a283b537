"""`measure` as a job: the same bytes whatever the order, the files, the workers, the buckets."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from calhard.errors import ConfigError, InputError
from calhard.history import History
from calhard.measure import buckets, pieces, spill
from calhard.measure.in_memory import period_history
from calhard.measure.run import measure_history
from calhard.measure.told import report_lines
from calhard.plan import AuditPlan
from tests.measure.logs import START, content, days_of, measure, predictions, rows_of, write
from tests.measure.mortal import Mortal


@pytest.fixture(autouse=True)
def no_sync(monkeypatch):
    """Every step is taken; the machine's own disk need not be waited for."""
    monkeypatch.setattr("os.fsync", lambda handle: None)


@pytest.fixture(scope="module")
def log():
    return predictions()


@pytest.fixture(scope="module")
def sound(log, tmp_path_factory):
    """The files of a history measured at once from one file."""
    folder = tmp_path_factory.mktemp("sound")
    report = measure(write(folder / "log", all=log), folder / "history")
    assert report.exit_code == 0
    return content(folder / "history")


def shuffled(table, seed=1):
    return table.take(np.random.default_rng(seed).permutation(table.num_rows))


def test_a_history_holds_what_is_measured_in_memory(log, tmp_path):
    measure(write(tmp_path / "log", all=log), tmp_path / "history")
    parts = [pq.read_table(p) for p in sorted((tmp_path / "history").glob("*.parquet"))]
    order = [(name, "ascending") for name in ("model_id", "class_id", "timestamp")]
    found = pa.concat_tables(parts).sort_by(order)
    expected = period_history(log.drop_columns(["region"]))
    assert found.select(expected.schema.names).equals(expected.sort_by(order))
    assert found.num_rows == 2 * 3 * 5


def test_parts_are_months_sorted_by_key_with_checksums_and_bins_beside(sound, log, tmp_path):
    assert sorted(sound) == [
        *("2026-04.parquet", "2026-05.parquet"),
        *("_bins/2026-04.parquet", "_bins/2026-05.parquet"),
    ]
    measure(write(tmp_path / "log", all=log), tmp_path / "history")
    part = pq.read_table(tmp_path / "history" / "2026-05.parquet")
    bins = pq.read_table(tmp_path / "history" / "_bins" / "2026-05.parquet")
    for table, keys in ((part, ()), (bins, ("bin",))):
        names = ("model_id", "class_id", "timestamp", *keys)
        found = list(zip(*(table[name].to_pylist() for name in names), strict=True))
        assert found == sorted(found)
        assert len(set(found)) == len(found)
        assert {t.strftime("%Y-%m") for t in table["timestamp"].to_pylist()} == {"2026-05"}
    per_group = bins.group_by(["model_id", "class_id", "timestamp"]).aggregate([("count", "sum")])
    assert sorted(per_group["count_sum"].to_pylist()) == sorted(part["total_samples"].to_pylist())


def test_the_order_of_rows_makes_no_difference(log, sound, tmp_path):
    measure(write(tmp_path / "log", all=shuffled(log)), tmp_path / "history")
    assert content(tmp_path / "history") == sound


def test_the_split_over_files_and_row_groups_makes_no_difference(log, sound, tmp_path):
    mixed = shuffled(log)
    folder = write(tmp_path / "log" / "deep", a=mixed.slice(0, 100), b=mixed.slice(100, 500))
    pq.write_table(mixed.slice(600), tmp_path / "log" / "c.parquet", row_group_size=37)
    assert folder.is_dir()
    report = measure(tmp_path / "log", tmp_path / "history")
    assert report.files.read == 3
    assert content(tmp_path / "history") == sound


def test_buckets_pieces_and_batches_of_any_size_make_no_difference(
    log, sound, tmp_path, monkeypatch
):
    monkeypatch.setattr(pieces, "TASK_ROWS", 150)
    monkeypatch.setattr(spill, "SPILL_ROWS", 60)
    monkeypatch.setattr(buckets, "SLOT_ROWS", 40)
    monkeypatch.setattr(buckets, "CHUNK_ROWS", 3)
    monkeypatch.setattr("calhard.measure.job.BUCKET_ROWS", 100)
    (tmp_path / "log").mkdir()
    pq.write_table(shuffled(log), tmp_path / "log" / "all.parquet", row_group_size=50)
    stages = []
    measure(
        *(tmp_path / "log", tmp_path / "history"),
        progress=lambda stage, done, total, rows: stages.append((stage, done, total, rows)),
    )
    assert content(tmp_path / "history") == sound
    ends = {stage: (total, rows) for stage, done, total, rows in stages if done == total}
    assert ends["scatter"] == (8, 1200)
    assert ends["measure"][0] > 5
    assert ends["measure"][1] == 1200
    assert ends["merge"][0] == 2


def test_workers_make_no_difference(log, sound, tmp_path, monkeypatch):
    for name, day in enumerate(days_of(shuffled(log))):
        write(tmp_path / "log", **{f"d{name}": day})
    monkeypatch.setattr(pieces, "TASK_FILES", 1)
    monkeypatch.setattr(buckets, "SLOT_ROWS", 100)
    monkeypatch.setattr("calhard.measure.job.BUCKET_ROWS", 300)
    monkeypatch.setattr("calhard.measure.job.SMALL", 0)
    measure(tmp_path / "log", tmp_path / "history", workers=2)
    assert content(tmp_path / "history") == sound


def test_a_worker_that_is_killed_at_its_work_makes_no_difference(log, sound, tmp_path, monkeypatch):
    monkeypatch.setattr(pieces, "TASK_FILES", 1)
    monkeypatch.setattr(buckets, "SLOT_ROWS", 300)
    monkeypatch.setattr("calhard.measure.job.BUCKET_ROWS", 600)
    monkeypatch.setattr("calhard.measure.job.SMALL", 0)
    for name, day in enumerate(days_of(log)):
        write(tmp_path / "log", **{f"d{name}": day})
    (tmp_path / "died").mkdir()
    plan = AuditPlan()
    measure_history(
        *(tmp_path / "log", tmp_path / "history"),
        plan=plan,
        engine=Mortal(folder=tmp_path / "died"),
    )
    died = sorted(path.name for path in (tmp_path / "died").iterdir())
    assert died == ["MeasureBucket", "MergePart", "Scatter"]
    assert content(tmp_path / "history") == sound


@pytest.mark.parametrize("kind", ["arrow", "feather", "csv", "dictionary", "large_string"])
def test_the_container_and_its_types_make_no_difference(log, sound, tmp_path, kind):
    folder = tmp_path / "log"
    folder.mkdir()
    if kind == "csv":
        pa.csv.write_csv(log, folder / "all.csv")
    elif kind == "arrow":
        with pa.ipc.new_file(folder / "all.arrow", log.schema) as writer:
            writer.write_table(log, max_chunksize=113)
    elif kind == "feather":
        pa.feather.write_feather(log, folder / "all.feather", compression="lz4")
    else:
        cast = {
            "dictionary": lambda c: c.dictionary_encode(),
            "large_string": lambda c: c.cast(pa.large_string()),
        }[kind]
        columns = [cast(c) if pa.types.is_string(c.type) else c for c in log.columns]
        write(folder, all=pa.table(columns, names=log.schema.names))
    measure(folder, tmp_path / "history")
    assert content(tmp_path / "history") == sound


def test_a_file_alone_and_a_uri_are_sources_too(log, sound, tmp_path):
    write(tmp_path / "log", all=log)
    measure(tmp_path / "log" / "all.parquet", tmp_path / "one")
    measure((tmp_path / "log").as_uri(), tmp_path / "two")
    assert content(tmp_path / "one") == content(tmp_path / "two") == sound


def test_weights_of_1_beside_rows_without_any_make_no_difference(log, sound, tmp_path):
    weighted = log.append_column("weight", pa.array(np.ones(log.num_rows)))
    write(tmp_path / "log", a=weighted.slice(0, 700), b=log.slice(700))
    measure(tmp_path / "log", tmp_path / "history")
    assert content(tmp_path / "history") == sound


def test_examples_in_any_file_are_found_together(tmp_path):
    log = predictions(days=2, rows=40)
    example = pa.array([f"e{i // 4}" for i in range(log.num_rows)])
    log = log.append_column("example_id", example)
    measure(write(tmp_path / "one", all=log), tmp_path / "h1")
    x = pc.equal(log["class_id"], "x")
    write(tmp_path / "two", x=log.filter(x), y=log.filter(pc.invert(x)))
    measure(tmp_path / "two", tmp_path / "h2")
    assert content(tmp_path / "h1") == content(tmp_path / "h2")
    whole = rows_of(tmp_path / "h1")["a", "__all__", "04-28"]
    assert whole["top_label"]
    assert whole["total_samples"] == 40


@pytest.mark.parametrize(
    ("period", "parts"),
    [
        ("1h", ["2026-04-28", "2026-04-29"]),
        ("1d", ["2026-04"]),
        ("7d", ["2026-04"]),
        ("1mo", ["2026-04"]),
        ("50rows", ["2026-04"]),
    ],
)
def test_parts_hold_a_month_or_a_day_where_periods_are_shorter(tmp_path, period, parts):
    log = predictions(days=2)
    report = measure(write(tmp_path / "log", all=log), tmp_path / "h", period=period)
    assert report.written == tuple(parts)
    assert sorted(p.stem for p in (tmp_path / "h").glob("*.parquet")) == parts
    used = sum(
        row["total_samples"]
        for path in (tmp_path / "h").glob("*.parquet")
        for row in pq.read_table(path).to_pylist()
        if row["class_id"] != "__all__"
    )
    kept = log.num_rows if period != "50rows" else 4 * 50 * (120 // 50)
    assert used == report.used == kept
    assert report.waiting == log.num_rows - kept


def test_a_row_becomes_known_when_its_period_ends_and_the_audit_reads_the_history(tmp_path):
    measure(write(tmp_path / "log", all=predictions(days=3)), tmp_path / "history")
    history = History.open(tmp_path / "history", AuditPlan())
    assert [file.name for file in history.files] == ["2026-04.parquet"]
    assert {"aece", "dece", "alpha"} <= set(history.metrics)
    assert history.tags == ("region",)
    row = rows_of(tmp_path / "history")["a", "x", "04-28"]
    assert str(row["ingested_at"]) == "2026-04-29 00:00:00+00:00"


def test_a_damaged_file_is_refused_whole_and_the_others_are_measured(log, tmp_path, monkeypatch):
    monkeypatch.setattr(pieces, "TASK_ROWS", 100)
    first, *rest = days_of(log)
    folder = write(tmp_path / "log", good=pa.concat_tables(rest))
    pq.write_table(first, folder / "bad.parquet", row_group_size=50, write_page_checksum=True)
    damaged = bytearray((folder / "bad.parquet").read_bytes())
    whole = pq.ParquetFile(folder / "bad.parquet").metadata
    column = whole.row_group(whole.num_row_groups - 1).column(3)
    first_page = column.dictionary_page_offset or column.data_page_offset
    damaged[first_page + column.total_compressed_size - 3] ^= 1
    (folder / "bad.parquet").write_bytes(bytes(damaged))
    report = measure(folder, tmp_path / "history")
    assert report.exit_code == 3
    assert list(report.account.files) == ["bad.parquet"]
    assert report.used == log.num_rows - first.num_rows
    measure(write(tmp_path / "sound", good=pa.concat_tables(rest)), tmp_path / "without")
    assert content(tmp_path / "history") == content(tmp_path / "without")


def test_rows_that_cannot_be_used_are_counted_by_reason(tmp_path):
    log = predictions(days=1, rows=50)
    score, label = log["score"].to_pylist(), log["label"].to_pylist()
    score[0], score[1], label[2], label[3] = 1.5, None, None, 2.0
    model = log["model_id"].to_pylist()
    model[4] = None
    columns = {"score": pa.array(score), "label": pa.array(label), "model_id": pa.array(model)}
    odd = pa.table([columns.get(n, log[n]) for n in log.schema.names], names=log.schema.names)
    report = measure(write(tmp_path / "log", all=odd), tmp_path / "history")
    told = report.to_dict()["rows"]
    assert told["used"] == log.num_rows - 5
    counted = {name: n for name, n in told.items() if n and name != "used"}
    assert counted == dict.fromkeys(
        ("unlabelled", "out_of_range", "missing", "bad_label", "refused"), 1
    )
    assert report.coverage == 1.0 - 1 / log.num_rows
    assert report.sound == told["used"] / (told["used"] + 3)  # unlabelled ones wait
    assert report.exit_code == (0 if report.sound >= 0.99 else 3)
    few = measure(write(tmp_path / "few", all=odd.slice(0, 20)), tmp_path / "degraded")
    assert few.exit_code == 3


def test_a_tag_stands_only_in_parts_in_which_it_has_a_value(tmp_path):
    first, *rest = days_of(predictions(days=5))
    write(tmp_path / "log", a=pa.concat_tables([first, *rest[:2]]).drop_columns(["region"]))
    write(tmp_path / "log", b=pa.concat_tables(rest[2:]))
    measure(tmp_path / "log", tmp_path / "history")
    tagged = [
        "region" in pq.read_schema(tmp_path / "history" / f"2026-{m}.parquet").names
        for m in ("04", "05")
    ]
    assert tagged == [False, True]


def test_nothing_to_measure_is_an_error_that_says_why_and_writes_nothing(tmp_path):
    log = predictions(days=1, rows=2)
    bad = log.set_column(0, "model_id", pa.nulls(log.num_rows, pa.string()))
    with pytest.raises(InputError, match=r"no row can be measured\n.*model_id is null") as told:
        measure(write(tmp_path / "log", all=bad), tmp_path / "history")
    assert told.value.exit_code == 4
    assert sorted(p.name for p in (tmp_path / "history").iterdir()) == ["_lock"]


def test_rows_that_lie_before_since_are_said_to_be_the_reason(tmp_path):
    write(tmp_path / "log", all=predictions(days=1, rows=2))
    with pytest.raises(
        InputError, match=r"all usable rows lie before the period of --since 2027-01-01T00:00:00Z"
    ):
        measure(tmp_path / "log", tmp_path / "history", since="2027-01-01")


def test_rows_that_wait_for_a_full_period_are_told_and_not_counted_as_measured(tmp_path):
    log = predictions(days=2, rows=30, models=("a",))
    few = log.filter(pc.equal(log["class_id"], "y")).slice(0, 49)
    rows = pa.concat_tables([log.filter(pc.equal(log["class_id"], "x")), few])
    write(tmp_path / "log", all=rows)
    with pytest.raises(InputError, match="109 rows wait for a full period of 1,000 rows"):
        measure(tmp_path / "log", tmp_path / "none", period="1000rows")
    report = measure(tmp_path / "log", tmp_path / "history", period="50rows")
    assert (report.used, report.waiting, report.classes) == (50, 10 + 49, 1)
    assert report.to_dict()["rows"]["waiting"] == 59
    told = "\n".join(report_lines(report))
    assert "1 model, 1 class, periods of 50 rows: 50 rows\n" in told
    assert "waiting    59 rows wait for a full period of 50 rows\n" in told
    write(tmp_path / "log", more=few.slice(0, 1).set_column(3, "score", pa.array([0.123])))
    more = measure(tmp_path / "log", tmp_path / "history", period="50rows")
    assert (more.used, more.waiting, more.classes) == (100, 10, 2)


def test_what_is_no_period_or_no_folder_is_refused_before_any_work(log, tmp_path):
    write(tmp_path / "log", all=log)
    for settings, said in (
        ({"period": "1 fortnight"}, "period"),
        ({"since": "yesterday"}, "since 'yesterday' is no ISO instant"),
        ({"since": "2026-05-01", "period": "50rows"}, "since goes with periods of time"),
    ):
        with pytest.raises(ConfigError, match=said):
            measure(tmp_path / "log", tmp_path / "history", **settings)
    with pytest.raises(ConfigError, match="not to a URI"):
        measure(tmp_path / "log", "s3://bucket/history")
    assert not (tmp_path / "history").exists()


def test_timestamps_of_the_future_are_refused_by_the_clock(tmp_path):
    log = predictions(days=2)
    noon = (START + np.timedelta64(36, "h")).astype(np.int64) / 1e6
    folder = write(tmp_path / "log", all=log)
    report = measure(folder, tmp_path / "history", clock=lambda: float(noon))
    assert 0 < report.account.rejected < log.num_rows / 2
    assert {reason for _, reason in report.account.counts} == {"timestamp in the future"}
