"""Audits of a history and of what was prepared from it publish the same night, byte by byte."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from calhard.engines import LocalEngine
from calhard.pipeline import run_audit
from calhard.plan import AuditPlan
from calhard.simulate import FleetSpec, simulate
from calhard.store import open_night
from tests.faults.fleets import contents
from tests.prepare.made import lay_out, prepare, rows, small, streams

SPEC = FleetSpec(models=8, classes=2, cadence="daily", days=60, broken=0.5, seed=5)


def night(history, out, plan=None):
    run_audit(history, plan or AuditPlan(), out=out, engine=LocalEngine(1), as_of_us=AS_OF)
    tables = {name: data for name, data in contents(out).items() if name.endswith(".parquet")}
    assert len(tables) > 8
    del tables["coverage.parquet"]  # names files and rows
    return tables, told(open_night(out).table("coverage"))


AS_OF = 1_780_272_000_000_000


def told(coverage):
    """Coverage without the places in files, and without whether files have checksums."""
    rows = coverage.drop_columns(["example"]).to_pylist()
    return [row for row in rows if row["outcome"] != "unverifiable"]


def fleet(rng):
    """Series with faults, rows that are there twice, some that disagree, and odd ones."""
    table = pa.Table.from_batches(simulate(SPEC))
    again = table.take(rng.integers(0, table.num_rows, 30))
    other = again.set_column(again.schema.get_field_index("aece"), "aece", pa.array(rng.random(30)))
    tables = [table, again.slice(0, 25), other.slice(25), rows(rng, ["A", "zz"], ["c"], size=60)]
    return pa.concat_tables(tables, promote_options="permissive")


@pytest.mark.parametrize("seed", range(4))
def test_any_layout_gives_the_same_night(tmp_path, monkeypatch, seed):
    rng = np.random.default_rng(seed)
    lay_out(rng, fleet(rng), tmp_path / "h", files=4)
    expected, coverage = night(tmp_path / "h", tmp_path / "nights")
    small(monkeypatch, part=200, ranges=90, group=64, spill=100, task=300)
    report = prepare(tmp_path / "h", tmp_path / "out")
    assert streams(tmp_path / "out")
    assert report.parts > 4
    found, covered = night(tmp_path / "out", tmp_path / "other")
    assert found.keys() == expected.keys()
    assert {name for name in found if found[name] != expected[name]} == set()
    placed = [row for row in coverage if "timestamp is null" not in row["reason"]]
    assert [row for row in placed if "null or empty" not in row["reason"]] == covered


def test_a_night_of_days_that_were_prepared_one_by_one_is_the_same(tmp_path):
    rng = np.random.default_rng(9)
    table = pa.Table.from_batches(simulate(SPEC))
    day = pc.floor_temporal(table["timestamp"], unit="week")
    for number, start in enumerate(pc.unique(day).to_pylist()):
        lay_out(rng, table.filter(pc.equal(day, start)), tmp_path / "h" / f"{number}", files=1)
        prepare(tmp_path / "h", tmp_path / "out")
    assert night(tmp_path / "out", tmp_path / "other") == night(tmp_path / "h", tmp_path / "nights")
