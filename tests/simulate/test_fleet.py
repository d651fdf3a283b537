"""Simulated fleets: the same for the same seed, and broken exactly where their truth says."""

import weakref
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from calhard.errors import ConfigError
from calhard.schema import MICROSECONDS_PER_DAY
from calhard.simulate import FleetSpec, fleet, simulate, truth, write_fleet
from calhard.simulate.fleet import BAD_VERSION, FAULTS, LEVELS, SIZES, TRUTH

SPEC = FleetSpec(models=24, classes=2, days=21, cadence="mixed", broken=0.5, fleet_wide=0.2, seed=3)
COUNTS = {"score_range": "score_range_violations", "mask_mismatch": "mask_mismatch_count"}


@pytest.fixture(scope="module")
def history():
    return pa.Table.from_batches(simulate(SPEC))


@pytest.fixture(scope="module")
def told():
    return truth(SPEC).to_pylist()


def series(table, row):
    """Timestamps and values of a series that the truth names."""
    mask = pc.and_(
        pc.equal(table["model_id"], row["model_id"]), pc.equal(table["class_id"], row["class_id"])
    )
    found = table.filter(mask)
    stamps = found["timestamp"].cast(pa.int64()).to_numpy()
    return stamps, found[row["metric"]].to_numpy()


def onset_us(row):
    return round(row["onset"].timestamp() * 1e6)


def test_the_same_seed_gives_the_same_bytes_and_another_gives_others(tmp_path):
    small = {"models": 4, "classes": 1, "days": 10, "broken": 0.5}
    one, two, other = (
        write_fleet(FleetSpec(**small, seed=seed), tmp_path / name)
        for name, seed in (("one", 1), ("two", 1), ("other", 2))
    )
    for file in ("history.parquet", "_truth.parquet"):
        assert (one / file).read_bytes() == (two / file).read_bytes()
    assert not pq.read_table(one / "history.parquet").equals(
        pq.read_table(other / "history.parquet")
    )


def test_a_model_does_not_depend_on_how_many_there_are():
    few, many = (
        pa.Table.from_batches(simulate(FleetSpec(models=n, classes=1, days=5, broken=0.0, seed=1)))
        for n in (2, 5)
    )
    assert many.slice(0, few.num_rows).equals(few)


def test_every_kind_of_fault_is_planted_and_the_deployment_too(told):
    kinds = Counter(row["fault"] for row in told)
    assert set(kinds) == {*FAULTS, "deployment"}
    models = {row["model_id"] for row in told}
    assert len(models) == round(24 * 0.5) + round(24 * 0.2)
    assert kinds["deployment"] == 5 * 2 * 2, "aece and dece of every class of five models"


def test_the_truth_has_its_schema_and_names_series_that_are_there(history, told):
    assert truth(SPEC).schema.equals(TRUTH)
    stale = [row for row in told if row["fault"] == "stale"]
    assert {row["metric"] for row in stale} == set(LEVELS)
    for row in told:
        assert len(series(history, row)[0]) > 0


def test_what_was_planted_stands_where_the_truth_says(told):
    sound = {(b["model_id"], b["class_id"], b["timestamp"]): b for b in sound_rows(SPEC)}
    ill = pa.Table.from_batches(simulate(SPEC)).to_pylist()
    metrics = (*LEVELS, *COUNTS.values())
    first, last_seen = {}, {}
    for row in ill:
        was = sound[row["model_id"], row["class_id"], row["timestamp"]]
        last_seen[row["model_id"], row["class_id"]] = row["timestamp"]
        for metric in metrics:
            if row[metric] != was[metric] and not (row[metric] is None and was[metric] is None):
                first.setdefault((row["model_id"], row["class_id"], metric), row["timestamp"])
    known = {(r["model_id"], r["class_id"], r["metric"]): r for r in told}
    changed = {key for key, row in known.items() if row["fault"] != "stale"}
    assert set(first) == changed
    for key, row in known.items():
        step = 86_400 if int(key[0][-4:]) % 3 == 2 else 3_600
        if row["fault"] == "stale":
            assert (row["onset"] - last_seen[key[:2]]).total_seconds() == step
        else:
            late = (first[key] - row["onset"]).total_seconds()
            # A drift begins at 0; a repeated value differs from its second time on.
            assert late == (step if row["fault"] in {"drift", "flatline"} else 0), row["fault"]


def sound_rows(spec):
    """All rows of the same fleet without its faults."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fleet, "_broken", lambda x, fault, at, place: (x, []))
        patch.setattr(fleet, "_source_faults", lambda *args: [])
        return pa.Table.from_batches(simulate(spec)).to_pylist()


def test_faults_have_the_size_that_the_truth_tells(history, told):
    for row in told:
        stamps, x = series(history, row)
        before, after = x[stamps < onset_us(row)], x[stamps >= onset_us(row)]
        if row["fault"] in {"step", "deployment"}:
            assert row["size"] == SIZES.get(row["fault"], 8.0)
            assert np.mean(after) - np.mean(before) > 0.6 * row["size"] * np.std(before)
        elif row["fault"] == "flatline":
            assert len(set(after.tolist())) == 1
        elif row["fault"] == "not_a_number":
            assert 0.4 < np.isnan(after).mean() < 0.7
            assert not np.isnan(before).any()
        elif row["fault"] in COUNTS:
            assert row["metric"] == COUNTS[row["fault"]]
            assert (after[0], after.sum(), before.sum()) == (3, 3, 0)


def test_the_bad_deployment_has_a_version_of_its_own_since_its_onset(history, told):
    since = {row["model_id"]: onset_us(row) for row in told if row["fault"] == "deployment"}
    assert len(since) == 5
    stamps = history["timestamp"].cast(pa.int64()).to_pylist()
    for model, version, stamp in zip(
        history["model_id"].to_pylist(), history["model_version"].to_pylist(), stamps, strict=True
    ):
        assert (version == BAD_VERSION) == (model in since and stamp >= since[model])
    end = SPEC.end_us
    assert all(end - MICROSECONDS_PER_DAY <= onset <= end for onset in since.values())


def test_mixed_cadence_makes_every_third_model_daily(history):
    for index in range(SPEC.models):
        rows = history.filter(pc.equal(history["model_id"], SPEC.model_name(index)))
        own = rows.filter(pc.equal(rows["class_id"], rows["class_id"][0]))
        gaps = np.unique(np.diff(own["timestamp"].cast(pa.int64()).to_numpy()))
        assert gaps.tolist() == [MICROSECONDS_PER_DAY // (1 if index % 3 == 2 else 24)]


def test_rows_are_sorted_and_end_at_the_end(history):
    keys = zip(
        *(history[name].to_pylist() for name in ("model_id", "class_id", "timestamp")), strict=True
    )
    keys = list(keys)
    assert keys == sorted(keys)
    assert max(key[2] for key in keys) == SPEC.end


def test_a_healthy_fleet_has_no_truth_and_no_strange_value():
    spec = FleetSpec(models=3, classes=1, days=5, broken=0.0)
    table = pa.Table.from_batches(simulate(spec))
    assert truth(spec).num_rows == 0
    for metric in LEVELS:
        x = table[metric].to_numpy()
        assert np.isfinite(x).all()
        assert x.min() >= 0.0
    assert pc.sum(table["score_range_violations"]).as_py() == 0


def test_a_fleet_is_written_batch_by_batch(tmp_path, monkeypatch):
    monkeypatch.setattr(fleet, "BATCH_ROWS", 500)
    made, alive = [], []
    whole = fleet.simulate

    def watched(spec):
        for batch in whole(spec):
            made.append(weakref.ref(batch))
            alive.append(sum(ref() is not None for ref in made))
            yield batch

    monkeypatch.setattr(fleet, "simulate", watched)
    write_fleet(FleetSpec(models=30, classes=1, days=5, broken=0.0), tmp_path)
    assert len(made) == 6, "120 rows a model, five models a batch"
    assert max(alive) <= 2, "the batch that was written and the one that is made"
    assert pq.read_metadata(tmp_path / "history.parquet").num_rows == 3_600


def test_a_history_of_someones_own_is_not_overwritten(tmp_path):
    (tmp_path / "history.parquet").write_bytes(b"mine")
    with pytest.raises(ConfigError, match="would be lost"):
        write_fleet(FleetSpec(models=1), tmp_path)
    assert (tmp_path / "history.parquet").read_bytes() == b"mine"


def test_all_that_cannot_be_simulated_is_told_at_once():
    with pytest.raises(ConfigError) as error:
        FleetSpec(models=0, classes=0, days=-1, phi=1.0, broken=2.0, noise="pink", cadence="weekly")
    told = str(error.value)
    assert told.startswith("cannot simulate: models = 0; at least 1; classes = 0; at least 1; ")
    for key in ("days = -1", "phi = 1.0", "broken = 2.0", "noise = pink", "cadence = weekly"):
        assert key in told
