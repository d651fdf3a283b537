"""Bringing a prepared folder up to date: files that are new, changed and gone."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calhard.errors import ConfigError, InputError
from calhard.plan import AuditPlan
from calhard.prepare.columns import ORIGIN
from calhard.prepare.labels import first_labels, split_labels
from tests.prepare.made import (
    MANIFEST,
    content,
    lay_out,
    prepare,
    rows,
    seen,
    small,
    streams,
    table_of,
    write,
)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_day_after_day_gives_what_preparing_all_at_once_gives(tmp_path_factory, seed):
    rng = np.random.default_rng(seed)
    home = tmp_path_factory.mktemp("h")
    history, out = home / "history", home / "out"
    with pytest.MonkeyPatch.context() as patch:
        small(patch, *(int(n) for n in rng.integers(8, 60, 5)))
        for turn in range(int(rng.integers(2, 6))):
            table = rows(rng, size=int(rng.integers(10, 150)))
            lay_out(rng, table, history / f"{turn}", files=int(rng.integers(1, 3)))
            if turn and rng.random() < 0.4:  # a file of an earlier day is written again
                first = min((history / "0").iterdir())
                first.unlink()
                write(history / "0" / "0.parquet", rows(rng, size=30), rng)
            prepare(history, out)
            assert streams(out)
        prepare(history, home / "once")
    gone = set(sources(out)) - {p.relative_to(history).as_posix() for p in history.rglob("*.*")}
    if not gone:
        assert seen(out) == seen(history) == seen(home / "once")
        assert table_of(out).num_rows == table_of(home / "once").num_rows


def sources(out):
    return [s["name"] for s in json.loads((out / MANIFEST).read_text())["sources"]]


def files_of(out):
    return {p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in out.glob("*.parquet")}


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """Twenty models over several parts."""
    small(monkeypatch)
    rng = np.random.default_rng(0)
    table = rows(rng, [f"m{i:02d}" for i in range(20)], size=500, sound=True)
    lay_out(rng, table, tmp_path / "h", kinds=("parquet",))
    prepare(tmp_path / "h", tmp_path / "out")
    assert len(files_of(tmp_path / "out")) > 5
    return tmp_path / "h", tmp_path / "out", table


def test_nothing_new_is_nothing_to_do(prepared):
    history, out, _ = prepared
    before, files = content(out), files_of(out)
    report = prepare(history, out)
    assert report.idle
    assert (report.written, report.rows, report.parts) == ((), 600, len(files))
    assert content(out) == before
    assert files_of(out) == files


def test_only_the_parts_of_the_models_that_have_news_are_written(prepared):
    history, out, table = prepared
    before = files_of(out)
    write(history / "new.parquet", table.filter(pc.equal(table["model_id"], "m11")))
    report = prepare(history, out)
    after = files_of(out)
    assert {name for name in after if after[name] != before.get(name)} == set(report.written)
    assert 1 <= len(report.written) <= 2 < len(after)
    assert (report.files.read, report.files.new, report.files.unchanged) == (1, 1, 3)
    assert seen(out) == seen(history)
    assert streams(out)


def test_a_changed_file_replaces_its_own_rows_and_no_others(prepared):
    history, out, _ = prepared
    rng = np.random.default_rng(1)
    write(history / "0.parquet", rows(rng, ["m03"], size=9, sound=True))
    report = prepare(history, out)
    assert (report.files.changed, report.files.new) == (1, 0)
    assert seen(out) == seen(history)
    assert streams(out)


def test_rows_of_files_that_are_gone_stay_which_is_told_once(prepared):
    history, out, _ = prepared
    before = seen(out)
    (history / "1.parquet").unlink()
    report = prepare(history, out)
    assert report.files.vanished == ("1.parquet",)
    assert report.idle
    assert prepare(history, out).files.vanished == ()
    assert seen(out) == before


def test_a_file_that_comes_back_as_it_was_is_not_read_twice(prepared):
    history, out, table = prepared
    kept = history.parent / "kept.parquet"
    shutil.move(history / "1.parquet", kept)
    prepare(history, out)
    shutil.move(kept, history / "1.parquet")
    report = prepare(history, out)
    assert report.idle
    assert report.rows == table.num_rows


def test_a_changed_file_that_cannot_be_read_leaves_its_old_rows_and_is_looked_at_again(prepared):
    history, out, _ = prepared
    before, raw = seen(out), (history / "0.parquet").read_bytes()
    (history / "0.parquet").write_bytes(raw[:-50])
    for _ in range(2):
        report = prepare(history, out)
        assert list(report.account.files) == ["0.parquet"]
        assert report.exit_code == 3
        assert seen(out) == before
    (history / "0.parquet").write_bytes(raw)
    assert prepare(history, out).exit_code == 0
    assert seen(out) == before


def test_force_forgets_files_that_are_gone(prepared):
    history, out, _ = prepared
    names = set(files_of(out))
    (history / "1.parquet").unlink()
    prepare(history, out, force=True)
    assert seen(out) == seen(history)
    assert names.isdisjoint(files_of(out))
    assert streams(out)


def test_a_part_without_any_row_left_is_gone(prepared):
    history, out, _ = prepared
    write(history / "alone.parquet", rows(np.random.default_rng(2), ["zz"], size=900, sound=True))
    prepare(history, out)
    grown = set(files_of(out))
    write(history / "alone.parquet", rows(np.random.default_rng(2), ["m03"], size=2, sound=True))
    prepare(history, out)
    assert set(files_of(out)) < grown
    assert "zz" not in set(table_of(out)["model_id"].to_pylist())
    assert seen(out) == seen(history)


def test_what_grows_much_is_split_in_order(prepared):
    history, out, _ = prepared
    for turn in range(3):
        rng = np.random.default_rng(turn)
        table = rows(rng, [f"m05-{i}" for i in range(9)], size=700, sound=True)
        write(history / f"more-{turn}.parquet", table)
        prepare(history, out)
        assert streams(out)
        assert max(pq.read_metadata(p).num_rows for p in out.glob("*.parquet")) < 250
    assert seen(out) == seen(history)


def test_a_column_that_comes_later_is_null_before(prepared):
    history, out, table = prepared
    late = table.slice(0, 3).append_column("team", pa.array(["x", None, "y"]))
    write(history / "late.parquet", late)
    prepare(history, out)
    assert seen(out) == seen(history)
    assert sorted(filter(None, table_of(out)["team"].to_pylist())) == ["x", "y"]


def test_a_column_that_gets_wider_does_so_in_every_part(prepared):
    history, out, table = prepared
    wide = table.slice(0, 40).set_column(8, "build", pa.array([0.5] * 40))
    write(history / "wide.parquet", wide)
    prepare(history, out)
    assert seen(out) == seen(history)
    kinds = {str(pq.read_schema(p).field("build").type) for p in out.glob("*.parquet")}
    assert kinds == {"double"}
    assert streams(out)


def test_a_column_of_another_kind_is_refused_and_nothing_changes(prepared):
    history, out, table = prepared
    before = content(out)
    write(history / "odd.parquet", table.set_column(7, "region", pa.array(range(len(table)))))
    with pytest.raises(InputError, match='column "region" holds int64'):
        prepare(history, out)
    assert content(out) == before


def test_another_configuration_is_refused(prepared):
    history, out, _ = prepared
    plan = AuditPlan.from_text('[calibration.hardening.windows]\ntimezone = "Asia/Tokyo"\n')
    with pytest.raises(ConfigError, match=r"timezone = None, not 'Asia/Tokyo'.*--force"):
        prepare(history, out, plan=plan)
    prepare(history, out, plan=plan, force=True)
    assert seen(out, plan) == seen(history, plan)


def test_names_of_columns_that_only_predictions_have_do_not_matter(prepared):
    history, out, _ = prepared
    plan = AuditPlan.from_text('[calibration.hardening.columns]\nscore = "p"\n')
    assert prepare(history, out, plan=plan).idle
    plan = AuditPlan.from_text('[calibration.hardening.columns]\ndece = "d"\n')
    with pytest.raises(ConfigError, match=r"columns = \{\}, not \{'dece': 'd'\}"):
        prepare(history, out, plan=plan)


def test_the_origin_of_every_row_is_the_number_that_the_manifest_tells(prepared):
    history, out, _ = prepared
    told = json.loads((out / MANIFEST).read_text())
    number = {s["number"]: (s["name"], s["rows"]) for s in told["sources"]}
    found = table_of(out)[ORIGIN].to_pylist()
    assert {number[n][0]: found.count(n) for n in set(found)} == dict(number.values())
    for name, count in number.values():
        assert pq.read_metadata(history / name).num_rows == count


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 1_500)), max_size=8))
def test_there_is_always_a_label_between_two(splits):
    labels = [label for (label,) in first_labels(1, [1] * 5)]
    for at, count in splits:
        place = at % len(labels)
        following = labels[place + 1] if place + 1 < len(labels) else None
        labels[place : place + 1] = split_labels(labels[place], following, min(count, 60))
        names = [f"part-{label}.parquet" for label in labels]
        assert names == sorted(names)
        assert len(set(names)) == len(names)
    assert split_labels("001-5", "001-6", 1_500)[-1] < "001-6"
