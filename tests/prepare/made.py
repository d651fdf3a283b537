"""Small histories of many layouts, and what is read of them and of what is prepared from them."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from calhard.engines import LocalEngine
from calhard.history import History
from calhard.plan import AuditPlan
from calhard.prepare import prepare_history
from tests.blocks import AS_OF, DAY, HOUR
from tests.history.reading import UTC_US, read

MANIFEST = "_manifest.json"
PLACELESS = {
    "model_id is null or empty",
    "class_id is null or empty",
    "id longer than 1,024 bytes",
    "id is not UTF-8",
    "timestamp is null",
    "timestamp in an hour that the clock repeats",
    "timestamp in an hour that its zone skips",
}
KEYS = ("model_id", "class_id", "timestamp")


def prepare(source, out, *, plan=None, workers=1, **more):
    """Prepare in this process, or with workers."""
    return prepare_history(
        source, out, plan=plan or AuditPlan(), engine=LocalEngine(workers), **more
    )


def small(monkeypatch, part=64, ranges=24, group=16, spill=20, task=50):
    """Cut everything into pieces of a few rows."""
    monkeypatch.setattr("calhard.prepare.packing.PART_ROWS", part)
    monkeypatch.setattr("calhard.prepare.packing.RANGE_ROWS", ranges)
    monkeypatch.setattr("calhard.prepare.sink.GROUP_ROWS", group)
    monkeypatch.setattr("calhard.prepare.spill.SPILL_ROWS", spill)
    monkeypatch.setattr("calhard.measure.pieces.TASK_ROWS", task)


def odd(rng, size, values):
    """Return floats among which some are null, not finite, or a negative zero."""
    values = values.copy()
    for odd_one in (np.nan, np.inf, -0.0, 0.0, -1.0):
        values[rng.random(size) < 0.03] = odd_one
    return pa.array(values, mask=rng.random(size) < 0.1)


def rows(rng, models=("a", "b", "é", "m-10", "m-9"), classes=("x", "y"), size=200, sound=False):
    """Return rows of ragged series in any order, some twice, some refused by an audit."""
    model = rng.choice(np.array([*models], object), size, p=_skew(len(models)))
    class_ = rng.choice(np.array([*classes], object), size)
    stamp = AS_OF - HOUR * rng.integers(0, 60, size)
    if not sound:
        for column in (model, class_):
            column[rng.random(size) < 0.02] = None
            column[rng.random(size) < 0.02] = ""
        stamp[rng.random(size) < 0.02] = AS_OF + 30 * DAY
        stamp[rng.random(size) < 0.02] = 1_000_000
    table = pa.table(
        {
            "model_id": pa.array(model, pa.string()),
            "class_id": pa.array(class_, pa.string()),
            "timestamp": pa.array(stamp, UTC_US, mask=None if sound else rng.random(size) < 0.02),
            "aece": odd(rng, size, rng.random(size)),
            "dece": odd(rng, size, rng.random(size)),
            "total_samples": pa.array(rng.integers(-1, 9, size), mask=rng.random(size) < 0.2),
            "model_version": pa.array(rng.choice(["1", "2"], size), mask=rng.random(size) < 0.3),
            "region": pa.array(rng.choice(["eu", "ü s", ""], size), mask=rng.random(size) < 0.3),
            "build": pa.array(rng.integers(0, 99, size), mask=rng.random(size) < 0.1),
        }
    )
    again = table.take(rng.integers(0, size, size // 10))
    return pa.concat_tables(
        [table, again, again.set_column(3, "aece", pa.nulls(len(again), pa.float64()))]
    )


def _skew(size):
    """A giant, and others."""
    share = np.array([3.0, *np.ones(size - 1)])
    return share / share.sum()


TIMES = (
    UTC_US,
    pa.timestamp("s", "UTC"),
    pa.timestamp("ms", "Europe/Berlin"),
    pa.timestamp("ns", "UTC"),
    pa.int64(),
)
TEXTS = (pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string()))


def typed(rng, table):
    """Return the same rows in types that a file may hold them in."""
    for name in [n for n in ("model_id", "class_id", "region") if n in table.schema.names]:
        kind = TEXTS[rng.integers(len(TEXTS))]
        table = _with(table, name, table[name].cast(pa.string()).cast(kind))
    time = table["timestamp"]
    kind = TIMES[rng.integers(len(TIMES))]
    if pa.types.is_integer(kind):
        seconds = time.cast(pa.int64()).to_pylist()
        time = pa.array([None if s is None else s // 1_000_000 for s in seconds], pa.int64())
    else:
        time = time.cast(kind)
    table = _with(table, "timestamp", time)
    if "build" in table.schema.names:
        kind = (pa.int64(), pa.int16())[rng.integers(2)]
        table = _with(table, "build", table["build"].cast(kind))
    return table


def _with(table, name, column):
    return table.set_column(table.schema.get_field_index(name), name, column)


def lay_out(rng, table, folder, files=3, kinds=("parquet", "arrow", "csv")):
    """Write rows in any order into files of some kinds."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    table = table.take(rng.permutation(table.num_rows))
    cuts = [0, *sorted(rng.integers(0, table.num_rows, files - 1).tolist()), table.num_rows]
    for number, (begin, end) in enumerate(pairwise(cuts)):
        kind = kinds[rng.integers(len(kinds))]
        part = table.slice(begin, end - begin)
        write(Path(folder) / f"{number}.{kind}", part if kind == "csv" else typed(rng, part), rng)
    return folder


def write(path, table, rng=None):
    """Write a file of the kind that its name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        size = None if rng is None else int(rng.integers(5, 80))
        pq.write_table(table, path, row_group_size=size, write_page_checksum=True)
    elif path.suffix == ".csv":
        csv.write_csv(table, path)
    else:
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
    return path


def seen(path, plan=None):
    """Return all that an audit sees of a history: groups, rows, and the others by reason."""
    found = read(path, plan)
    counts = {reason: n for reason, n in found.counts().items() if reason not in PLACELESS}
    return found.groups, found.account.rows, counts, found.history.metrics, found.history.tags


def streams(out, plan=None):
    """Return whether an audit reads a folder in one pass, row by row in order."""
    shards = History.open(out, plan or AuditPlan()).plan_shards()
    tables = [pq.read_table(path, columns=[*KEYS]) for path in sorted(Path(out).glob("*.parquet"))]
    keys = list(zip(*(pa.concat_tables(tables)[name].to_pylist() for name in KEYS), strict=True))
    return all(shard.ordered for shard in shards) and keys == sorted(keys)


def table_of(out):
    """Return all rows of a prepared folder."""
    return pa.concat_tables(
        [pq.read_table(path) for path in sorted(Path(out).glob("*.parquet"))],
        promote_options="default",
    )


def content(out):
    """Return the bytes of a prepared folder's files, and nothing else may be there."""
    found = {
        p.relative_to(out).as_posix(): p.read_bytes() for p in Path(out).rglob("*") if p.is_file()
    }
    assert found.pop("_lock") is not None
    assert all(n.endswith(".parquet") or n == MANIFEST for n in found), sorted(found)
    return found
