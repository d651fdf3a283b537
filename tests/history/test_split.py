"""A shard is split by its models: nothing is lost, nothing is read twice."""

from functools import reduce
from itertools import pairwise
from operator import add

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calhard.assess.windows import Clock
from calhard.history import History, RowAccount, read_blocks
from calhard.history.models import models_of
from calhard.history.shards import Extent, gathered_shards, ordered_shards, split_shard
from calhard.plan import AuditPlan
from tests.faults.fleets import SPEC, fleet

COUNTS = st.dictionaries(st.text(min_size=1, max_size=3), st.integers(1, 500), min_size=1)


def inside(spec, models):
    return [m for m in sorted(models) if spec.holds(m)]


@settings(max_examples=200, deadline=None)
@given(COUNTS, st.integers(2, 8), st.data())
def test_parts_are_a_shards_models_each_once_down_to_single_ones(counts, parts, data):
    shards = gathered_shards(counts, range(2), 1_000)
    spec = data.draw(st.sampled_from(shards))
    own = {m: counts[m] for m in inside(spec, counts)}
    found = split_shard(spec, own, parts)
    assert 1 <= len(found) <= parts
    assert (len(found) == 1) == (len(own) == 1)
    assert (found[0].after, found[-1].through) == (spec.after, spec.through)
    assert all(a.through == b.after for a, b in pairwise(found))
    assert [m for part in found for m in inside(part, counts)] == sorted(own)
    for part in found:
        models = inside(part, counts)
        assert part.rows == sum(counts[m] for m in models)
        assert part.model == (models[0] if len(models) == 1 else None)
        assert part.index == spec.index
    names = {part.name for part in found}
    assert len(names) == len(found)
    assert names.isdisjoint({s.name for s in shards} - {spec.name})


def test_rows_are_spread_over_the_parts():
    counts = {f"m{i:03d}": 10 for i in range(100)} | {"m050": 10_000}
    (spec,) = gathered_shards(counts, [0], 10**6)
    found = split_shard(spec, counts)
    assert [part.model for part in found if part.rows >= 10_000] == ["m050"]
    assert max(part.rows for part in split_shard(spec, dict.fromkeys(counts, 10))) <= 130


def test_a_shard_without_models_cannot_be_split():
    assert split_shard(gathered_shards({}, [0])[0], {}) is None


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=8), st.integers(1, 60), st.data())
def test_every_row_group_is_accounted_for_by_one_part(widths, target, data):
    extents, first = [], 0
    for number, width in enumerate(widths):
        low = first - data.draw(st.integers(0, int(first > 0)))
        extents.append(Extent(0, number, number * 10, 10, f"{low:03d}", f"{first + width - 1:03d}"))
        first += width
    models = [f"{m:03d}" for m in range(first)]
    shards = ordered_shards(extents, target)
    parts = [p for s in shards for p in split_shard(s, dict.fromkeys(inside(s, models), 10))]
    owned = [g for part in parts for piece in part.pieces if piece.owned for g in piece.row_groups]
    assert sorted(owned) == list(range(len(widths)))
    for part in parts:
        for extent in extents:
            there = extent.row_group in {g for piece in part.pieces for g in piece.row_groups}
            holds = any(extent.low <= m <= extent.high for m in inside(part, models))
            assert there or not holds


@pytest.mark.parametrize("sorted_", [True, False])
def test_parts_read_what_their_shard_reads(tmp_path, sorted_):
    names = [(f"m{i}", class_) for i in range(7) for class_ in "cd"]
    table = fleet(names if sorted_ else names[::-1])
    pq.write_table(table, tmp_path / "h.parquet", row_group_size=3 * SPEC.days)
    history = History.open(tmp_path, AuditPlan())
    clock = Clock.of(AuditPlan(), SPEC.end_us)
    reading = history.reading_of(clock, SPEC.end_us)
    (spec,) = history.plan_shards()
    spec = spec if sorted_ else spec.gathered()
    counts = models_of(spec, reading)
    assert counts == dict.fromkeys([f"m{i}" for i in range(7)], 2 * SPEC.days)
    whole = keys_and_account([spec], reading)
    found = split_shard(spec, counts, 3)
    assert len(found) == 3
    assert keys_and_account(found, reading) == whole
    assert whole[0] == sorted(names)
    assert models_of(found[1], reading) == {m: counts[m] for m in inside(found[1], counts)}


def keys_and_account(specs, reading):
    accounts, keys = [], []
    for spec in specs:
        accounts.append(RowAccount())
        for block in read_blocks(spec, reading, accounts[-1]):
            keys += zip(block.model_id, block.class_id, strict=True)
    return keys, reduce(add, accounts)
