"""Memory follows the batch, not the data (fault 16); each reading is a process of its own."""

import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.blocks import AS_OF, HOUR

READ = """
import json, resource, sys, threading, time
import calhard.history.check, scipy.sparse
from calhard.history import History, NotSorted, RowAccount, read_blocks
from calhard.plan import AuditPlan

def resident():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * resource.getpagesize()

def peak():
    with open("/proc/self/status") as f:
        return next(int(l.split()[1]) * 1024 for l in f if l.startswith("VmHWM"))

path, as_of, limit = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
before = resident()
if limit:
    resource.setrlimit(resource.RLIMIT_DATA, (before + limit, before + limit))
history = History.open(path, AuditPlan())
newest = history.newest_timestamp(as_of)
reading = history.reading(as_of_us=as_of, now_us=as_of, since_us=0)
account, groups, shards, largest = RowAccount(), 0, history.plan_shards(), 0
for spec in shards:
    told, seen = RowAccount(), 0
    try:
        for block in read_blocks(spec, reading, told):
            seen += len(block)
            largest = max(largest, len(block.timestamp))
    except NotSorted:
        told, seen = RowAccount(), 0
        seen = sum(len(block) for block in read_blocks(spec.gathered(), reading, told))
    account, groups = account + told, groups + seen
print(json.dumps({
    "grown": peak() - before, "rows": account.rows, "groups": groups, "shards": len(shards),
    "ordered": all(s.ordered for s in shards), "largest": largest, "newest": newest,
    "counts": {reason: n for (_, reason), n in account.counts.items()},
}))
"""
MIB = 2**20

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="peaks of memory are read from /proc"
)


def reading(path, limit=0):
    """Read a history in a process of its own; RLIMIT_DATA is ``limit`` bytes over its imports."""
    arguments = [str(path), str(AS_OF), str(limit)]
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", READ, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def write_sorted(path, models, classes=4, n=250):
    """Sorted rows, one row group after the other, so that writing needs no memory either."""
    rng = np.random.default_rng(0)
    stamps = AS_OF - HOUR * np.arange(n - 1, -1, -1)
    size, step = classes * n, 100
    writer = None
    for first in range(0, models, step):
        chosen = range(first, min(first + step, models))
        table = pa.table(
            {
                "model_id": np.repeat([f"model-{m:06d}" for m in chosen], size),
                "class_id": np.tile(np.repeat([f"c{c}" for c in range(classes)], n), len(chosen)),
                "timestamp": pa.array(np.tile(stamps, classes * len(chosen))).cast(
                    pa.timestamp("us", "UTC")
                ),
                **{m: rng.random(size * len(chosen)) for m in ("aece", "dece", "alpha")},
            }
        )
        writer = writer or pq.ParquetWriter(path, table.schema, compression="lz4")
        writer.write_table(table, row_group_size=2**17)
    writer.close()
    return path


@pytest.mark.slow
def test_reading_five_times_the_sorted_rows_needs_no_more_memory(tmp_path):
    small = reading(write_sorted(tmp_path / "small.parquet", 600))
    large = reading(write_sorted(tmp_path / "large.parquet", 3_000))
    assert (small["rows"], large["rows"]) == (600_000, 3_000_000)
    assert small["ordered"]
    assert large["ordered"]
    assert large["shards"] > 1
    assert large["grown"] <= 1.15 * small["grown"] + 8 * MIB
    assert large["grown"] <= 160 * MIB
    assert large["largest"] <= 2 * 2**17


def test_a_giant_model_of_a_hundred_thousand_classes_is_read_within_bounds(tmp_path):
    size = 100_000
    table = pa.table(
        {
            "model_id": pa.DictionaryArray.from_arrays(np.zeros(2 * size, np.int32), ["giant"]),
            "class_id": np.repeat([f"class-{c:06d}" for c in range(size)], 2),
            "timestamp": pa.array(np.tile([AS_OF - HOUR, AS_OF], size), pa.timestamp("us", "UTC")),
            "aece": np.full(2 * size, 0.5),
        }
    )
    pq.write_table(table, tmp_path / "h.parquet", row_group_size=2**15)
    found = reading(tmp_path / "h.parquet", limit=400 * MIB)
    assert (found["groups"], found["rows"], found["ordered"]) == (size, 2 * size, True)
    shuffled = table.take(np.random.default_rng(0).permutation(2 * size))
    pq.write_table(shuffled, tmp_path / "h.parquet", row_group_size=2**15)
    found = reading(tmp_path / "h.parquet", limit=400 * MIB)
    assert (found["groups"], found["rows"]) == (size, 2 * size)


def test_ten_thousand_tiny_models_are_read_within_bounds(tmp_path):
    size = 10_000
    table = pa.table(
        {
            "model_id": [f"model-{m:05d}" for m in range(size)],
            "class_id": ["c"] * size,
            "timestamp": pa.array([AS_OF] * size, pa.timestamp("us", "UTC")),
            "aece": np.full(size, 0.5),
        }
    )
    pq.write_table(table, tmp_path / "h.parquet", row_group_size=100)
    found = reading(tmp_path / "h.parquet", limit=300 * MIB)
    assert (found["groups"], found["rows"], found["shards"]) == (size, size, 1)
    assert found["newest"] == AS_OF


def test_ids_of_64_kb_are_counted_within_bounds(tmp_path):
    size = 1_000
    table = pa.table(
        {
            "model_id": [f"{i:08d}" * 8_192 for i in range(size)] + ["m"] * size,
            "class_id": ["c"] * 2 * size,
            "timestamp": pa.array(
                AS_OF - HOUR * (np.arange(2 * size) % size), pa.timestamp("us", "UTC")
            ),
            "aece": np.full(2 * size, 0.5),
        }
    )
    pq.write_table(table, tmp_path / "h.parquet", row_group_size=500)
    found = reading(tmp_path / "h.parquet", limit=700 * MIB)
    assert found["counts"] == {"id longer than 1,024 bytes": size}
    assert (found["groups"], found["rows"]) == (1, size)
