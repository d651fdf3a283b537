"""The manifest and the tallies in it."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calhard.errors import InputError
from calhard.measure.manifest import File, Manifest, Part, Source, period_text
from calhard.measure.periods import Period
from calhard.measure.sample import NO_ROW
from calhard.measure.tally import Tally
from tests.measure.logs import MANIFEST, content, measure, predictions, write

NUMBERS = st.lists(st.integers(20_000, 20_400), max_size=60)
PERIODS = ("1h", "1d", "7d", "1mo", "36h", "3mo")


@pytest.fixture(autouse=True)
def no_sync(monkeypatch):
    """Every step is taken; the machine's own disk need not be waited for."""
    monkeypatch.setattr("os.fsync", lambda handle: None)


def tally(numbers):
    return Tally.of(np.array(numbers, np.int64))


def sampled(numbers):
    """A tally whose rows have a hash each; every seventh period's rows are not known."""
    hashes = np.arange(2, len(numbers) + 2, dtype=np.uint64) * np.uint64(2**59 + 1)
    found = Tally.of(np.array(numbers, np.int64), hashes)
    found.sample[found.number % 7 == 0] = NO_ROW
    return found


def as_dict(found):
    return dict(zip(found.number.tolist(), found.rows.tolist(), strict=True))


def counted(numbers):
    return {n: numbers.count(n) for n in numbers}


@given(NUMBERS, NUMBERS)
def test_a_tally_counts_adds_and_selects_as_a_dictionary_does(a, b):
    assert as_dict(tally(a)) == counted(a)
    assert as_dict(tally(a) + tally(b)) == counted(a + b)
    chosen = np.unique(np.array(b, np.int64))
    assert as_dict(tally(a).only(chosen)) == counted([n for n in a if n in b])
    assert as_dict(tally(a).without(chosen)) == counted([n for n in a if n not in b])
    assert tally(a).at(chosen).tolist() == [a.count(n) for n in chosen.tolist()]
    assert as_dict(tally(a).since(20_200)) == counted([n for n in a if n >= 20_200])
    assert as_dict(tally(a).before(20_200)) == counted([n for n in a if n < 20_200])
    assert tally(a).total == len(a)
    assert (tally(a) == tally(b)) == (counted(a) == counted(b))


def test_numbers_far_apart_are_counted_without_a_table_between_them():
    assert as_dict(tally([0, 10**15, 0])) == {0: 2, 10**15: 1}


@given(NUMBERS, NUMBERS, st.sampled_from(PERIODS), st.booleans())
def test_a_manifest_reads_back_what_it_wrote(held, measured, text, gone):
    period = Period.parse(text)
    source = Source(
        *("log/é\n.parquet", 17, 1_795_522_691_268_853_197, len(held), 3),
        Tally.zero() if gone else sampled(held),
        sampled(measured),
        complete=not gone,
        gone=gone,
        sha256="00" if gone else None,
        same_as="other.parquet" if gone else None,
    )
    part = Part(File(3, 5, "ab"), File(0, 9, "cd"), ("log/é\n.parquet",))
    manifest = Manifest(
        period, {"period": text, "extras": []}, {source.name: source}, {"2026-05": part}
    )
    assert Manifest.parse(manifest.to_text(), "here") == manifest


def test_a_manifest_is_json_with_a_line_for_every_source_and_part(tmp_path):
    write(tmp_path / "log", a=predictions(days=2), b=predictions(days=5, seed=1))
    measure(tmp_path / "log", tmp_path / "history")
    text = (tmp_path / "history" / MANIFEST).read_text()
    told = json.loads(text)
    assert len([line for line in text.splitlines() if line.startswith("  {")]) == 4
    assert [part["name"] for part in told["parts"]] == ["2026-04", "2026-05"]
    assert [part["sources"] for part in told["parts"]] == [
        ["a.parquet", "b.parquet"],
        ["b.parquet"],
    ]
    a, b = told["sources"]
    assert a["periods"] == [["2026-04-28T00:00:00Z", [240, 240]]]
    assert (b["rows"], b["refused"]) == (1200, 0)
    assert [len(sample) for sample in a["samples"]] == [172, 172]
    assert a["bytes"] == (tmp_path / "log" / "a.parquet").stat().st_size


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda told: told[: len(told) // 2], "is damaged"),
        (lambda told: "[]", "is damaged"),
        (lambda told: told.replace('"sources"', '"sauces"'), "is damaged"),
        (lambda told: told.replace('"1d"', '"1 fortnight"'), "is damaged"),
        (lambda told: told.replace('"samples": ["', '"samples": ["?'), "is damaged"),
        (lambda told: told.replace('"samples": [', '"samples": ["", '), "is damaged"),
        (lambda told: told.replace('"samples": ["', '"samples": ["AAAAAAAAAAA='), "is damaged"),
        (lambda told: told.replace('"schema_version": 1', '"schema_version": 99'), "version 99"),
    ],
)
def test_a_manifest_that_cannot_be_used_is_told_and_nothing_is_touched(tmp_path, change, said):
    write(tmp_path / "log", a=predictions(days=1))
    measure(tmp_path / "log", tmp_path / "history")
    path = tmp_path / "history" / MANIFEST
    path.write_text(change(path.read_text()))
    before = content(tmp_path / "history", manifest=True)
    for options in ({}, {"force": True}):
        with pytest.raises(InputError, match=said) as told:
            measure(tmp_path / "log", tmp_path / "history", **options)
        assert "another folder" in str(told.value)
    assert content(tmp_path / "history", manifest=True) == before


@pytest.mark.parametrize(
    ("text", "number", "said"),
    [
        ("1d", 20_574, "2026-05-01"),
        ("1h", 20_574 * 24 + 7, "2026-05-01T07:00:00Z"),
        ("1mo", 56 * 12 + 4, "2026-05-01"),
        ("100rows", 0, "all periods"),
    ],
)
def test_a_period_is_told_by_its_start(text, number, said):
    period = Period.parse(text)
    shift = {"1d": 4, "1h": 4 * 24}.get(text, 0)  # those of fixed width are counted from a Monday
    assert period_text(period, number - shift) == said
