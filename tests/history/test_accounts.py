"""Every row is audited, rejected, outside or a duplicate, and each reason shows its first row."""

from functools import reduce
from operator import add

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calhard.history import RowAccount
from calhard.history.account import REMEDIES, Example
from calhard.history.shards import gathered_shards
from tests.blocks import AS_OF, DAY, HOUR
from tests.history.reading import UTC_US, read, rows, write
from tests.history.test_sources import ipc

LONG = "é" * 513
GOOD = {"model_id": "m", "class_id": "c", "timestamp": AS_OF, "aece": 0.5, "total_samples": 5}
BAD = {
    "model_id is null or empty": [{"model_id": None}, {"model_id": ""}],
    "class_id is null or empty": [{"class_id": None}, {"class_id": ""}],
    "id longer than 1,024 bytes": [{"model_id": LONG}, {"class_id": LONG}],
    "timestamp is null": [{"timestamp": None}],
    "timestamp before 1990": [{"timestamp": 0}, {"timestamp": -5}],
    "timestamp in the future": [{"timestamp": AS_OF + DAY}],
    "total_samples is negative": [{"total_samples": -1}],
    "after as_of": [{"timestamp": AS_OF + 1}],
    "older than any window": [{"timestamp": AS_OF - 1_101 * DAY}],
}
KINDS = [(reason, change) for reason, changes in BAD.items() for change in changes]
OUTSIDE = {"after as_of", "older than any window"}


def table_of(records):
    columns = {name: [r[name] for r in records] for name in GOOD}
    types = {"timestamp": UTC_US, "model_id": pa.string(), "class_id": pa.string()}
    return pa.table({n: pa.array(v, types.get(n)) for n, v in columns.items()})


@pytest.mark.parametrize(("reason", "change"), KINDS)
def test_a_bad_row_is_counted_by_its_reason_with_place_and_remedy(reason, change, tmp_path):
    fine = [GOOD | {"timestamp": AS_OF - i * HOUR} for i in range(3)]
    records = [fine[0], GOOD | change, *fine[1:], GOOD | change]
    found = read(write(tmp_path / "part-0.parquet", table_of(records)))
    outcome = "outside" if reason in OUTSIDE else "rejected"
    assert found.account.counts == {(outcome, reason): 2}
    assert found.account.rows == 3
    (row,) = [r for r in found.account.coverage() if r["outcome"] == outcome]
    (column,) = change
    assert row["example"].startswith(f"part-0.parquet, row 2: {column} = ")
    assert bool(row["remedy"]) == (outcome == "rejected")


def test_the_example_shows_the_cell(tmp_path):
    records = [GOOD | {"model_id": None}, GOOD | {"class_id": ""}, GOOD | {"model_id": LONG}]
    records += [GOOD | {"timestamp": 0}, GOOD | {"total_samples": -7}, GOOD | {"timestamp": None}]
    found = read(write(tmp_path / "p.parquet", table_of(records)))
    shown = [str(found.account.examples[key]) for key in sorted(found.account.examples)]
    assert "p.parquet, row 1: model_id = null" in shown
    assert "p.parquet, row 2: class_id = ''" in shown
    assert any(s.startswith("p.parquet, row 3: model_id = 'ééé") and len(s) < 120 for s in shown)
    assert "p.parquet, row 4: timestamp = '1970-01-01 00:00:00+00:00'" in shown
    assert "p.parquet, row 5: total_samples = '-7'" in shown
    assert "p.parquet, row 6: timestamp = null" in shown


def test_the_example_of_an_instant_that_python_cannot_hold_is_its_number(tmp_path):
    column = pa.array([2**62], pa.timestamp("us"))
    found = read(ipc(tmp_path / "h.arrow", rows(("a",), ("x",), 1, timestamp=column)))
    assert f"timestamp = {2**62}" in str(
        found.account.examples["rejected", "timestamp in the future"]
    )


def test_rows_are_numbered_in_their_file_whatever_its_row_groups(tmp_path):
    records = [GOOD | {"timestamp": AS_OF - i * HOUR} for i in range(40)]
    records[33] = GOOD | {"total_samples": -1}
    for size in (3, 10, 40):
        path = write(tmp_path / "p.parquet", table_of(records), row_group_size=size)
        example = read(path).account.examples["rejected", "total_samples is negative"]
        assert str(example).startswith("p.parquet, row 34: ")


def test_the_first_reason_counts_where_a_row_breaks_many_rules(tmp_path):
    row = GOOD | {"model_id": None, "class_id": "", "timestamp": None, "total_samples": -1}
    found = read(write(tmp_path / "h.parquet", table_of([row, GOOD])))
    assert found.counts() == {"model_id is null or empty": 1}


def test_every_reason_of_a_rejection_has_a_remedy():
    reasons = set(BAD) - OUTSIDE
    assert reasons <= set(REMEDIES)
    assert all(REMEDIES.values())


records = st.builds(
    lambda change, model, class_, hour, samples: (
        GOOD
        | {"model_id": model, "class_id": class_, "timestamp": AS_OF - hour * HOUR}
        | {"total_samples": samples}
        | change
    ),
    st.one_of(st.just({}), st.just({}), st.sampled_from([c for _, c in KINDS])),
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from(["x", "y"]),
    st.integers(0, 5),
    st.integers(0, 1),
)


@settings(max_examples=120, deadline=None)
@given(st.lists(records, min_size=1, max_size=60), st.data())
def test_the_account_adds_up_to_the_rows_in_the_files(tmp_path_factory, drawn, data):
    home = tmp_path_factory.mktemp("h")
    table = table_of(drawn)
    whole = read(write(home / "w" / "whole.parquet", table))
    assert whole.total == len(drawn)
    assert sum(len(g.timestamp) for g in whole.groups.values()) == whole.account.rows
    assert set(whole.account.examples) == set(whole.account.counts)
    cut = data.draw(st.integers(0, len(drawn)))
    order = np.array(data.draw(st.permutations(range(len(drawn)))))
    for number, chosen in enumerate((order[:cut], order[cut:])):
        part = write(home / "p" / f"{number}.parquet", table.take(chosen), row_group_size=7)
        assert part.exists()
    target = data.draw(st.integers(1, 40))
    parts = read(
        home / "p",
        shards=lambda h: gathered_shards(h._model_counts(), range(len(h.files)), target),
    )
    assert parts.groups == whole.groups
    assert parts.account.counts == whole.account.counts
    assert parts.account.rows == whole.account.rows


def test_sorted_shards_count_rows_without_an_id_once(tmp_path):
    records = [GOOD | {"model_id": m, "timestamp": AS_OF - h * HOUR} for m in "abc" for h in (1, 0)]
    for place in (0, 3, 5):
        records[place] = records[place] | {"class_id": None}
    path = write(tmp_path / "h.parquet", table_of(records), row_group_size=3)
    for target in (1, 3, 100):
        found = read(path, shards=_ordered(target))
        assert found.counts() == {"class_id is null or empty": 3}
        assert found.total == 6


def _ordered(target):
    from calhard.history.shards import ordered_shards

    return lambda history: ordered_shards(history._extents(), target)


def _account(rows, added, files):
    account = RowAccount(rows)
    for (outcome, reason), count, example in added:
        account.add(outcome, reason, count, example)
    for path, (reason, remedy) in files.items():
        account.reject_file(path, reason, remedy)
    return account


keys = st.tuples(st.sampled_from(["rejected", "outside"]), st.sampled_from(["r", "s"]))
examples = st.builds(Example, st.sampled_from(["f", "g"]), st.integers(0, 5), st.just("d"))
accounts = st.builds(
    _account,
    st.integers(0, 9),
    st.lists(st.tuples(keys, st.integers(0, 5), st.none() | examples), max_size=4),
    st.dictionaries(
        st.sampled_from(["f", "g"]), st.tuples(st.sampled_from(["x", "y"]), st.just("")), max_size=2
    ),
)


@given(accounts, accounts, accounts)
def test_accounts_are_a_commutative_monoid(a, b, c):
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)
    assert a + RowAccount() == a == RowAccount() + a
    assert (a + b).coverage() == (b + a).coverage()


@given(st.lists(accounts, max_size=5), st.randoms(use_true_random=False))
def test_accounts_merge_in_any_order(parts, random):
    expected = reduce(add, parts, RowAccount())
    random.shuffle(parts)
    assert reduce(add, parts, RowAccount()) == expected
    assert expected.rejected == sum(p.rejected for p in parts)


@given(accounts, accounts)
def test_merging_leaves_the_parts_alone(a, b):
    before = a.coverage(), b.coverage()
    _ = a + b
    assert (a.coverage(), b.coverage()) == before
