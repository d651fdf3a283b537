"""Memory follows a range of keys, not the history (fault 16); each run is a process of its own."""

import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.blocks import AS_OF, HOUR
from tests.history.reading import UTC_US

PREPARE = """
import json, sys
from calhard.engines import LocalEngine
from calhard.history import History
from calhard.measure import pieces
from calhard.plan import AuditPlan
from calhard.prepare import packing, prepare_history, sink, spill
import calhard.prepare.tasks, scipy.sparse

packing.PART_ROWS, packing.RANGE_ROWS, pieces.TASK_ROWS = 2**17, 2**15, 2**17
sink.GROUP_ROWS, spill.SPILL_ROWS = 2**14, 2**15

def told(name):
    with open("/proc/self/status") as f:
        return next(int(l.split()[1]) * 1024 for l in f if l.startswith(name))

before = told("VmRSS")
report = prepare_history(*sys.argv[1:], plan=AuditPlan(), engine=LocalEngine(1))
grown = told("VmHWM") - before
shards = History.open(sys.argv[2], AuditPlan()).plan_shards()
print(json.dumps({"grown": grown, "rows": report.rows, "ordered": all(s.ordered for s in shards)}))
"""
MIB = 2**20

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not sys.platform.startswith("linux"), reason="peaks of memory are read from /proc"
    ),
]


def prepared(history, out):
    done = subprocess.run(
        [sys.executable, "-c", PREPARE, str(history), str(out)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def written(path, rows, models):
    """A file of rows in order of time, of so many models."""
    rng = np.random.default_rng(0)
    step = 2**17
    writer = None
    for begin in range(0, rows, step):
        size = min(step, rows - begin)
        model = np.char.add("m", rng.integers(0, models, size).astype(str))
        table = pa.table(
            {
                "model_id": model,
                "class_id": ["c"] * size,
                "timestamp": pa.array(AS_OF - HOUR + np.arange(begin, begin + size), UTC_US),
                **{name: rng.random(size) for name in ("aece", "dece", "brier", "alpha")},
            }
        )
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table, row_group_size=2**16)
    writer.close()
    return path


@pytest.mark.parametrize("models", [1, 300_000], ids=["giant", "tiny"])
def test_five_times_the_rows_take_the_same_memory(tmp_path, models):
    found = {}
    for rows in (200_000, 1_000_000):
        path = written(tmp_path / f"{rows}.parquet", rows, models)
        found[rows] = prepared(path, tmp_path / f"out-{rows}")
        assert found[rows]["rows"] == rows
        assert found[rows]["ordered"]
    little, much = (found[rows]["grown"] for rows in found)
    assert much <= 1.25 * little + 16 * MIB, (little / MIB, much / MIB)
