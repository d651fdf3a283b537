"""A whole night, from files to files."""

import json
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from calhard.engines import LocalEngine
from calhard.errors import InputError
from calhard.pipeline import run_audit
from calhard.plan import AuditPlan
from calhard.schema import EVIDENCE, NIGHT_TABLES
from calhard.simulate import FleetSpec, simulate, truth, write_fleet
from calhard.store import list_nights, open_night

SPEC = FleetSpec(models=15, classes=2, cadence="mixed", broken=0.7, fleet_wide=0.0, seed=11)
ALONE = LocalEngine(1)
TIMED = {"summary.json", "manifest.json"}


@pytest.fixture(scope="module")
def table():
    return pa.Table.from_batches(simulate(SPEC))


@pytest.fixture(scope="module")
def night(table, tmp_path_factory):
    out = tmp_path_factory.mktemp("plain")
    return audit(table, out)


def audit(table, out, *, files=1, engine=ALONE, plan=None, **more):
    history = out / "history"
    history.mkdir()
    for part in range(files):
        pq.write_table(table[part::files] if files > 1 else table, history / f"{part}.parquet")
    run_audit(history, plan or AuditPlan(), out=out / "nights", engine=engine, **more)
    return open_night(out / "nights")


def contents(night):
    names = {entry["name"] for entry in night.manifest["files"]} - TIMED
    return {name: (night.path / name).read_bytes() for name in names}


def rows_by(night, name):
    return {(r["model_id"], r["class_id"]): r for r in night.table(name).to_pylist()}


def test_a_night_has_every_file_and_column_of_the_contract(night):
    for name, schema in NIGHT_TABLES.items():
        assert night.table(name).schema.equals(schema), name
    names = {p.name for p in night.path.iterdir()}
    assert {"report.html", "weekly_slo_report.txt", "regression_report.txt"} <= names
    assert night.verify() == []
    assert night.manifest["schema_version"] == 1


def test_evidence_has_one_row_per_series_in_key_order(night, table):
    evidence = night.table("evidence")
    assert evidence.num_rows == 15 * 2 * 7
    keys = list(zip(*(evidence[n].to_pylist() for n in ("model_id", "class_id")), strict=True))
    assert keys == sorted(keys)
    assert set(evidence["status"].to_pylist()) <= {"ok", "failed", "insufficient", "indeterminate"}


def test_what_was_broken_is_found_and_nothing_else(night):
    planted = truth(SPEC)
    lasting = planted.filter(pc.not_equal(planted["fault"], "transient"))
    broken = set(zip(lasting["model_id"].to_pylist(), lasting["class_id"].to_pylist(), strict=True))
    found = set(rows_by(night, "regressions"))
    everything = set(
        zip(planted["model_id"].to_pylist(), planted["class_id"].to_pylist(), strict=True)
    )
    assert found <= everything
    assert len(found & broken) >= len(broken) - 2
    health = rows_by(night, "health")
    assert all(health[key]["health"] != "HEALTHY" for key in found)


def test_the_onset_of_a_step_is_dated_to_the_hour(night):
    planted = {(r["model_id"], r["class_id"]): r for r in truth(SPEC).to_pylist()}
    steps = [
        r
        for r in night.table("regressions").to_pylist()
        if r["regression_type"] == "SuddenJump"
        and planted[r["model_id"], r["class_id"]]["fault"] == "step"
    ]
    assert steps
    for found in steps:
        told = planted[found["model_id"], found["class_id"]]
        assert abs((found["onset"] - told["onset"]).total_seconds()) <= 2 * 86_400


def test_shuffled_rows_give_the_same_bytes(table, night, tmp_path):
    order = np.random.default_rng(0).permutation(table.num_rows)
    assert contents(audit(table.take(order), tmp_path)) == contents(night)


def test_any_file_split_gives_the_same_bytes(table, night, tmp_path):
    assert contents(audit(table, tmp_path, files=5)) == contents(night)


def test_any_number_of_workers_gives_the_same_bytes(table, night, tmp_path, monkeypatch):
    monkeypatch.setattr("calhard.history.shards.GATHERED_ROWS", 15_000)
    many = audit(table.take(np.arange(table.num_rows)[::-1]), tmp_path, engine=LocalEngine(2))
    assert contents(many) == contents(night)


def test_row_groups_and_shards_do_not_matter(table, night, tmp_path, monkeypatch):
    monkeypatch.setattr("calhard.history.open.ordered_shards", _small_shards)
    history = tmp_path / "history"
    history.mkdir()
    pq.write_table(table, history / "a.parquet", row_group_size=1_111)
    run_audit(history, AuditPlan(), out=tmp_path / "nights", engine=ALONE)
    assert contents(open_night(tmp_path / "nights")) == contents(night)


def _small_shards(extents):
    from calhard.history.shards import ordered_shards

    return ordered_shards(extents, target=3_000)


def test_duplicated_input_counts_once(table, night, tmp_path):
    twice = audit(pa.concat_tables([table, table]), tmp_path)
    same = contents(night)
    again = contents(twice)
    assert again["evidence.parquet"] == same["evidence.parquet"]
    assert again["regressions.parquet"] == same["regressions.parquet"]


def test_a_published_night_is_not_audited_again(table, tmp_path):
    first = audit(table, tmp_path)
    before = contents(first)
    report = run_audit(tmp_path / "history", AuditPlan(), out=tmp_path / "nights", engine=ALONE)
    assert not report.fresh
    assert report.exit_code == first.summary["exit_code"] == 1
    assert contents(open_night(tmp_path / "nights")) == before


def test_force_writes_a_new_revision_and_keeps_the_old(table, tmp_path):
    audit(table, tmp_path)
    history, out = tmp_path / "history", tmp_path / "nights"
    run_audit(history, AuditPlan(), out=out, engine=ALONE, force=True)
    assert open_night(out).revision == 2
    old = out / "revisions" / f"night={open_night(out).night}" / "rev=1" / "manifest.json"
    assert json.loads(old.read_text())["revision"] == 1


def test_as_of_in_the_past_sees_the_past_alone(table, tmp_path):
    as_of = SPEC.end_us - 5 * 86_400_000_000
    night = audit(table, tmp_path, as_of_us=as_of)
    latest = pc.max(night.table("evidence")["last_timestamp"]).as_py()
    assert latest <= datetime.fromtimestamp(as_of / 1e6, tz=UTC)
    outside = [r for r in night.table("coverage").to_pylist() if r["reason"] == "after as_of"]
    assert outside[0]["outcome"] == "outside"
    assert outside[0]["count"] > 0


def test_an_expected_model_that_does_not_report_is_a_finding(table, tmp_path):
    plan = AuditPlan(expected_models=("model-0000", "model-gone"))
    night = audit(table, tmp_path, plan=plan)
    found = rows_by(night, "regressions")["model-gone", "__all__"]
    assert found["regression_type"] == "MetricFailure"
    missing = [r for r in night.table("coverage").to_pylist() if r["unit"] == "model"]
    assert any(r["outcome"] == "missing" and r["example"] == "model-gone" for r in missing)


def test_nothing_is_published_when_nothing_can_be_read(tmp_path):
    history = tmp_path / "history"
    history.mkdir()
    (history / "a.parquet").write_bytes(b"PAR1 this is not Parquet PAR1")
    with pytest.raises(InputError, match=r"a\.parquet"):
        run_audit(history, AuditPlan(), out=tmp_path / "nights", engine=ALONE)
    assert list_nights(tmp_path / "nights") == []


def test_a_broken_file_degrades_the_night_and_the_rest_is_audited(table, night, tmp_path):
    history = tmp_path / "history"
    history.mkdir()
    pq.write_table(table, history / "good.parquet")
    (history / "bad.parquet").write_bytes((history / "good.parquet").read_bytes()[:5_000])
    report = run_audit(history, AuditPlan(), out=tmp_path / "nights", engine=ALONE)
    assert report.exit_code == 3
    again = open_night(tmp_path / "nights")
    assert contents(again)["evidence.parquet"] == contents(night)["evidence.parquet"]
    refused = [r for r in again.table("coverage").to_pylist() if r["unit"] == "file"]
    assert [r["example"] for r in refused] == ["bad.parquet"]
    assert refused[0]["remedy"]


def test_a_refused_file_weighs_as_much_as_its_bytes(tmp_path):
    history = tmp_path / "history"
    write_fleet(FleetSpec(models=1, classes=1, cadence="daily", broken=0.0), history)
    one = (history / "history.parquet").read_bytes()
    for part in range(119):
        (history / f"same-{part}.parquet").write_bytes(one)
    (history / "many.parquet").write_bytes((one * 120)[:-4] + b"gone")
    report = run_audit(history, AuditPlan(), out=tmp_path / "nights", engine=ALONE)
    assert report.summary["coverage"]["share"] == pytest.approx(0.5)
    assert report.exit_code == 3


def test_a_file_that_breaks_while_it_is_read_counts_once(table, tmp_path):
    history = tmp_path / "history"
    history.mkdir()
    pq.write_table(table, history / "good.parquet")
    pq.write_table(table, history / "bad.parquet", write_page_checksum=True)
    whole = bytearray((history / "bad.parquet").read_bytes())
    middle = len(whole) // 2
    whole[middle] ^= 0xFF
    (history / "bad.parquet").write_bytes(whole)
    report = run_audit(history, AuditPlan(), out=tmp_path / "nights", engine=ALONE)
    sizes = [(history / name).stat().st_size for name in ("good.parquet", "bad.parquet")]
    assert report.summary["counts"]["files_rejected"] == 1
    assert report.summary["coverage"]["share"] == min(0.5, 1.0 - sizes[1] / sum(sizes))


def test_a_fleet_of_one_healthy_model_is_healthy(tmp_path):
    write_fleet(FleetSpec(models=1, classes=1, broken=0.0), tmp_path / "fleet")
    report = run_audit(tmp_path / "fleet", AuditPlan(), out=tmp_path / "nights", engine=ALONE)
    assert report.exit_code == 0
    assert report.summary["verdict"] == "healthy"


def test_a_fleet_too_young_to_audit_is_not_called_healthy(tmp_path):
    write_fleet(FleetSpec(models=3, days=2, cadence="daily", broken=0.0), tmp_path / "fleet")
    report = run_audit(tmp_path / "fleet", AuditPlan(), out=tmp_path / "nights", engine=ALONE)
    assert report.summary["verdict"] == "nothing audited"
    assert report.exit_code == 3


def test_a_bad_deployment_is_one_incident_with_its_version_suspected(tmp_path):
    spec = FleetSpec(models=40, classes=2, broken=0.0, fleet_wide=0.3, seed=5)
    write_fleet(spec, tmp_path / "fleet")
    run_audit(tmp_path / "fleet", AuditPlan(), out=tmp_path / "nights", engine=ALONE)
    incidents = open_night(tmp_path / "nights").table("incidents").to_pylist()
    fleet = [i for i in incidents if i["scope"] == "fleet"]
    assert len(fleet) == 1
    assert len(fleet[0]["models"]) == 12
    assert fleet[0]["suspected_factor"].startswith("model_version = 7.1.0")


def test_overrides_change_the_bound_of_the_models_they_name(table, tmp_path):
    text = """
    [[calibration.hardening.overrides]]
    model = "model-0000"
    clamp_rate_threshold = 0.001
    """
    night = audit(table, tmp_path, plan=AuditPlan.from_text(text))
    broken = {
        r["model_id"]
        for r in night.table("violations").to_pylist()
        if r["metric"] == "clamp_rate" and r["verdict"] == "violated"
    }
    assert broken == {"model-0000"}


def test_evidence_columns_are_described_by_one_schema(night):
    assert night.table("evidence").schema.names == EVIDENCE.names


def test_what_failed_is_told_with_regression_detection_off(tmp_path):
    spec = FleetSpec(models=4, classes=1, broken=0.0, seed=3)
    table = pa.Table.from_batches(simulate(spec))
    aece = table["aece"].to_numpy().copy()
    aece[-20:] = np.nan
    table = table.set_column(table.schema.get_field_index("aece"), "aece", pa.array(aece))
    night = audit(table, tmp_path, plan=AuditPlan.from_text(OFF))
    (found,) = night.table("regressions").to_pylist()
    assert (found["regression_type"], found["metric"]) == ("MetricFailure", "aece")
    assert night.summary["exit_code"] == 1


OFF = "[calibration.hardening]\nregression_detection = false"
