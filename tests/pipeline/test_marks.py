"""Done marks, the keys of shards, and what is said of a shard in short."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calhard.errors import CalhardError
from calhard.history import RowAccount
from calhard.history.account import Example
from calhard.pipeline.assessed import account_from, account_told
from calhard.pipeline.keys import KeyLedger, KeySpan
from calhard.pipeline.marks import (
    any_begun,
    begun,
    mark_path,
    marks_of,
    read_mark,
    verified_mark,
    write_mark,
)
from calhard.pipeline.shardfile import Attempt

COUNTS = np.array([[0, 3, 0], [2**60, 0, 1]])


@pytest.fixture
def mark(tmp_path):
    """A mark of one file."""
    (tmp_path / "it").write_bytes(b"content")
    path = mark_path(tmp_path, "shard", "assessed")
    write_mark(path, {"name": "\ud800 é", "rows": 3}, COUNTS, {"groups": tmp_path / "it"})
    return path


def test_a_mark_tells_what_was_written_and_its_files(mark):
    found = verified_mark(mark)
    assert found.facts == {"name": "\ud800 é", "rows": 3}
    assert found.counts.tolist() == COUNTS.reshape(-1).tolist()
    assert found.file("groups") == "it"
    assert sorted(p.name for p in mark.parent.iterdir()) == ["it", "shard.assessed"]
    assert marks_of(mark.parent, "assessed", ["shard", "another"]) == 1


def test_a_mark_that_is_cut_or_flipped_anywhere_is_none(mark):
    content, sound = mark.read_bytes(), read_mark(mark)
    for size in range(len(content)):
        mark.write_bytes(content[:size])
        assert read_mark(mark) is None
    for place in range(0, len(content), 7):
        mark.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        assert read_mark(mark) is None
    mark.write_bytes(content)
    assert read_mark(mark).facts == sound.facts


@pytest.mark.parametrize("content", [b"Content", b"conten", b"content and more", None])
def test_a_mark_whose_file_is_another_one_now_is_not_verified(mark, content):
    file = mark.parent / "it"
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    assert verified_mark(mark) is None
    assert read_mark(mark) is not None


def test_no_mark_is_none(tmp_path):
    assert read_mark(tmp_path / "none") is None


def test_a_note_of_what_was_begun_stays_where_it_was_not_ended(tmp_path):
    with begun(tmp_path, "shard"):
        assert any_begun(tmp_path)
    assert not any_begun(tmp_path)
    with pytest.raises(ValueError, match="wrong"), begun(tmp_path, "shard"):
        raise ValueError("wrong")
    assert not any_begun(tmp_path)
    with pytest.raises(KeyboardInterrupt), begun(tmp_path, "shard"):
        raise KeyboardInterrupt
    assert any_begun(tmp_path)


def test_two_attempts_never_use_the_same_name(tmp_path):
    one, other = Attempt(tmp_path, "shard"), Attempt(tmp_path, "shard")
    assert one.path("groups") != other.path("groups")
    assert one.path("groups") == one.path("groups")


WORDS = st.text(max_size=5)


@given(
    st.integers(0, 9),
    st.dictionaries(
        st.tuples(WORDS, WORDS),
        st.tuples(st.integers(1, 99), st.integers(-1, 9), WORDS, WORDS, st.booleans()),
        max_size=4,
    ),
    st.dictionaries(WORDS, st.tuples(WORDS, WORDS), max_size=3),
)
def test_an_account_comes_back_as_it_was_told(rows, counts, files):
    account = RowAccount(rows)
    for (outcome, reason), (count, row, file, detail, keyed) in counts.items():
        key = (file, detail, row) if keyed else ()
        account.add(outcome, reason, count, Example(file, row, detail, key))
    for path, told in files.items():
        account.reject_file(path, *told)
    again = account_from(account_told(account))
    assert again == account
    assert [e.detail for e in again.examples.values()] == [
        account.examples[key].detail for key in again.examples
    ]


GROUPS = st.sets(st.tuples(WORDS, WORDS), max_size=12).map(sorted)


@given(GROUPS, st.integers(0, 12))
def test_the_keys_of_a_shard_are_the_same_however_they_come(groups, cut):
    whole, parts = KeyLedger(), KeyLedger()
    whole.add(*columns(groups))
    parts.add(*columns(groups[:cut]))
    parts.add(*columns(groups[cut:]))
    assert whole.span() == parts.span()
    assert whole.span().count == len(groups)
    assert KeySpan.from_told(whole.span().told()) == whole.span()


def columns(groups):
    return [m for m, _ in groups], [c for _, c in groups]


def test_other_keys_have_another_hash():
    spans = []
    for groups in ([("a", "bc")], [("ab", "c")], [("a", "b"), ("c", "")], []):
        ledger = KeyLedger()
        ledger.add(*columns(groups))
        spans.append(ledger.span().sha256)
    assert len(set(spans)) == 4


@pytest.mark.parametrize("groups", [[("a", "c"), ("a", "c")], [("b", "c"), ("a", "c")]])
def test_a_series_that_comes_twice_or_out_of_order_is_an_error(groups):
    with pytest.raises(CalhardError, match="lost or doubled"):
        KeyLedger().add(*columns(groups))
    ledger = KeyLedger()
    ledger.add(*columns(groups[:1]))
    with pytest.raises(CalhardError, match="lost or doubled"):
        ledger.add(*columns(groups[1:]))
