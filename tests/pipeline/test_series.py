"""The values behind a night's series: those that were audited, and no others."""

import math
import os
from collections import defaultdict
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from calhard.engines import LocalEngine
from calhard.errors import InputError
from calhard.pipeline import run_audit
from calhard.pipeline.series import KeepSeries
from calhard.plan import AuditPlan
from calhard.schema import TIMESTAMP, series_schema
from calhard.simulate import FleetSpec, simulate
from calhard.store import list_nights, open_night
from tests.blocks import AS_OF, DAY, HOUR

FLAGGED = AuditPlan.from_text('[calibration.hardening.storage]\nkeep = "flagged"')
WINDOWS = 35 * DAY
METRICS = ("aece", "alpha")
MINUTES_5 = HOUR // 12


class Watched:
    """The local engine; ``before`` sees the shards of which series are kept, ``after`` each one."""

    name = "local"

    def __init__(self, before=lambda keep, shards: None, after=lambda keep, shard: None, workers=1):
        self.before, self.after, self.engine = before, after, LocalEngine(workers)

    def run(self, function, tasks, *policy):
        if not isinstance(function, KeepSeries):
            yield from self.engine.run(function, tasks, *policy)
            return
        self.before(function, tasks)
        for settled in self.engine.run(function, tasks, *policy):
            self.after(function, settled.task)
            yield settled


def rows(model, stamps, class_="c", version="7", seed=0, **columns):
    """Rows of one group; the metrics' values are noise unless given."""
    rng, size = np.random.default_rng([seed, len(stamps)]), len(stamps)
    level = {"aece": 0.2, "alpha": 1.0}
    values = {m: 0.002 * rng.normal(size=size) + level[m] for m in METRICS} | columns
    arrays = [pa.array(values[m], pa.float64(), mask=values.get(f"no_{m}")) for m in METRICS]
    return pa.table(
        [
            pa.array([model] * size, pa.string()),
            pa.array([class_] * size, pa.string()),
            pa.array(np.asarray(stamps, np.int64)).cast(TIMESTAMP),
            *arrays,
            pa.array(rng.integers(100, 200, size)),
            pa.array([version] * size if isinstance(version, str) else version, pa.string()),
        ],
        names=["model_id", "class_id", "timestamp", *METRICS, "total_samples", "model_version"],
    )


def every(step, count):
    return AS_OF - step * np.arange(count - 1, -1, -1)


def audit(tables, folder, plan=None, *, engine=None, **options):
    """Write one file of the tables, audit it, return the night."""
    history = folder / "history"
    history.mkdir(parents=True)
    pq.write_table(pa.concat_tables(tables), history / "h.parquet", **options)
    return audited(history, folder, plan, engine=engine)


def audited(history, folder, plan=None, *, engine=None, **more):
    run_audit(
        history, plan or AuditPlan(), out=folder / "out", engine=engine or LocalEngine(1), **more
    )
    return open_night(folder / "out")


def read(night):
    """The whole of series/: (model, class) to its rows."""
    found = defaultdict(list)
    for part in sorted((night.path / "series").iterdir()):
        for row in pq.read_table(part).to_pylist():
            found[row["model_id"], row["class_id"]].append(row)
    return found


def told(row):
    """A row to compare: instants as microseconds, NaN as a word that equals itself."""
    plain = {n: "nan" if isinstance(v, float) and math.isnan(v) else v for n, v in row.items()}
    return plain | {"timestamp": round(row["timestamp"].timestamp() * 1e6)}


def same(found, expected):
    assert [told(row) for row in found] == [told(row) for row in expected]


def within(table, since=AS_OF - WINDOWS, until=AS_OF):
    """The history's rows later than ``since``, by hand."""
    return [
        r for r in table.to_pylist() if since < round(r["timestamp"].timestamp() * 1e6) <= until
    ]


def test_the_schema_has_the_metrics_in_their_order_and_nothing_else(tmp_path):
    night = audit([rows("m", every(HOUR, 100))], tmp_path)
    found = night.series("m", "c").schema
    assert found.equals(series_schema(METRICS))
    assert found.names == [
        *("model_id", "class_id", "timestamp"),
        *METRICS,
        *("total_samples", "model_version"),
    ]


def test_the_rows_of_both_windows_are_kept_as_they_were_reported(tmp_path):
    table = rows("m", every(HOUR, 60 * 24))
    night = audit([table], tmp_path)
    expected = within(table)
    assert len(expected) == 35 * 24
    same(night.series("m", "c").to_pylist(), expected)


def test_what_was_not_reported_is_null_and_what_is_not_finite_nan(tmp_path):
    aece = np.full(35 * 24, 0.2) + 0.001 * np.arange(35 * 24) / 840
    gone = np.zeros(len(aece), np.bool_)
    gone[[5, -7]] = True
    aece[[3, -9]], aece[-20], aece[-21], aece[-22] = np.nan, np.inf, -np.inf, -3.5
    found = audit([rows("m", every(HOUR, len(aece)), aece=aece, no_aece=gone)], tmp_path)
    values = found.series("m", "c")["aece"].to_pylist()
    assert [i for i, v in enumerate(values) if v is None] == [5, 833]
    assert [i for i, v in enumerate(values) if v is not None and math.isnan(v)] == [
        *(3, 819, 820, 831)
    ]
    assert values[818] == -3.5


def test_dense_series_are_kept_as_the_means_of_their_slots(tmp_path):
    table = rows("m", every(MINUTES_5, 40 * 24 * 12))
    found = audit([table], tmp_path).series("m", "c").to_pylist()
    slots = defaultdict(list)
    for row in within(table):
        slots[(AS_OF - round(row["timestamp"].timestamp() * 1e6)) // HOUR].append(row)
    assert len(found) == len(slots) == 35 * 24
    for row, slot in zip(found, sorted(slots, reverse=True), strict=True):
        own = slots[slot]
        assert row["timestamp"] == max(r["timestamp"] for r in own)
        assert row["total_samples"] == sum(r["total_samples"] for r in own)
        for metric in METRICS:
            assert row[metric] == pytest.approx(np.mean([r[metric] for r in own]), rel=1e-12)


def test_sparse_series_are_counted_in_samples(tmp_path):
    table = rows("m", every(7 * DAY, 60))
    found = audit([table], tmp_path).series("m", "c").to_pylist()
    same(found, table.to_pylist()[-35:])


def test_a_metric_that_is_reported_seldom_has_its_own_rows_kept_beside_the_others(tmp_path):
    stamps = every(DAY, 400)
    seldom = np.arange(400)[::-1] % 14 != 0
    table = rows("m", stamps, no_alpha=seldom)
    found = audit([table], tmp_path).series("m", "c").to_pylist()
    early = [r for r in table.to_pylist()[:-35] if r["alpha"] is not None]
    assert len(early) == 26
    same(found, [*early, *table.to_pylist()[-35:]])


def test_a_reference_that_starts_at_a_deployment_starts_there_in_the_series(tmp_path):
    stamps = every(HOUR, 50 * 24)
    versions = ["6"] * (len(stamps) - 15 * 24) + ["7"] * (15 * 24)
    table = rows("m", stamps, version=versions)
    restart = AuditPlan.from_text("[calibration.hardening.windows]\nrestart_on_deployment = true")
    found = audit([table], tmp_path / "a", restart).series("m", "c").to_pylist()
    same(found, table.to_pylist()[-15 * 24 :])
    plain = audit([table], tmp_path / "b").series("m", "c")
    assert plain.num_rows == 35 * 24
    assert set(plain["model_version"].to_pylist()) == {"7"}, "a group has its latest version"


def test_as_of_in_the_past_keeps_the_past_alone(tmp_path):
    table = rows("m", every(HOUR, 60 * 24))
    audit([table], tmp_path)
    past = AS_OF - 10 * DAY
    audited(tmp_path / "history", tmp_path, as_of_us=past)
    earlier = open_night(tmp_path / "out", "2026-05-21").series("m", "c")
    same(earlier.to_pylist(), within(table, past - WINDOWS, past))


def test_groups_that_cannot_be_judged_are_kept_too_and_retired_models_are_not(tmp_path):
    twice = rows("conflict", every(DAY, 35))
    other = rows("conflict", every(DAY, 35), seed=1)
    young, gone = rows("young", every(DAY, 4)), rows("gone", every(DAY, 35))
    plan = AuditPlan(retired_models=("go*",))
    night = audit([twice, other, gone, young], tmp_path, plan)
    found = read(night)
    assert {key: len(value) for key, value in found.items()} == {
        ("conflict", "c"): 35,
        ("young", "c"): 4,
    }


def test_without_labels_or_versions_their_columns_are_null(tmp_path):
    table = rows("m", every(DAY, 35)).drop_columns(["total_samples", "model_version"])
    found = audit([table], tmp_path).series("m", "c")
    assert found.schema.equals(series_schema(METRICS))
    assert found["total_samples"].null_count == found["model_version"].null_count == 35


SPEC = FleetSpec(models=12, classes=2, cadence="mixed", broken=0.3, seed=11)


@pytest.fixture(scope="module")
def fleet():
    return pa.Table.from_batches(simulate(SPEC))


@pytest.fixture(scope="module")
def everything(fleet, tmp_path_factory):
    return audit([fleet], tmp_path_factory.mktemp("all"))


@pytest.fixture(scope="module")
def flagged(fleet, tmp_path_factory):
    return audit([fleet], tmp_path_factory.mktemp("flagged"), FLAGGED)


def files(night):
    return {p.name: p.read_bytes() for p in (night.path / "series").iterdir()}


def keys(table):
    return set(zip(table["model_id"].to_pylist(), table["class_id"].to_pylist(), strict=True))


def test_all_groups_are_kept_in_the_order_of_their_names(everything):
    found = list(read(everything))
    assert found == sorted(keys(everything.table("health")))
    assert everything.verify() == []


def test_flagged_keeps_the_groups_of_the_flagged_evidence_with_the_same_rows(everything, flagged):
    evidence = keys(flagged.table("evidence"))
    assert 0 < len(evidence) < SPEC.models * SPEC.classes
    found, whole = read(flagged), read(everything)
    assert set(found) == evidence
    for key in evidence:
        same(found[key], whole[key])
    assert flagged.series("model-0011").num_rows == 0


def test_a_group_is_flagged_with_all_of_its_metrics(flagged):
    model, class_, metric = (
        flagged.table("regressions")[n][0].as_py() for n in ("model_id", "class_id", "metric")
    )
    found = flagged.series(model, class_)
    assert metric in found.schema.names
    assert found["alpha"].null_count == found["clamp_rate"].null_count == 0


LAYOUTS = {
    "shuffled": (lambda t: [t.take(np.random.default_rng(0).permutation(t.num_rows))], {}),
    "split": (lambda t: [t[part::5] for part in range(5)], {}),
    "small row groups": (lambda t: [t], {"row_group_size": 999}),
    "sorted files": (lambda t: [t.slice(0, 7_777), t.slice(7_777)], {"row_group_size": 500}),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("mode", ["everything", "flagged"])
def test_bytes_depend_neither_on_layout_nor_on_blocks_and_workers(
    layout, mode, fleet, tmp_path, request, monkeypatch
):
    expected = files(request.getfixturevalue(mode))
    monkeypatch.setattr("calhard.history.blocks.BLOCK_ROWS", 3_000)
    monkeypatch.setattr("calhard.history.shards.GATHERED_ROWS", 6_000)
    monkeypatch.setattr("calhard.history.open.ordered_shards", _small_shards)
    split, options = LAYOUTS[layout]
    history = tmp_path / "history"
    history.mkdir()
    for i, part in enumerate(split(fleet)):
        pq.write_table(part, history / f"{i}.parquet", **options)
    plan = FLAGGED if mode == "flagged" else AuditPlan()
    night = audited(history, tmp_path, plan, engine=LocalEngine(2 if layout == "split" else 1))
    assert files(night) == expected


def _small_shards(extents):
    from calhard.history.shards import ordered_shards

    return ordered_shards(extents, target=3_000)


def test_rows_that_only_look_sorted_are_kept_all_the_same(fleet, flagged, tmp_path):
    history = tmp_path / "history"
    history.mkdir()
    models = np.array(fleet["model_id"].to_pylist())
    cuts = [0, *(np.flatnonzero(models[1:] != models[:-1]) + 1).tolist(), len(models)]
    with pq.ParquetWriter(history / "h.parquet", fleet.schema) as writer:
        for begin, end in pairwise(cuts):  # a row group for each model, its classes backwards
            writer.write_table(fleet.take(np.arange(end - 1, begin - 1, -1)))
    assert files(audited(history, tmp_path, FLAGGED)) == files(flagged)


def test_a_file_that_was_left_out_of_the_audit_is_left_out_of_the_series(
    fleet, everything, tmp_path
):
    history = tmp_path / "history"
    history.mkdir()
    pq.write_table(fleet, history / "good.parquet")
    spoilt = rows("model-0000", every(HOUR, 900), class_="other")
    pq.write_table(spoilt, history / "spoilt.parquet", write_page_checksum=True)
    damage(history / "spoilt.parquet", 0)
    night = audited(history, tmp_path)
    assert night.summary["counts"]["files_rejected"] == 1
    assert files(night) == files(everything)


def damage(file, group):
    """Zero some of the values of a row group, so that nothing but their checksum tells."""
    before = file.stat()
    metadata = pq.read_metadata(file)
    names = [metadata.schema.column(i).path for i in range(metadata.num_columns)]
    chunk = metadata.row_group(group).column(names.index("aece"))
    content = bytearray(file.read_bytes())
    end = chunk.data_page_offset + chunk.total_compressed_size - 1
    content[end - 40 : end] = bytes(40)
    file.write_bytes(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def row_group_of(file, model):
    metadata = pq.read_metadata(file)
    place = metadata.schema.names.index("model_id")
    ends = [metadata.row_group(g).column(place).statistics for g in range(metadata.num_row_groups)]
    return next(g for g, s in enumerate(ends) if s.min <= model <= s.max)


@pytest.mark.parametrize(("model", "needed"), [("model-0000", True), ("model-0011", False)])
def test_only_the_row_groups_that_hold_a_flagged_model_are_read_again(
    model, needed, fleet, flagged, tmp_path
):
    assert (model in flagged.table("evidence")["model_id"].to_pylist()) is needed
    history = tmp_path / "history"

    def spoil(keep, shards):
        damage(history / "h.parquet", row_group_of(history / "h.parquet", model))

    def work():
        return audit(
            [fleet],
            tmp_path,
            FLAGGED,
            engine=Watched(spoil),
            row_group_size=400,
            write_page_checksum=True,
        )

    if needed:
        with pytest.raises(InputError, match="the history changed while it was audited"):
            work()
        assert list_nights(tmp_path / "out") == []
    else:
        assert files(work()) == files(flagged)


def touched(file, table):
    os.utime(file, ns=(1, 1))


def rewritten(file, table):
    pq.write_table(table.slice(0, table.num_rows - 1), file)


def shortened(file, table):
    pq.write_table(table.filter(pa.array([m != "b" for m in table["model_id"].to_pylist()])), file)


def truncated(file, table):
    file.write_bytes(file.read_bytes()[:-100])


def removed(file, table):
    file.unlink()


@pytest.mark.parametrize("change", [touched, rewritten, shortened, truncated, removed])
@pytest.mark.parametrize("plan", [AuditPlan(), FLAGGED], ids=["all", "flagged"])
def test_a_history_that_changes_meanwhile_is_told_and_nothing_is_published(change, plan, tmp_path):
    stuck = np.where(np.arange(35 * 24) < 700, 0.2, 0.9)
    table = pa.concat_tables(rows(m, every(HOUR, 35 * 24), aece=stuck) for m in "abc")

    def act(keep, shards):
        assert shards
        change(tmp_path / "history" / "h.parquet", table)

    with pytest.raises(InputError, match=r"changed while it was audited; nothing was published"):
        audit([table], tmp_path, plan, engine=Watched(act))
    assert list_nights(tmp_path / "out") == []
    assert not list((tmp_path / "out").rglob("*.parquet"))


@pytest.mark.parametrize(
    "spec",
    [
        FleetSpec(models=20, classes=5, days=28, broken=0.1, seed=2),
        pytest.param(
            FleetSpec(models=300, classes=5, days=28, broken=0.01, seed=2), marks=pytest.mark.slow
        ),
    ],
    ids=["small", "a million rows"],
)
def test_flagged_leaves_next_to_nothing_in_the_scratch_folder(spec, tmp_path):
    table = pa.Table.from_batches(simulate(spec))
    shards, scratch = [], []
    watched = Watched(
        before=lambda keep, found: shards.extend(found),
        after=lambda keep, shard: scratch.append(
            sum(p.stat().st_size for p in keep.folder.glob("*.windows.arrow"))
        ),
    )
    night = audit([table], tmp_path, FLAGGED, engine=watched)
    kept = night.table("evidence")
    groups = keys(kept)
    assert 0 < len(groups) < 0.2 * spec.models * spec.classes
    expected = sum(len(rows) for rows in read(night).values())
    assert sum(shard.expected for shard in shards) == len(groups)
    assert sum(scratch) < 200 * expected + 10_000 * len(shards)
    assert sum(scratch) < 0.1 * table.nbytes


def test_a_healthy_fleet_reads_nothing_again_and_keeps_nothing(tmp_path):
    spec = FleetSpec(models=5, classes=2, days=28, cadence="daily", broken=0.0, seed=2)
    seen = []
    engine = Watched(before=lambda keep, shards: seen.append(list(shards)))
    night = audit([pa.Table.from_batches(simulate(spec))], tmp_path, FLAGGED, engine=engine)
    assert seen == [[]]
    assert read(night) == {}
    assert night.series("model-0000").schema.names[:3] == ["model_id", "class_id", "timestamp"]
