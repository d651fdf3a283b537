"""Sorted runs become one; spilled rows come back as they were."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from calhard.history.ids import Keys
from calhard.measure.merging import merged
from calhard.measure.periods import Period
from calhard.measure.rows import NO_EXAMPLE, PredictionRows
from calhard.measure.spill import Shape, SpillWriter, slot_of
from calhard.measure.spilled import SpillReader, bucketed

SCHEMA = pa.schema([("a", pa.string()), ("t", pa.int64()), ("v", pa.float64())])
NAMES = st.sampled_from(["", "a", "é", "z", "\U0001f600", "\uffff"])


@given(st.sets(st.tuples(NAMES, st.integers(0, 9)), max_size=40), st.randoms(), st.integers(1, 5))
def test_runs_are_merged_in_the_order_of_their_keys_whatever_their_batches(keys, random, size):
    runs = [[] for _ in range(4)]
    for key in sorted(keys):
        runs[random.randrange(4)].append(key)

    def batches(run):
        for i in range(0, len(run), size):
            names, times = zip(*run[i : i + size], strict=True)
            columns = {"a": pa.array(names, pa.string()), "t": pa.array(times, pa.int64())}
            yield pa.record_batch(columns)

    found = list(merged([batches(run) for run in runs], ("a", "t"), SCHEMA))
    rows = [(r["a"], r["t"]) for table in found for r in table.to_pylist()]
    assert rows == sorted(keys)
    assert all(table.schema == SCHEMA and table["v"].null_count == len(table) for table in found)


def some_rows(keys, size, rng):
    pair = [keys.pair(f"m{i}", f"c{j}") for i in range(5) for j in range(3)]
    return PredictionRows(
        rng.choice(np.array(pair, np.int32), size),
        rng.integers(10**15, 2 * 10**15, size),
        rng.uniform(0, 1, size),
        rng.uniform(0, 1, size),
        rng.uniform(0, 2, size),
        rng.integers(0, 8, size).astype(np.int8),
        np.where(rng.uniform(size=size) < 0.5, rng.integers(0, 99, size), NO_EXAMPLE),
        {"t": rng.choice([keys.word("t", "u"), keys.word("t", "v"), -1], size).astype(np.int32)},
    )


def told(rows, keys):
    """Rows by their names, in a fixed order."""
    words = [*keys.words["t"], None]
    columns = (rows.timestamp, rows.score, rows.label, rows.weight, rows.state, rows.example)
    names = [keys.pairs[code] for code in rows.pair.tolist()]
    tags = [words[code] for code in rows.tags["t"].tolist()]
    numbers = (column.tolist() for column in columns)
    return sorted(zip(names, *numbers, tags, strict=True), key=repr)


def test_spilled_rows_come_back_bucket_by_bucket_with_names_that_other_files_share(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("calhard.measure.spill.SPILL_ROWS", 100)
    rng = np.random.default_rng(3)
    shape = Shape(Period.parse("1d"), 7, ("t",), weighted=True, examples=True)
    spills, expected = [], []
    for number in range(3):
        keys = Keys()
        keys.pair(f"only in {number}", "x")
        with SpillWriter(tmp_path / f"{number}.rows", shape, keys) as writer:
            for _ in range(4):
                rows = some_rows(keys, 60, rng)
                expected += told(rows, keys)
                writer.write(rows)
        spills.append(writer.spill())
    found, cells = [], []
    buckets = list(bucketed(spills, 200))
    for size, batches in buckets:
        keys = Keys()
        reader = SpillReader(shape, keys)
        parts = [reader.read(path, chosen) for path, chosen in batches.items()]
        assert sum(map(len, parts)) == size
        for part in parts:
            found += told(part, keys)
        days = [part.timestamp // 86_400_000_000 for part in parts]
        cells.append(
            {
                (keys.pairs[code][0], day)
                for part, number in zip(parts, days, strict=True)
                for code, day in zip(part.pair.tolist(), number.tolist(), strict=True)
            }
        )
    assert sorted(found, key=repr) == sorted(expected, key=repr)
    assert len(buckets) > 2
    assert sum(map(len, cells)) == len(set().union(*cells)), "a model's day lies in one bucket"


def test_slots_are_about_equally_full_and_the_same_on_every_machine():
    crc, number = np.meshgrid(np.arange(200, dtype=np.uint64), np.arange(100))
    slot = slot_of(crc.ravel(), number.ravel(), 16)
    counts = np.bincount(slot, minlength=16)
    assert counts.sum() == 20_000
    assert 1_000 < counts.min() <= counts.max() < 1_500
    assert slot_of(np.array([1, 2], np.uint64), np.array([3, -4]), 256).tolist() == [14, 254]
