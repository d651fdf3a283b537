"""A jump that began before the analysis window is told by the levels before and after it."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import calhard

HOURS = 35 * 24


@pytest.mark.parametrize("days", [9, 4])
def test_the_levels_are_those_on_both_sides_of_the_jump(tmp_path, days):
    noise = 0.01 * np.random.default_rng(3).standard_normal(HOURS)
    alpha = np.where(np.arange(HOURS) < HOURS - 24 * days, 1.06, 0.86) + noise
    table = {
        "model_id": ["m"] * HOURS,
        "class_id": ["c"] * HOURS,
        "timestamp": [1_767_225_600 + 3_600 * hour for hour in range(HOURS)],
        "alpha": alpha,
    }
    pq.write_table(pa.table(table), tmp_path / "history.parquet")
    report = calhard.audit(tmp_path / "history.parquet", out=tmp_path / "out", workers=1)
    (row,) = report.regressions.to_pylist()
    assert row["regression_type"] == "SuddenJump"
    assert row["baseline_value"] == pytest.approx(1.06, abs=0.03)
    assert row["current_value"] == pytest.approx(0.86, abs=0.03)
