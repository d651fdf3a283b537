"""Memory follows the batch, not the log (fault 16); each reading is a process of its own."""

import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.blocks import AS_OF, HOUR

READ = """
import json, resource, sys
from calhard.history import RowAccount
from calhard.history.ids import Keys
from calhard.measure.predictions import Predictions, read_rows
from calhard.plan import AuditPlan

def told(name):
    with open("/proc/self/status") as f:
        return next(int(l.split()[1]) * 1024 for l in f if l.startswith(name))

before = told("VmRSS")
reading = Predictions.open(sys.argv[1], AuditPlan()).reading(int(sys.argv[2]))
account, keys = RowAccount(), Keys()
rows = sum(len(r) for r in read_rows(reading, 0, keys, account))
print(json.dumps({"grown": told("VmHWM") - before, "rows": rows, "pairs": len(keys.pairs)}))
"""
MIB = 2**20

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not sys.platform.startswith("linux"), reason="peaks of memory are read from /proc"
    ),
]


def reading(path):
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", READ, str(path), str(AS_OF)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def written(path, groups, size=2**17):
    """A log of ``groups`` row groups, every row an example of its own."""
    rng = np.random.default_rng(0)
    writer = None
    for group in range(groups):
        at = np.arange(group * size, (group + 1) * size)
        table = pa.table(
            {
                "model_id": [f"m{i % 50}" for i in at],
                "class_id": ["c"] * size,
                "timestamp": pa.array(AS_OF - HOUR - at, pa.timestamp("us", "UTC")),
                "score": rng.random(size),
                "label": rng.random(size) < 0.5,
                "example_id": [f"example {i}" for i in at],
            }
        )
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    writer.close()
    return path


def test_eight_times_the_rows_need_no_more_memory(tmp_path):
    few = reading(written(tmp_path / "few.parquet", 2))
    many = reading(written(tmp_path / "many.parquet", 16))
    assert (few["rows"], many["rows"]) == (2 * 2**17, 16 * 2**17)
    assert few["pairs"] == many["pairs"] == 50
    assert many["grown"] < few["grown"] + 32 * MIB
