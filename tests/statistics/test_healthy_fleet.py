"""A healthy fleet of 1,000 models, 5 classes and 5 metrics, three weeks of hours: near silence."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from calhard.simulate import FleetSpec, write_fleet
from calhard.store import open_night

MEBIBYTES = 256


@pytest.mark.slow
def test_a_healthy_fleet_of_a_thousand_models_stays_silent_in_little_memory(tmp_path):
    write_fleet(
        FleetSpec(models=1_000, classes=5, days=21, broken=0.0, seed=17), tmp_path / "fleet"
    )
    places = [str(tmp_path / name) for name in ("fleet", "out")]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", *places, "2"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    night = open_night(tmp_path / "out")
    counts = night.summary["counts"]
    assert counts["ok"] == 1_000 * 5 * 7
    assert counts["rows"] == 1_000 * 5 * 21 * 24
    alarmed = night.table("regressions").num_rows + night.table("improvements").num_rows
    assert alarmed + counts["violations"] <= 0.001 * 1_000 * 5 * 5
    assert night.summary["coverage"]["share"] == 1.0
    if sys.platform == "linux":
        peak = json.loads(done.stdout.splitlines()[-1])
        assert max(peak["driver"], peak["worker"]) <= MEBIBYTES
