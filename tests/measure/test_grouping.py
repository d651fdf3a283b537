"""Rows grouped by model, class and period of time or of rows."""

from hypothesis import given
from hypothesis import strategies as st

from calhard.measure.grouping import form_groups
from calhard.measure.periods import Period
from calhard.measure.rows import UNLABELLED, USED
from tests.measure.made import DAY, HOUR, START, fresh, rows_of


def named(groups, keys):
    return [
        (*keys.pairs[pair], (start - START) / DAY, (end - START) / DAY)
        for pair, start, end in zip(
            groups.pair.tolist(), groups.start.tolist(), groups.end.tolist(), strict=True
        )
    ]


def test_groups_stand_in_the_order_of_their_names_and_periods():
    keys = fresh()
    rows = rows_of(
        keys,
        model=["b", "a", "b", "a", "a"],
        class_=["x", "y", "x", "x", "y"],
        timestamp=[DAY, 0, 0, 3 * DAY, HOUR],
        score=[0.5] * 5,
    )
    groups = form_groups(rows, keys.pairs, Period.parse("1d"))
    assert named(groups, keys) == [
        ("a", "x", 3, 4),
        ("a", "y", 0, 1),
        ("b", "x", 0, 1),
        ("b", "x", 1, 2),
    ]
    assert groups.code.tolist() == [3, 1, 2, 0, 1]


def test_a_sparse_grid_of_names_and_periods_gives_the_same_groups():
    keys = fresh()
    model = [f"m{i % 700:03d}" for i in range(1_400)]
    stamps = [int(i * 997 % 4_000) * DAY for i in range(1_400)]
    rows = rows_of(keys, model=model, class_="c", timestamp=stamps, score=[0.5] * 1_400)
    groups = form_groups(rows, keys.pairs, Period.parse("1d"))
    expected = sorted({(m, "c", t / DAY, t / DAY + 1) for m, t in zip(model, stamps, strict=True)})
    assert named(groups, keys) == expected
    found = [named(groups, keys)[code][0] for code in groups.code.tolist()]
    assert found == model


def by_rows(stamps, size, states=None):
    keys = fresh()
    rows = rows_of(
        keys, model="m", class_="c", timestamp=stamps, score=[0.5] * len(stamps), state=states
    )
    groups = form_groups(rows, keys.pairs, Period(f"{size}rows", rows=size))
    first = [(s - START) // HOUR for s in groups.start.tolist()]
    last = [(e - START) // HOUR for e in groups.end.tolist()]
    return groups.code.tolist(), first, last


def test_a_period_of_rows_holds_that_many_and_the_unfinished_last_one_waits():
    code, first, last = by_rows([h * HOUR for h in (3, 0, 1, 2, 4, 5, 6)], 3)
    assert code == [1, 0, 0, 0, 1, 1, -1]
    assert (first, last) == ([0, 3], [2, 5])


def test_rows_of_one_instant_are_never_split():
    code, first, last = by_rows([h * HOUR for h in (0, 1, 1, 1, 2, 3, 4)], 2)
    assert code == [0, 0, 0, 0, 1, 1, -1]
    assert (first, last) == ([0, 2], [1, 3])


def test_rows_that_are_not_used_do_not_fill_a_period():
    states = [USED, UNLABELLED, USED, UNLABELLED, USED, USED]
    code, first, last = by_rows([h * HOUR for h in range(6)], 2, states)
    assert code == [0, 0, 0, 1, 1, 1]
    assert (first, last) == ([0, 3], [2, 5])


@given(
    st.lists(st.tuples(st.integers(0, 30), st.booleans()), min_size=1, max_size=60),
    st.integers(1, 9),
)
def test_periods_of_rows_are_in_order_full_and_no_longer_than_they_must_be(rows, size):
    stamps = [hour * HOUR for hour, _ in rows]
    states = [USED if used else UNLABELLED for _, used in rows]
    code, first, last = by_rows(stamps, size, states)
    assert all(a < b for a, b in zip(last, first[1:], strict=False))
    for number in range(len(first)):
        used = [h for (h, used), c in zip(rows, code, strict=True) if c == number and used]
        assert len(used) >= size
        assert sum(h < last[number] for h in used) < size
    assert sum(used for (_, used), c in zip(rows, code, strict=True) if c < 0) < size


def test_the_periods_of_each_model_and_class_are_cut_by_its_own_rows():
    keys = fresh()
    model = ["a", "b"] * 5
    rows = rows_of(
        keys, model=model, class_="c", timestamp=[h * HOUR for h in range(10)], score=[0.5] * 10
    )
    groups = form_groups(rows, keys.pairs, Period("2rows", rows=2))
    assert [
        (m, (s - START) // HOUR)
        for m, s in zip([keys.pairs[p][0] for p in groups.pair], groups.start, strict=True)
    ] == [("a", 0), ("a", 4), ("b", 1), ("b", 5)]
