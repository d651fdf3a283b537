"""Samples of rows: what they hold, and that they are the same wherever a row stands."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from calhard.history.ids import Keys
from calhard.measure.sample import NO_ROW, SAMPLE, RowHasher, Sought, contained
from calhard.measure.tally import Tally
from tests.measure.made import rows_of
from tests.measure.test_examples import MASK, literal, mixed

HASHES = st.integers(0, 2**64 - 2) | st.integers(0, 40) | st.integers(0, 2**56)
ROWS = st.lists(st.tuples(st.sampled_from([-3, 0, 5, 2**40]), HASHES), max_size=120)


def tally(rows):
    number, hashes = np.array([n for n, _ in rows], np.int64), [h for _, h in rows]
    return Tally.of(number, np.array(hashes, np.uint64))


def as_dict(found):
    samples = [[h for h in row if h != int(NO_ROW)] for row in found.sample.tolist()]
    return dict(zip(found.number.tolist(), samples, strict=True))


def smallest(rows):
    numbers = {n for n, _ in rows}
    return {k: sorted({h for n, h in rows if n == k})[:SAMPLE] for k in numbers}


@given(ROWS, ROWS)
def test_a_sample_is_the_smallest_hashes_of_a_period_and_of_its_parts_together(a, b):
    assert as_dict(tally(a)) == smallest(a)
    assert as_dict(tally(a) + tally(b)) == smallest(a + b)
    assert tally(a) + tally(b) == tally(b) + tally(a) == tally(a + b)


def test_many_rows_are_sampled_as_few_are_even_where_most_are_alike():
    rng = np.random.default_rng(1)
    for distinct in (3, 40, 5_000, 200_000):
        hashes = rng.choice(rng.integers(0, 2**63, distinct, np.uint64) * np.uint64(2), 100_000)
        number = rng.integers(0, 3, len(hashes)) ** 8
        found = Tally.of(number, hashes)
        for k, sample in zip(found.number, found.sample, strict=True):
            expected = np.unique(hashes[number == k])[:SAMPLE]
            assert sample[: len(expected)].tolist() == expected.tolist()
            assert (sample[len(expected) :] == NO_ROW).all()


@given(ROWS, ROWS, ROWS)
def test_what_is_sought_is_found_among_rows_and_nothing_else(before, also, now):
    sought = Sought.of((t.number, t.sample) for t in (tally(before), tally(also)))
    rows = [(n, h) for n, h in now + before[::2] if (n, h) in before or h not in dict(before)]
    hashes = np.array([h for _, h in rows], np.uint64)
    found = sought.among(np.array([n for n, _ in rows], np.int64), hashes)
    asked = {
        h for sample in (smallest(before), smallest(also)) for hs in sample.values() for h in hs
    }
    there = {h for n, h in rows}
    assert set(found.tolist()) <= asked & there
    of = tally(before)
    for number, sample, held in zip(
        of.number.tolist(), of.sample, contained(of.sample, found), strict=True
    ):
        wanted = [h for h in sample.tolist() if h != int(NO_ROW)]
        if all((number, h) in rows for h in wanted):
            assert held
        assert held == (set(wanted) <= set(found.tolist()))


def test_a_hash_is_the_documented_one_and_knows_no_label_weight_or_tag():
    keys = Keys()
    rows = rows_of(
        keys,
        model=["m", "é", "m"],
        class_=["x", "long class", "x"],
        timestamp=[0, 17, 0],
        score=[0.25, 0.0, float("nan")],
        label=[1.0, 0.0, 0.0],
        weight=[2.0, 1.0, 0.5],
        tags={"region": ["eu", None, "us"]},
    )
    expected = []
    for code, stamp, score in zip(rows.pair, rows.timestamp, rows.score, strict=True):
        model, class_ = (name.encode() for name in keys.pairs[code])
        pair = mixed(mixed(literal(model)) ^ literal(class_))
        bits = int(np.float64(score).view(np.uint64))
        total = pair + int(stamp) * 0xD6E8FEB86659FD93 + bits * 0xA0761D6478BD642F
        expected.append(mixed(total & MASK))
    assert RowHasher(keys)(rows).tolist() == expected
    other = Keys()
    other.pair("before", "others")
    again = rows_of(
        other, model=["m", "m"], class_="x", timestamp=[0, 0], score=[0.25, np.copysign(np.nan, -1)]
    )
    assert RowHasher(other)(again).tolist() == [expected[0], expected[2]]


def test_pairs_that_come_later_are_hashed_as_those_before():
    keys = Keys()
    hasher = RowHasher(keys)
    first = rows_of(keys, model=["a"], class_="x", timestamp=[0], score=[0.5])
    alone = hasher(first)
    both = rows_of(keys, model=["a", "b"], class_="x", timestamp=[0, 0], score=[0.5, 0.5])
    assert hasher(both)[0] == alone[0]
    assert hasher(both)[1] != alone[0]
    assert len(hasher(both.take(slice(0, 0)))) == 0
