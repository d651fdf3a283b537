"""From logged values to rows, and from rows to sorted Parquet."""

import math
from collections import Counter
from unittest import mock

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calhard.sources import rows as rowing
from calhard.sources import spool as spooling
from calhard.sources.asked import Points
from calhard.sources.rows import TOGETHER_MS, Owner, Values
from calhard.sources.spool import Spool, ranges

A, B = Owner("run", "m", "a"), Owner("run", "m", "b")
HOUR = 3_600_000


def rows_of(points, columns=3):
    """Rows as (owner, ms, values by column) of points (owner, column, ms, step, value)."""
    values = Values()
    for owner, column, ms, step, value in points:
        told = Points.of([ms], [step], [value])
        values.add(owner, column, told.ms, told.step, told.value)
    return [
        (rows.owners[o], ms, {c: v for c, (v, t) in enumerate(zip(own, there, strict=True)) if t})
        for rows in values.rows(columns)
        for o, ms, own, there in zip(
            rows.owner.tolist(), rows.ms.tolist(), rows.values.tolist(), rows.there, strict=True
        )
    ]


def test_what_one_run_logs_at_one_step_is_one_row_at_the_time_of_its_first_value():
    found = rows_of([(A, 0, 1_000, 7, 0.1), (A, 1, 1_000 + 9 * HOUR, 7, 0.2)])
    assert found == [(A, 1_000, {0: 0.1, 1: 0.2})]


def test_steps_and_classes_and_runs_are_rows_of_their_own():
    other = Owner("other run", "m", "a")
    points = [(A, 0, 5, 0, 0.1), (A, 0, 9, 1, 0.2), (B, 0, 5, 0, 0.3), (other, 0, 5, 0, 0.4)]
    assert len(rows_of(points)) == 4


def test_values_without_steps_are_rows_by_time():
    nights = [n * 24 * HOUR for n in range(3)]
    points = [(A, c, at + 400 * c, 0, at + c) for at in nights for c in (0, 1)]
    assert rows_of(points) == [(A, at, {0: at, 1: at + 1}) for at in nights]


def test_a_night_on_which_a_metric_was_not_logged_takes_nothing_from_the_next():
    day = 24 * HOUR
    points = [(A, 0, 0, 0, 1), (A, 0, day, 0, 2), (A, 1, 2 * day - 1, 0, 3), (A, 0, 2 * day, 0, 4)]
    found = [(ms, values) for _, ms, values in rows_of(points)]
    assert found == [(0, {0: 1}), (day, {0: 2}), (2 * day - 1, {0: 4, 1: 3})]


def test_infinite_values_are_infinite_again_and_nan_stays_a_value():
    found = Points.of([0] * 4, [0] * 4, [1.7976931348623157e308, -1.7976931348623157e308, 1, "nan"])
    assert found.value.tolist()[:3] == [math.inf, -math.inf, 1.0]
    assert math.isnan(found.value[3])


def naive(points):
    """Walk the points of an owner and step by time, as the rule says it."""
    found = []
    for owner, step in sorted({(p[0].class_id, p[3]) for p in points}):
        own = sorted((p for p in points if (p[0].class_id, p[3]) == (owner, step)),
                     key=lambda p: (p[2], p[1]))  # fmt: skip
        is_one = len({p[1] for p in own}) == len(own)
        row = None
        for who, column, ms, _, value in own:
            fresh = row is None or (not is_one and (column in row[2] or ms - row[1] > TOGETHER_MS))
            if fresh:
                row = (who, ms, {})
                found.append(row)
            row[2][column] = value
    return found


@given(
    st.lists(
        st.tuples(
            st.sampled_from([A, B]), st.integers(0, 2), st.integers(0, 40).map((60_000).__mul__),
            st.integers(0, 2), st.floats(0, 1),
        ),
        min_size=1, max_size=25, unique_by=lambda p: p[:4],
    )
)  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_rows_are_those_of_the_rule_in_words(points):
    def plain(rows):
        return sorted((o.class_id, ms, sorted(v.items())) for o, ms, v in rows)

    assert plain(rows_of(points)) == plain(naive(points))
    with mock.patch.object(rowing, "PIECE", 2):
        assert plain(rows_of(points)) == plain(naive(points))


def test_one_long_history_becomes_rows_piece_by_piece(monkeypatch):
    steps = np.arange(1_000)
    values = Values()
    values.add(A, 0, steps * HOUR, steps, steps / 1_000)
    (whole,) = values.rows(1)
    monkeypatch.setattr(rowing, "PIECE", 300)
    pieces = list(values.rows(1))
    assert [len(piece.ms) for piece in pieces] == [300, 300, 300, 100]
    assert np.concatenate([piece.values for piece in pieces]).tolist() == whole.values.tolist()
    assert np.concatenate([piece.ms for piece in pieces]).tolist() == whole.ms.tolist()


def spooled(folder, points, tags=("team",)):
    values = Values()
    for owner, column, ms, step, value in points:
        values.add(owner, column, np.array([ms]), np.array([step]), np.array([value]))
    folder.mkdir()
    with Spool(folder / "_spool", ("aece", "dece", "total_samples"), tags) as spool:
        (rows,) = values.rows(3)
        for begin in range(0, len(rows.ms), 7):
            part = slice(begin, begin + 7)
            spool.write(
                type(rows)(rows.owners, rows.owner[part], rows.ms[part], rows.values[part],
                           rows.there[part])
            )  # fmt: skip
        return spool.sort_into(folder)


def test_the_same_rows_give_the_same_file_whatever_their_order(tmp_path, monkeypatch):
    owners = [Owner(f"r{i}", f"m{i % 5}", "ä/b", "v1", ("x",), 9.0) for i in range(12)]
    points = [(o, c, ms, ms, ms / 100) for o in owners for c in (0, 1) for ms in range(5)]
    one = spooled(tmp_path / "one", points)
    other = spooled(tmp_path / "other", points[::-1])
    assert one.name == other.name
    assert one.read_bytes() == other.read_bytes()
    assert one.stat().st_mtime_ns == other.stat().st_mtime_ns
    table = pq.read_table(one)
    keys = [(r["model_id"], r["class_id"], r["timestamp"]) for r in table.to_pylist()]
    assert keys == sorted(keys)
    assert len(keys) == 60
    monkeypatch.setattr(spooling, "RANGE_ROWS", 10)
    assert pq.read_table(spooled(tmp_path / "narrow", points)).equals(table)
    assert [p.name for p in (tmp_path / "one").iterdir()] == [one.name]


def test_columns_that_nobody_logged_are_not_in_the_file(tmp_path):
    file = spooled(
        tmp_path / "f", [(A, 0, 5, 0, 0.5), (Owner("r", "n", "a"), 0, 5, 0, math.nan)], ()
    )
    table = pq.read_table(file)
    assert table.schema.names == ["model_id", "class_id", "timestamp", "aece"]
    assert math.isnan(table["aece"][1].as_py())
    assert table["aece"].null_count == 0


@pytest.mark.parametrize("most", [1, 10, 10**9])
def test_ranges_hold_every_model_once_in_order(monkeypatch, most):
    monkeypatch.setattr(spooling, "RANGE_ROWS", most)
    models = Counter(dict.fromkeys("dcba", 4))
    found = list(ranges(models))
    assert [found[0][0], found[-1][1]] == ["a", "d"]
    assert len(found) == {1: 4, 10: 2, 10**9: 1}[most]
