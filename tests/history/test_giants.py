"""Models that no worker could hold are found beforehand, by footers or by one pass over names."""

import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from calhard.assess.windows import Clock
from calhard.history import History, find_giants
from calhard.history.giants import row_bytes
from calhard.plan import AuditPlan
from tests.blocks import AS_OF, DAY, HOUR

MINUTE = HOUR // 60
EACH = 1_000


def rows(model, class_, n=EACH, *, newest=AS_OF, step=MINUTE):
    """Return rows of one series up to an instant."""
    stamps = newest - step * np.arange(n - 1, -1, -1)
    return pa.table(
        {
            "model_id": [model] * n,
            "class_id": [class_] * n,
            "timestamp": pa.array(stamps, pa.timestamp("us", "UTC")),
            "aece": np.full(n, 0.5),
        }
    )


def write(folder, *tables, group=100):
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.concat_tables(tables), folder / "h.parquet", row_group_size=group)
    return folder


def giants(folder, limit_rows, plan=None):
    """Return (model, class, rows) of those of more rows than a worker may hold."""
    plan = plan or AuditPlan()
    history = History.open(folder, plan)
    reading = history.reading_of(Clock.of(plan, AS_OF), AS_OF)
    shards = history.plan_shards()
    each = row_bytes(reading, ordered=shards[0].ordered)
    found = find_giants(shards, reading, limit_rows * each)
    assert all(giant.bytes == giant.rows * each > limit_rows * each for giant in found)
    return [(giant.model_id, giant.class_id, giant.rows) for giant in found]


def test_a_series_of_a_sorted_history_is_told_by_the_footers_as_far_as_they_do(tmp_path):
    folder = write(tmp_path, rows("a", "c", 150), rows("b", "c"), rows("d", "c", 150))
    assert giants(folder, 800) == [("b", "c", 900)], "not the 50 rows in a group with a's"
    assert giants(folder, 900) == []
    assert giants(folder, 100) == [("b", "c", 900)]


def test_a_model_of_many_classes_is_streamed_whatever_its_size(tmp_path):
    parts = [rows("b", f"c{i}", 200) for i in range(20)]
    folder = write(tmp_path, *parts)
    assert giants(folder, 200) == []
    assert giants(folder, 199)[0][0] == "b"


def test_rows_that_no_audit_reads_are_not_counted(tmp_path):
    old = rows("b", "c", 500, newest=AS_OF - 1_200 * DAY)
    early = rows("b", "c", 300, newest=AS_OF - 20 * DAY)
    late = rows("b", "c", 500, newest=AS_OF + DAY)
    folder = write(tmp_path, old, early, rows("b", "c", 300), late)
    assert giants(folder, 599) == [("b", "c", 600)]
    assert giants(folder, 600) == []


def test_rows_that_become_known_later_are_not_counted(tmp_path):
    table = rows("b", "c")
    known = table["timestamp"].to_numpy().copy()
    known[-200:] += np.timedelta64(2, "D")
    known = pa.array(known, pa.timestamp("us", "UTC"))
    folder = write(tmp_path, table.append_column("ingested_at", known))
    assert giants(folder, 799) == [("b", "c", 800)]


def test_footers_without_statistics_tell_of_no_giant(tmp_path):
    table = rows("b", "c")
    statistics = {"write_statistics": ["model_id", "class_id"]}
    pq.write_table(table, tmp_path / "h.parquet", row_group_size=100, **statistics)
    assert giants(tmp_path, 1) == []


def test_folders_name_models_and_classes_as_well(tmp_path):
    for class_ in "cd":
        place = tmp_path / "model_id=b" / f"class_id={class_}"
        place.mkdir(parents=True)
        table = rows("x", "x", EACH if class_ == "c" else 10).drop(["model_id", "class_id"])
        pq.write_table(table, place / "h.parquet", row_group_size=300)
    assert giants(tmp_path, 999) == [("b", "c", 1_000)]


@pytest.mark.parametrize("kind", ["parquet", "arrow", "csv"])
def test_of_an_unsorted_history_the_whole_model_is_counted_within_reach(tmp_path, kind):
    old = rows("b", "c", 500, newest=AS_OF - 1_200 * DAY)
    table = pa.concat_tables([rows("a", "c"), rows("b", "d"), rows("b", "c"), old])
    table = table.take(np.random.default_rng(0).permutation(len(table)))
    path = tmp_path / f"h.{kind}"
    if kind == "parquet":
        pq.write_table(table, path, row_group_size=100)
    elif kind == "arrow":
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
    else:
        pa.csv.write_csv(table, path)
    assert giants(tmp_path, 1_999) == [("b", None, 2_000)]
    assert giants(tmp_path, 2_000) == []


HOLD = """
import json, sys, tempfile
from pathlib import Path
import pyarrow as pa, scipy.sparse
from calhard.assess.block import Rules
from calhard.assess.windows import Clock
from calhard.history import History
from calhard.history.giants import row_bytes
from calhard.pipeline.tasks import AssessShard
from calhard.plan import AuditPlan

def told(name):
    with open("/proc/self/status") as f:
        return next(int(l.split()[1]) * 1024 for l in f if l.startswith(name))

pa.set_cpu_count(1)
plan, as_of, ordered = AuditPlan(), int(sys.argv[2]), sys.argv[3] == "ordered"
history = History.open(sys.argv[1], plan)
clock, catalogue = Clock.of(plan, as_of), plan.metric_catalogue()
reading = history.reading_of(clock, as_of)
rules = Rules.of(plan, {name: catalogue[name] for name in history.metrics}, clock)
assess = AssessShard(reading, rules, Path(tempfile.mkdtemp(dir=sys.argv[4])))
shards = history.plan_shards()
before = told("VmRSS")
for spec in shards:
    assess(spec if ordered else spec.gathered())
print(json.dumps([told("VmHWM") - before, row_bytes(reading, ordered=ordered)]))
"""


def held(path, order, folder):
    command = [sys.executable, "-c", HOLD, str(path), str(AS_OF), order, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peaks are read from /proc")
@pytest.mark.parametrize(("order", "most"), [("ordered", 1.6), ("gathered", 3.5)])
def test_a_row_takes_as_much_as_is_said_and_not_much_more(tmp_path, order, most):
    peaks = []
    for size in (400_000, 1_600_000):
        table = rows("b", "c", size, step=HOUR // 3_600)
        rng = np.random.default_rng(0)
        for name in ("dece", "alpha"):
            table = table.append_column(name, pa.array(rng.random(size)))
        pq.write_table(table, tmp_path / f"{size}.parquet", row_group_size=2**17)
        peak, each = held(tmp_path / f"{size}.parquet", order, tmp_path)
        peaks.append(peak)
    grown = (peaks[1] - peaks[0]) / 1_200_000
    assert each <= grown <= most * each
