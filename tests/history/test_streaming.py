"""Sorted rows are streamed, others gathered, and neither loses or doubles anything."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calhard.history import BadFile, History, NotSorted, RowAccount, read_blocks
from calhard.history.shards import Extent, Piece, gathered_shards, ordered_shards
from calhard.plan import AuditPlan
from tests.blocks import AS_OF, DAY
from tests.history.reading import UTC_US, hours, read, read_shard, rows, write

MODELS = [f"m{i}" for i in range(7)]


def ragged(rng, models=MODELS, classes=("x", "y", "z"), most=6):
    """A sorted table of groups of very different lengths, with every column a reader keeps."""
    keys = [(m, c, n) for m in models for c in classes for n in [int(rng.integers(0, most))]]
    ids = [(m, c, t) for m, c, n in keys for t in hours(n)]
    size = len(ids)
    return pa.table(
        {
            "model_id": pa.array([i[0] for i in ids], pa.string()),
            "class_id": pa.array([i[1] for i in ids], pa.string()),
            "timestamp": pa.array([i[2] for i in ids], UTC_US),
            "aece": pa.array(np.where(rng.random(size) < 0.1, np.nan, rng.random(size))),
            "dece": pa.array(rng.random(size), mask=rng.random(size) < 0.2),
            "total_samples": pa.array(rng.integers(0, 9, size), mask=rng.random(size) < 0.2),
            "model_version": pa.array(rng.choice(["1", "2"], size), mask=rng.random(size) < 0.3),
        }
    )


def sharded(target):
    """Plan a history with shards of another size than a real night's."""

    def plan(history):
        extents = history._extents()
        ordered = None if extents is None else ordered_shards(extents, target)
        if ordered is not None:
            return ordered
        return gathered_shards(history._model_counts(), range(len(history.files)), target)

    return plan


def plain(found):
    """What must not depend on the layout."""
    account = found.account
    keys = {key: (n, account.examples[key].detail) for key, n in account.counts.items()}
    return found.groups, account.rows, keys, account.files


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_row_group_and_file_size_gives_the_same_blocks_and_account(tmp_path_factory, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    table = ragged(rng)
    home = tmp_path_factory.mktemp("h")
    expected = plain(read(write(home / "whole.parquet", table)))
    cuts = data.draw(st.lists(st.integers(0, table.num_rows), max_size=4))
    for number, (begin, end) in enumerate(pairwise([0, *sorted(cuts), table.num_rows])):
        size = data.draw(st.integers(1, 30))
        part = table[begin:end]
        write(home / "parts" / f"{number}.parquet", part, row_group_size=size)
    target = data.draw(st.integers(1, 60))
    assert plain(read(home / "parts", shards=sharded(target))) == expected
    assert expected[1] == table.num_rows


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_order_of_rows_gives_the_same_blocks_and_account(tmp_path_factory, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    table = ragged(rng)
    home = tmp_path_factory.mktemp("h")
    expected = plain(read(write(home / "whole.parquet", table)))
    shuffled = table.take(rng.permutation(table.num_rows))
    files = data.draw(st.integers(1, 4))
    for number in range(files):
        part = shuffled[number::files] if files > 1 else shuffled
        write(home / "parts" / f"{number}.parquet", part, row_group_size=11)
    target = data.draw(st.integers(1, 80))
    assert plain(read(home / "parts", shards=sharded(target))) == expected


def test_a_hundred_permutations_and_splits_give_the_same_blocks(tmp_path):
    rng = np.random.default_rng(10)
    table = ragged(rng)
    expected = plain(read(write(tmp_path / "whole.parquet", table)))
    for turn in range(100):
        home = tmp_path / str(turn)
        order = rng.permutation(table.num_rows)
        for number, chosen in enumerate(np.array_split(order, rng.integers(1, 4))):
            write(home / f"{number}.parquet", table.take(chosen))
        assert plain(read(home)) == expected


@pytest.mark.parametrize("size", [1, 3, 4, 5, 7])
def test_a_series_cut_by_row_groups_is_carried_over(size, tmp_path):
    path = write(tmp_path / "h.parquet", rows(n=10), row_group_size=size)
    history = History.open(path, AuditPlan())
    (spec,) = history.plan_shards()
    assert spec.ordered
    reading = history.reading(as_of_us=AS_OF, now_us=AS_OF, since_us=0)
    blocks = list(read_blocks(spec, reading, RowAccount()))
    assert sum(len(b.timestamp) for b in blocks) == 40
    assert [key for b in blocks for key in zip(b.model_id, b.class_id, strict=True)] == [
        *(("a", "x"), ("a", "y"), ("b", "x"), ("b", "y"))
    ]


def test_a_series_cut_by_a_file_boundary_is_carried_over(tmp_path):
    table = rows(n=10)
    write(tmp_path / "h" / "1.parquet", table[:13])
    write(tmp_path / "h" / "2.parquet", table[13:])
    history = History.open(tmp_path / "h", AuditPlan())
    assert all(spec.ordered for spec in history.plan_shards())
    assert read(tmp_path / "h").groups == read(write(tmp_path / "w.parquet", table)).groups


def small_blocks(monkeypatch, size=8):
    monkeypatch.setattr("calhard.history.blocks.BLOCK_ROWS", size)
    monkeypatch.setattr("calhard.history.batches.BATCH_ROWS", size)


def test_streaming_yields_blocks_before_all_is_read(tmp_path, monkeypatch):
    small_blocks(monkeypatch)
    path = write(tmp_path / "h.parquet", rows(MODELS, n=10), row_group_size=8)
    history = History.open(path, AuditPlan())
    (spec,) = history.plan_shards()
    account = RowAccount()
    reading = history.reading(as_of_us=AS_OF, now_us=AS_OF, since_us=0)
    blocks = read_blocks(spec, reading, account)
    first = next(blocks)
    assert first.model_id[0] == "m0"
    assert account.rows == len(first.timestamp) < 40
    assert sum(len(b.timestamp) for b in blocks) + len(first.timestamp) == 140


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.booleans())
def test_small_blocks_and_batches_change_nothing(tmp_path_factory, seed, size, shuffled):
    rng = np.random.default_rng(seed)
    table = ragged(rng)
    home = tmp_path_factory.mktemp("h")
    expected = plain(read(write(home / "whole.parquet", table)))
    order = rng.permutation(table.num_rows) if shuffled else np.arange(table.num_rows)
    path = write(home / "other.parquet", table.take(order), row_group_size=17)
    with pytest.MonkeyPatch.context() as patch:
        small_blocks(patch, size)
        assert plain(read(path))[:2] == expected[:2]


def test_rows_of_a_group_may_stand_in_any_order_of_time(tmp_path):
    table = rows(n=10)
    order = np.concatenate([g * 10 + np.random.default_rng(g).permutation(10) for g in range(4)])
    path = write(tmp_path / "h.parquet", table.take(order), row_group_size=4)
    assert all(s.ordered for s in History.open(path, AuditPlan()).plan_shards())
    assert read(path).groups == read(write(tmp_path / "w.parquet", table)).groups


def test_a_footer_that_hides_disorder_within_falls_back_to_gathering(tmp_path):
    table = rows(("a", "b"), n=5)
    order = [*range(5, 10), *range(5), *range(10, 20)]  # class y before x: the footer cannot tell
    path = write(tmp_path / "h.parquet", table.take(order))
    history = History.open(path, AuditPlan())
    (spec,) = history.plan_shards()
    assert spec.ordered
    reading = history.reading(as_of_us=AS_OF, now_us=AS_OF, since_us=0)
    with pytest.raises(NotSorted):
        list(read_blocks(spec, reading, RowAccount()))
    blocks, account = read_shard(spec, reading)
    assert account.rows == sum(len(b.timestamp) for b in blocks) == 20
    assert read(path).groups == read(write(tmp_path / "w.parquet", table)).groups


def lying(path, true, claimed):
    """Rename models in a file's pages and leave the footer as it was."""
    raw = path.read_bytes()
    footer = len(raw) - 8 - int.from_bytes(raw[-8:-4], "little")
    path.write_bytes(raw[:footer].replace(claimed, true) + raw[footer:])


def test_a_footer_that_lies_about_its_models_refuses_the_file(tmp_path):
    table = rows(("model-a", "model-b", "model-c"), n=5)
    path = tmp_path / "h" / "lies.parquet"
    path.parent.mkdir()
    pq.write_table(table, path, row_group_size=10, compression="none")
    lying(path, b"model-z", b"model-b")
    write(tmp_path / "h" / "good.parquet", rows(("zz",)))
    found = read(tmp_path / "h", shards=sharded(1))
    reason, remedy = found.account.files["lies.parquet"]
    assert "the footer says that models lie between 'model-b' and 'model-b'" in reason
    assert "'model-z' is there" in reason
    assert "statistics" in remedy
    assert "model-z" not in {m for m, _ in found.groups}
    assert ("zz", "x") in found.groups


def test_files_without_statistics_are_gathered(tmp_path):
    table = rows(n=10)
    path = write(tmp_path / "h.parquet", table, write_statistics=False)
    assert not any(s.ordered for s in History.open(path, AuditPlan()).plan_shards())
    assert read(path).groups == read(write(tmp_path / "w.parquet", table)).groups


def test_truncated_statistics_still_bound_the_models():
    extents = [Extent(0, 0, 0, 5, "mod", "modf"), Extent(0, 1, 5, 5, "modf", "modk")]
    extents.append(Extent(0, 2, 10, 5, "mods", "modz"))
    shards = ordered_shards(extents, target=1)
    ranges = [(s.after, s.through, sum(len(p.row_groups) for p in s.pieces)) for s in shards]
    assert ranges == [(None, "modf", 2), ("modf", "modk", 1), ("modk", None, 1)]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_ordered_shards_hold_every_model_once_and_own_every_row_group_once(data):
    runs = data.draw(st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=4), max_size=12))
    flat = sorted(m for run in runs for m in run)
    extents, place, held = [], 0, {}
    for number, run in enumerate(runs):
        models = [f"{m:02d}" for m in flat[place : place + len(run)]]
        place += len(run)
        extents.append(Extent(0, number, number * 10, 10, models[0], models[-1]))
        held[number] = set(models)
    order = data.draw(st.permutations(extents))
    shards = ordered_shards(order, data.draw(st.integers(1, 60)))
    assert shards is not None
    check_cover(shards)
    owned = [g for s in shards for p in s.pieces if p.owned for g in p.row_groups]
    assert sorted(owned) == list(range(len(runs)))
    for shard in shards:
        groups = {g for p in shard.pieces for g in p.row_groups}
        inside = {g for g, models in held.items() if any(holds(shard, m) for m in models)}
        assert inside <= groups
        for piece in shard.pieces:
            assert list(piece.row_groups) == list(
                range(piece.row_groups[0], piece.row_groups[0] + len(piece.row_groups))
            )
            assert piece.first_row == piece.row_groups[0] * 10
            promised = [e for e in extents if e.row_group in piece.row_groups]
            assert (piece.low, piece.high) == (promised[0].low, promised[-1].high)


def holds(shard, model):
    return (shard.after is None or model > shard.after) and (
        shard.through is None or model <= shard.through
    )


def check_cover(shards):
    """The shards' ranges follow one another from open to open."""
    assert [s.index for s in shards] == list(range(len(shards)))
    if shards:
        assert shards[0].after is None
        assert shards[-1].through is None
        assert all(a.through == b.after is not None for a, b in pairwise(shards))


def test_overlapping_row_groups_are_not_ordered():
    extents = [Extent(0, 0, 0, 5, "a", "c"), Extent(0, 1, 5, 5, "b", "d")]
    assert ordered_shards(extents) is None


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(st.text(min_size=1, max_size=3), st.integers(1, 500), max_size=30),
    st.integers(1, 300),
)
def test_gathered_shards_hold_every_model_once_and_no_more_than_they_must(counts, target):
    shards = gathered_shards(counts, range(2), target)
    check_cover(shards)
    inside = [[m for m in counts if holds(s, m)] for s in shards]
    assert sorted(m for models in inside for m in models) == sorted(counts)
    for shard, models in zip(shards, inside, strict=True):
        assert shard.rows == sum(counts[m] for m in models)
        assert shard.rows <= target or len(models) == 1
        assert [p.owned for p in shard.pieces] == [shard.index == 0] * 2
    assert all(a.rows + b.rows > target or not a.rows for a, b in pairwise(shards))


def test_a_skewed_fleet_splits_around_its_giant(tmp_path):
    counts = {f"m{i:03d}": 10 for i in range(200)} | {"m100-giant": 100_000}
    shards = gathered_shards(counts, [0], target=500)
    sizes = [s.rows for s in shards]
    assert max(sizes) == 100_000
    assert sorted(sizes)[-2] <= 500
    assert len(shards) <= 2 * 2_000 // 500 + 2


def test_a_sorted_giant_gets_a_shard_of_its_own():
    small = [Extent(0, i, i * 10, 10, f"a{i:02d}", f"a{i:02d}") for i in range(20)]
    giant = [Extent(0, 20 + i, 200 + i * 10, 10, "b", "b") for i in range(50)]
    after = [Extent(0, 70 + i, 700 + i * 10, 10, f"c{i:02d}", f"c{i:02d}") for i in range(20)]
    shards = ordered_shards([*small, *giant, *after], target=50)
    assert [s.rows for s in shards] == [50, 50, 50, 50, 500, 50, 50, 50, 50]
    assert [len(s.pieces) for s in shards] == [1] * 9


def test_an_unsorted_skewed_fleet_is_read_whole(tmp_path):
    rng = np.random.default_rng(3)
    giant = rows(("giant",), [f"c{i:03d}" for i in range(60)], n=10)
    table = pa.concat_tables([rows([f"m{i:02d}" for i in range(20)], n=3), giant])
    path = write(tmp_path / "h.parquet", table.take(rng.permutation(table.num_rows)))
    found = read(path, shards=sharded(100))
    assert found.account.rows == table.num_rows
    assert len(found.groups) == 20 * 2 + 60


def test_pieces_of_a_file_that_follow_one_another_are_opened_as_one(tmp_path):
    path = write(tmp_path / "h.parquet", rows(MODELS, n=10), row_group_size=10)
    (spec,) = History.open(path, AuditPlan()).plan_shards()
    assert spec.pieces == (Piece(0, tuple(range(14)), 0, True, "m0", "m6"),)


def test_an_empty_parquet_file_has_no_rows_and_no_fault(tmp_path):
    write(tmp_path / "h" / "empty.parquet", rows()[:0])
    found = read(tmp_path / "h")
    assert (found.groups, found.account.rows, found.account.files) == ({}, 0, {})
    write(tmp_path / "h" / "full.parquet", rows())
    assert read(tmp_path / "h").account.rows == 16


def test_a_broken_file_takes_nothing_else_with_it(tmp_path):
    home = tmp_path / "h"
    bad = write(home / "bad.parquet", rows(("a",), n=50), row_group_size=10, compression="none")
    write(home / "good.parquet", rows(("b",), n=50), row_group_size=10)
    raw = bytearray(bad.read_bytes())
    raw[raw.find((AS_OF).to_bytes(8, "little"))] ^= 1
    bad.write_bytes(raw)
    found = read(home)
    assert found.groups == read(home / "good.parquet").groups
    assert list(found.account.files) == ["bad.parquet"]


def test_a_file_that_vanishes_breaks_as_a_file(tmp_path):
    write(tmp_path / "h" / "a.parquet", rows(("a",)))
    gone = write(tmp_path / "h" / "b.parquet", rows(("b",)))
    history = History.open(tmp_path / "h", AuditPlan())
    (spec,) = history.plan_shards()
    gone.unlink()
    reading = history.reading(as_of_us=AS_OF, now_us=AS_OF, since_us=AS_OF - DAY)
    with pytest.raises(BadFile) as told:
        list(read_blocks(spec, reading, RowAccount()))
    assert told.value.path == str(gone)
    blocks, account = read_shard(spec, reading)
    assert account.rows == 8
    assert list(account.files) == ["b.parquet"]
    assert {m for b in blocks for m in b.model_id} == {"a"}
