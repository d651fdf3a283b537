"""One calhard.toml for both: names of one's own in the predictions, calhard's in the history."""

import pyarrow as pa
import pyarrow.parquet as pq

from calhard.history import History
from calhard.measure import period_history
from calhard.measure.run import measure_history
from calhard.plan import AuditPlan

PLAN = AuditPlan.from_text("""
[calibration.hardening.columns]
model_id = "model"
timestamp = "when"
score = "p"
[calibration.hardening.measure]
tags = ["region"]
""")


def log(folder):
    size = 60
    table = {
        "model": ["ranker"] * size,
        "class_id": ["click"] * size,
        "when": [1_767_225_600 + 7_200 * i for i in range(size)],
        "p": [0.5] * size,
        "label": [i % 2 for i in range(size)],
        "region": ["north"] * size,
        "request": [f"r{i}" for i in range(size)],
    }
    pq.write_table(pa.table(table), folder / "log.parquet")
    return folder / "log.parquet"


def test_what_was_measured_under_a_configuration_is_audited_under_it(tmp_path):
    measure_history(log(tmp_path), tmp_path / "history", plan=PLAN)
    history = History.open(tmp_path / "history", PLAN)
    assert history.account.files == {}
    assert history.plans[0].source["model_id"] == "model_id"
    assert history.tags == ("region",)


def test_text_that_is_no_tag_is_left_out_of_the_history(tmp_path):
    found = period_history(pq.read_table(log(tmp_path)), plan=PLAN)
    assert found.schema.names[-1] == "region"
    assert set(found["region"].to_pylist()) == {"north"}
    everything = AuditPlan(columns=PLAN.columns)
    assert "request" in period_history(pq.read_table(log(tmp_path)), plan=everything).schema.names
