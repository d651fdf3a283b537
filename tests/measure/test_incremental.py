"""Runs after the first: only what changed is measured again, and what is gone is not missed."""

import json
import os
import shutil
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from calhard.errors import ConfigError
from calhard.measure import tasks
from calhard.plan import AuditPlan
from tests.measure.logs import (
    MANIFEST,
    START,
    content,
    days_of,
    measure,
    predictions,
    rows_of,
    times,
    without_labels,
    write,
)


@pytest.fixture(autouse=True)
def no_sync(monkeypatch):
    """Every step is taken; the machine's own disk need not be waited for."""
    monkeypatch.setattr("os.fsync", lambda handle: None)


@pytest.fixture(scope="module")
def days():
    """The rows of each day from 2026-04-28 to 2026-05-02."""
    return days_of(predictions())


@pytest.fixture
def daily(days, tmp_path):
    """A log of a file a day."""
    return write(tmp_path / "log", **{f"d{i}": day for i, day in enumerate(days)})


@pytest.fixture(scope="module")
def at_once(days, tmp_path_factory):
    """The files of the history of all days, measured at once."""
    folder = tmp_path_factory.mktemp("at_once")
    for i, day in enumerate(days):
        write(folder / "log", **{f"d{i}": day})
    measure(folder / "log", folder / "history")
    return content(folder / "history")


def sources(history):
    """Return what the manifest tells of every source."""
    told = json.loads((history / MANIFEST).read_text())
    return {source["name"]: source for source in told["sources"]}


def test_day_by_day_is_as_at_once_byte_for_byte(days, at_once, tmp_path):
    for i, day in enumerate(days):
        write(tmp_path / "log", **{f"d{i}": day})
        report = measure(tmp_path / "log", tmp_path / "history")
        assert (report.files.read, report.files.unchanged) == (1, i)
        assert len(report.periods) == 1
    assert content(tmp_path / "history") == at_once


def test_one_file_that_grows_is_as_at_once(days, at_once, tmp_path):
    for i in range(len(days)):
        write(tmp_path / "log", all=pa.concat_tables(days[: i + 1]))
        measure(tmp_path / "log", tmp_path / "history")
    assert content(tmp_path / "history") == at_once


def test_the_last_days_first_is_as_at_once_too(days, at_once, tmp_path):
    for i in (4, 0, 2, 3, 1):
        write(tmp_path / "log", **{f"d{i}": days[i]})
        measure(tmp_path / "log", tmp_path / "history")
    assert content(tmp_path / "history") == at_once


def test_without_any_change_there_is_nothing_to_do(daily, tmp_path):
    measure(daily, tmp_path / "history")
    before, told = times(tmp_path / "history"), content(tmp_path / "history", manifest=True)
    report = measure(daily, tmp_path / "history")
    assert report.idle
    assert (report.exit_code, report.files.read, report.written) == (0, 0, ())
    assert times(tmp_path / "history") == before
    assert content(tmp_path / "history", manifest=True) == told


def test_a_file_that_was_only_touched_leaves_every_part_alone(daily, tmp_path):
    measure(daily, tmp_path / "history")
    before = times(tmp_path / "history")
    os.utime(daily / "d1.parquet", ns=(1, 1))
    report = measure(daily, tmp_path / "history")
    assert (report.files.changed, len(report.periods), report.written) == (1, 1, ())
    assert times(tmp_path / "history") == before
    assert measure(daily, tmp_path / "history").idle


def test_late_labels_change_their_periods_alone(daily, days, at_once, tmp_path):
    write(daily, d4=without_labels(days[4]))
    measure(daily, tmp_path / "history")
    before, early = times(tmp_path / "history"), rows_of(tmp_path / "history")
    assert early["a", "x", "05-02"]["total_samples"] == 0
    assert early["a", "x", "05-02"]["aece"] is None
    assert early["a", "x", "05-02"]["unlabelled_rows"] == 60
    write(daily, d4=days[4])
    report = measure(daily, tmp_path / "history")
    assert report.written == ("2026-05",)
    assert report.files.read == 1
    after = times(tmp_path / "history")
    same = {name for name in after if after[name] == before[name]}
    assert same == {"2026-04.parquet", "_bins/2026-04.parquet"}
    late = rows_of(tmp_path / "history")
    assert {key[2] for key in late if late[key] != early[key]} == {"05-02"}
    assert content(tmp_path / "history") == at_once


def test_files_that_share_a_changed_period_are_read_again_and_no_others(days, tmp_path):
    half = days[1].num_rows // 2
    first = pa.concat_tables([days[0], days[1].slice(0, half)])
    write(tmp_path / "log", a=first, b=days[2])
    measure(tmp_path / "log", tmp_path / "history")
    write(tmp_path / "log", c=days[1].slice(half))
    report = measure(tmp_path / "log", tmp_path / "history")
    assert report.files.read == 2
    assert report.used == days[1].num_rows
    write(tmp_path / "all", all=pa.concat_tables(days[:3]))
    measure(tmp_path / "all", tmp_path / "whole")
    assert content(tmp_path / "history") == content(tmp_path / "whole")


def test_rows_that_move_to_another_day_change_both(days, tmp_path):
    write(tmp_path / "log", a=pa.concat_tables(days[:2]))
    measure(tmp_path / "log", tmp_path / "history")
    write(
        tmp_path / "log", b=days[2].slice(0, 7), a=pa.concat_tables([*days[:2], days[2].slice(7)])
    )
    report = measure(tmp_path / "log", tmp_path / "history")
    assert len(report.periods) == 3
    write(tmp_path / "one", all=pa.concat_tables(days[:3]))
    measure(tmp_path / "one", tmp_path / "whole")
    assert content(tmp_path / "history") == content(tmp_path / "whole")


# --- what is gone -----------------------------------------------------------------------------


def test_a_deleted_log_leaves_its_periods_in_the_history(daily, at_once, tmp_path):
    measure(daily, tmp_path / "history")
    (daily / "d0.parquet").unlink()
    report = measure(daily, tmp_path / "history")
    assert report.files.vanished == ("d0.parquet",)
    assert (report.periods, report.kept, report.exit_code) == ((), (), 0)
    assert content(tmp_path / "history") == at_once
    assert sources(tmp_path / "history")["d0.parquet"]["gone"]
    assert measure(daily, tmp_path / "history").files.vanished == ()


def test_days_measured_from_one_file_each_stay_together(days, at_once, tmp_path):
    for i, day in enumerate(days):
        write(tmp_path / "log", **{f"d{i}": day})
        measure(tmp_path / "log" / f"d{i}.parquet", tmp_path / "history")
        (tmp_path / "log" / f"d{i}.parquet").unlink()
    assert content(tmp_path / "history") == at_once
    assert len(sources(tmp_path / "history")) == 5


def test_a_period_that_lost_rows_and_changes_stays_as_it_is_and_says_so(days, tmp_path):
    half = days[0].num_rows // 2
    write(tmp_path / "log", a=days[0].slice(0, half), b=days[0].slice(half), c=days[1])
    measure(tmp_path / "log", tmp_path / "history")
    before = content(tmp_path / "history")
    (tmp_path / "log" / "a.parquet").unlink()
    write(tmp_path / "log", b=days[0].slice(half - 20))
    report = measure(tmp_path / "log", tmp_path / "history")
    assert content(tmp_path / "history") == before
    (kept,) = report.kept
    assert kept.sources == ("a.parquet",)
    assert (kept.before, kept.now) == (days[0].num_rows, days[0].num_rows - half + 20)
    assert report.to_dict()["kept"][0]["period"] == "2026-04-28"
    again = measure(tmp_path / "log", tmp_path / "history")
    assert again.idle, "told once, not every night"
    forced = measure(tmp_path / "log", tmp_path / "history", force=True, since="2026-04-28")
    assert (len(forced.periods), forced.dropped) == (2, ())
    assert "a.parquet" not in sources(tmp_path / "history")
    left = rows_of(tmp_path / "history")
    found = sum(r["total_samples"] for k, r in left.items() if k[1:] == ("__all__", "04-28"))
    assert found == kept.now


def test_a_renamed_log_and_one_joined_from_pieces_are_no_loss(daily, days, at_once, tmp_path):
    measure(daily, tmp_path / "history")
    before = times(tmp_path / "history")
    (daily / "d0.parquet").rename(daily / "e0.parquet")
    for name in ("d1", "d2"):
        (daily / f"{name}.parquet").unlink()
    write(daily, joined=pa.concat_tables(days[1:3]))
    report = measure(daily, tmp_path / "history")
    assert (len(report.periods), report.kept, report.written) == (3, (), ())
    assert times(tmp_path / "history") == before
    assert content(tmp_path / "history") == at_once
    assert set(sources(tmp_path / "history")) == {
        *("d3.parquet", "d4.parquet", "e0.parquet", "joined.parquet")
    }


def test_a_day_written_anew_under_another_name_with_late_rows_is_measured_again(days, tmp_path):
    write(tmp_path / "log", part_1=days[0].slice(9), other=days[1])
    measure(tmp_path / "log", tmp_path / "history")
    (tmp_path / "log" / "part_1.parquet").unlink()
    write(tmp_path / "log", part_2=days[0])
    report = measure(tmp_path / "log", tmp_path / "history")
    assert (len(report.periods), report.kept) == (1, ())
    measure(tmp_path / "log", tmp_path / "whole")
    assert content(tmp_path / "history") == content(tmp_path / "whole")


def test_an_export_of_the_last_days_leaves_a_history_of_all_days(days, at_once, tmp_path):
    for i in range(len(days)):
        window = [*days[max(i - 2, 0) : i + 1]]
        if i >= 2:
            window[0] = window[0].slice(9)  # its first day is cut in the middle
        write(tmp_path / "log", last=pa.concat_tables(window))
        report = measure(tmp_path / "log", tmp_path / "history")
        assert [kept.number for kept in report.kept] == ([20571 + i - 2 - 4] if i >= 2 else [])
    assert content(tmp_path / "history") == at_once


def test_a_week_whose_monday_is_gone_stays_however_many_rows_tuesday_has(tmp_path):
    monday, tuesday = days_of(predictions(days=2, rows=50, start=np.datetime64("2026-05-04", "us")))
    for name, size in (("fewer", 100), ("more", 200)):
        log, history = tmp_path / name / "log", tmp_path / name / "history"
        write(log, monday=monday.slice(0, 100))
        measure(log, history, period="7d")
        before = content(history)
        (log / "monday.parquet").unlink()
        write(log, tuesday=tuesday.slice(0, size))
        report = measure(log, history, period="7d")
        assert content(history) == before
        assert [(k.sources, k.before, k.now) for k in report.kept] == [
            (("monday.parquet",), 100, size)
        ]
        assert measure(log, history, period="7d").idle
        write(log, monday=monday.slice(0, 100))
        assert measure(log, history, period="7d").used == 100 + size


def test_a_partition_written_anew_under_other_names_with_its_labels_is_no_loss(days, tmp_path):
    early = without_labels(days[0])
    write(tmp_path / "log", a=early.slice(0, 100), b=early.slice(100))
    measure(tmp_path / "log", tmp_path / "history", period="7d")
    for name in ("a", "b"):
        (tmp_path / "log" / f"{name}.parquet").unlink()
    write(tmp_path / "log", c=pa.concat_tables([days[0], days[1]]))
    report = measure(tmp_path / "log", tmp_path / "history", period="7d")
    assert (report.kept, report.used) == ((), 2 * days[0].num_rows)
    measure(tmp_path / "log", tmp_path / "whole", period="7d")
    assert content(tmp_path / "history") == content(tmp_path / "whole")


def test_rows_that_come_back_in_two_files_of_two_nights_are_found_in_both(days, tmp_path):
    write(tmp_path / "log", a=days[0])
    measure(tmp_path / "log", tmp_path / "history")
    (tmp_path / "log" / "a.parquet").unlink()
    write(tmp_path / "log", b=days[0].slice(0, 150))
    assert [k.sources for k in measure(tmp_path / "log", tmp_path / "history").kept] == [
        ("a.parquet",)
    ]
    write(tmp_path / "log", c=days[0].slice(150))
    report = measure(tmp_path / "log", tmp_path / "history")
    assert (report.kept, report.files.read, report.used) == ((), 2, days[0].num_rows)
    assert set(sources(tmp_path / "history")) == {"b.parquet", "c.parquet"}


def test_an_export_of_the_last_day_does_not_overwrite_the_day_that_it_cuts(tmp_path):
    rows = predictions(days=1, rows=50)
    write(tmp_path / "log", latest=rows.slice(0, 60))
    measure(tmp_path / "log", tmp_path / "history")
    before = content(tmp_path / "history")
    write(tmp_path / "log", latest=rows.slice(60))
    report = measure(tmp_path / "log", tmp_path / "history")
    assert [(k.sources, k.before, k.now) for k in report.kept] == [(("latest.parquet",), 60, 140)]
    assert content(tmp_path / "history") == before
    forced = measure(tmp_path / "log", tmp_path / "history", since="2026-04-28", force=True)
    assert forced.used == 140


def test_a_manifest_without_samples_misses_what_is_gone_and_takes_late_labels(days, tmp_path):
    def forget(history):
        told = json.loads((history / MANIFEST).read_text())
        for source in told["sources"]:
            assert source.pop("samples")
        (history / MANIFEST).write_text(json.dumps(told))

    write(tmp_path / "log", a=days[0], b=without_labels(days[1]))
    measure(tmp_path / "log", tmp_path / "history")
    forget(tmp_path / "history")
    write(tmp_path / "log", b=days[1])
    assert measure(tmp_path / "log", tmp_path / "history").used == days[1].num_rows
    assert sources(tmp_path / "history")["b.parquet"]["samples"] != [""]
    assert measure(tmp_path / "log", tmp_path / "history").idle
    assert sources(tmp_path / "history")["a.parquet"]["samples"] == [""]
    (tmp_path / "log" / "a.parquet").rename(tmp_path / "log" / "c.parquet")
    report = measure(tmp_path / "log", tmp_path / "history")
    assert [k.sources for k in report.kept] == [("a.parquet",)]


def test_a_log_that_came_back_is_measured_again(daily, days, at_once, tmp_path):
    measure(daily, tmp_path / "history")
    (daily / "d2.parquet").rename(tmp_path / "aside")
    measure(daily, tmp_path / "history")
    (tmp_path / "aside").rename(daily / "d2.parquet")
    report = measure(daily, tmp_path / "history")
    assert len(report.periods) == 1
    assert "gone" not in sources(tmp_path / "history")["d2.parquet"]
    assert content(tmp_path / "history") == at_once


def test_a_log_that_became_unreadable_leaves_its_periods_and_is_read_when_it_is_mended(
    daily, days, at_once, tmp_path
):
    measure(daily, tmp_path / "history")
    whole = (daily / "d3.parquet").read_bytes()
    (daily / "d3.parquet").write_bytes(whole[: len(whole) // 2])
    for _ in range(2):
        report = measure(daily, tmp_path / "history")
        assert report.exit_code == 3
        assert list(report.account.files) == ["d3.parquet"]
        assert content(tmp_path / "history") == at_once
    (daily / "d3.parquet").write_bytes(whole)
    assert measure(daily, tmp_path / "history").exit_code == 0
    assert content(tmp_path / "history") == at_once


def test_a_shared_period_stays_when_an_unchanged_log_breaks(days, tmp_path):
    half = days[0].num_rows // 2
    write(tmp_path / "log", a=days[0].slice(0, half))
    measure(tmp_path / "log", tmp_path / "history")
    before = content(tmp_path / "history")
    path = tmp_path / "log" / "a.parquet"
    stamp, damaged = path.stat(), bytearray(path.read_bytes())
    score = pq.ParquetFile(path).metadata.row_group(0).column(3)
    begin = score.dictionary_page_offset or score.data_page_offset
    damaged[begin + score.total_compressed_size - 3] ^= 1
    path.write_bytes(bytes(damaged))
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    write(tmp_path / "log", b=days[0].slice(half), c=days[1])
    report = measure(tmp_path / "log", tmp_path / "history")
    assert list(report.account.files) == ["a.parquet"]
    assert [kept.sources for kept in report.kept] == [("a.parquet",)]
    assert len(report.periods) == 1
    after = rows_of(tmp_path / "history")
    assert {key[2] for key in after} == {"04-28", "04-29"}
    assert after["a", "x", "04-28"]["total_samples"] == 30
    assert set(before) == set(content(tmp_path / "history"))


def test_rows_that_were_too_early_are_measured_once_the_clock_has_come_to_them(tmp_path):
    log = write(tmp_path / "log", all=predictions(days=2))
    noon = float((START + np.timedelta64(36, "h")).astype(np.int64)) / 1e6
    os.utime(log / "all.parquet", (noon, noon))
    early = measure(log, tmp_path / "history", clock=lambda: noon)
    assert early.account.rejected > 0
    late = measure(log, tmp_path / "history", clock=lambda: noon + 43_200)
    assert (late.account.rejected, late.used) == (0, 2 * 240)
    assert measure(log, tmp_path / "history", clock=lambda: noon + 43_200).idle
    measure(log, tmp_path / "whole")
    assert content(tmp_path / "history") == content(tmp_path / "whole")


def test_rows_of_a_wrong_clock_are_not_looked_at_for_ever(tmp_path):
    log = write(tmp_path / "log", all=predictions(days=2))
    noon = float((START + np.timedelta64(36, "h")).astype(np.int64)) / 1e6
    os.utime(log / "all.parquet", (noon - 8 * 86_400, noon - 8 * 86_400))
    assert measure(log, tmp_path / "history", clock=lambda: noon).account.rejected > 0
    assert measure(log, tmp_path / "history", clock=lambda: noon).idle


# --- since and force --------------------------------------------------------------------------


def test_since_measures_later_periods_and_no_earlier_ones(daily, days, at_once, tmp_path):
    write(daily, d1=without_labels(days[1]), d4=without_labels(days[4]))
    measure(daily, tmp_path / "history")
    write(daily, d1=days[1], d4=days[4])
    report = measure(daily, tmp_path / "history", since="2026-05-01T12:00Z")
    assert report.span() == ("2026-05-01", "2026-05-02")
    assert report.files.older == ("d1.parquet",)
    rows = rows_of(tmp_path / "history")
    assert rows["a", "x", "05-02"]["total_samples"] == 60
    assert rows["a", "x", "04-29"]["total_samples"] == 0
    rest = measure(daily, tmp_path / "history")
    assert rest.span() == ("2026-04-29", "2026-04-29")
    assert content(tmp_path / "history") == at_once
    assert measure(daily, tmp_path / "history").idle


def test_since_is_idempotent_and_needs_no_history(daily, at_once, tmp_path):
    for _ in range(2):
        measure(daily, tmp_path / "history", since="2026-05-01")
    rows = rows_of(tmp_path / "history")
    assert {key[2] for key in rows} == {"05-01", "05-02"}
    measure(daily, tmp_path / "history")
    assert content(tmp_path / "history") == at_once


def test_since_reads_no_row_group_that_ends_long_before(tmp_path, monkeypatch):
    log = predictions(days=12, rows=10)
    (tmp_path / "log").mkdir()
    pq.write_table(log, tmp_path / "log" / "all.parquet", row_group_size=log.num_rows // 12)
    asked = []
    real = tasks.read_rows

    def read(reading, index, keys, account, row_groups=None):
        asked.append(row_groups)
        return real(reading, index, keys, account, row_groups)

    monkeypatch.setattr(tasks, "read_rows", read)
    report = measure(tmp_path / "log", tmp_path / "history", since="2026-05-08")
    assert len(report.periods) == 2
    (groups,) = asked
    assert set(groups) == {8, 9, 10, 11}
    assert report.files.older == ("all.parquet",)
    measure(tmp_path / "log", tmp_path / "history")
    measure(tmp_path / "log", tmp_path / "whole")
    assert content(tmp_path / "history") == content(tmp_path / "whole")


def test_force_measures_everything_from_what_is_there(daily, days, tmp_path):
    measure(daily, tmp_path / "history")
    for i in range(3):
        (daily / f"d{i}.parquet").unlink()
    report = measure(daily, tmp_path / "history", force=True)
    assert (len(report.periods), len(report.dropped)) == (2, 3)
    assert sorted(content(tmp_path / "history")) == ["2026-05.parquet", "_bins/2026-05.parquet"]
    assert set(sources(tmp_path / "history")) == {"d3.parquet", "d4.parquet"}
    fresh = tmp_path / "fresh"
    measure(daily, fresh)
    assert content(fresh, manifest=True) == content(tmp_path / "history", manifest=True)


def test_other_settings_are_refused_with_a_remedy_unless_forced(daily, tmp_path):
    measure(daily, tmp_path / "history")
    before = content(tmp_path / "history", manifest=True)
    coarse = AuditPlan.model_validate({"measure": {"min_bin": 7}})
    for settings, said in (
        ({"period": "7d"}, "was measured with period = '1d', not '7d'"),
        ({"plan": coarse}, "was measured with min_bin = 3, not 7"),
        ({"period": "7d", "since": "2026-05-01", "force": True}, "measured with period"),
    ):
        with pytest.raises(ConfigError, match=said) as told:
            measure(daily, tmp_path / "history", **settings)
        assert "choose another folder, or measure everything anew with --force" in str(told.value)
    assert content(tmp_path / "history", manifest=True) == before
    measure(daily, tmp_path / "history", period="7d", force=True)
    rows = rows_of(tmp_path / "history")
    assert {key[2] for key in rows} == {"04-27"}


def test_periods_of_rows_are_measured_as_a_whole(daily, days, tmp_path):
    shutil.copytree(daily, tmp_path / "all")
    (daily / "d4.parquet").unlink()
    measure(daily, tmp_path / "history", period="100rows")
    assert measure(daily, tmp_path / "history", period="100rows").idle
    write(daily, d4=days[4])
    report = measure(daily, tmp_path / "history", period="100rows")
    assert report.files.read == 5
    measure(tmp_path / "all", tmp_path / "whole", period="100rows")
    assert content(tmp_path / "history") == content(tmp_path / "whole")
    (daily / "d0.parquet").unlink()
    write(daily, d5=days[4].slice(0, 50))
    kept = measure(daily, tmp_path / "history", period="100rows")
    assert [k.sources for k in kept.kept] == [("d0.parquet",)]
    assert content(tmp_path / "history") == content(tmp_path / "whole")


def test_a_tag_that_comes_later_leaves_old_parts_alone(days, at_once, tmp_path):
    plain = [day.drop_columns(["region"]) for day in days]
    write(tmp_path / "log", **{f"d{i}": day for i, day in enumerate(plain[:4])})
    measure(tmp_path / "log", tmp_path / "history")
    before = times(tmp_path / "history")
    write(tmp_path / "log", d4=days[4])
    measure(tmp_path / "log", tmp_path / "history")
    after = times(tmp_path / "history")
    assert {n for n in after if after[n] == before[n]} == {
        *("2026-04.parquet", "_bins/2026-04.parquet")
    }
    measure(tmp_path / "log", tmp_path / "whole")
    assert content(tmp_path / "history") == content(tmp_path / "whole")
    write(tmp_path / "log", d4=plain[4])
    measure(tmp_path / "log", tmp_path / "history")
    assert "region" not in pq.read_schema(tmp_path / "history" / "2026-05.parquet").names


def test_any_sequence_of_changes_ends_as_measured_at_once(tmp_path):
    rng = np.random.default_rng(7)
    log = predictions(days=6, rows=12)
    pieces = [
        log.take(np.flatnonzero(rng.permutation(8)[np.arange(log.num_rows) % 8] == k))
        for k in range(8)
    ]
    there = {}
    for step in range(12):
        k = int(rng.integers(8))
        full = pieces[k]
        there[f"p{k}"] = full if f"p{k}" in there else without_labels(full)
        write(tmp_path / "log", **{f"p{k}": there[f"p{k}"]})
        since = {"since": "2026-05-01"} if step % 3 == 2 else {}
        measure(tmp_path / "log", tmp_path / "history", **since)
    measure(tmp_path / "log", tmp_path / "history")
    measure(tmp_path / "log", tmp_path / "whole")
    assert content(tmp_path / "history") == content(tmp_path / "whole")
    assert pc.min(log["timestamp"]).as_py().date() == START.astype("M8[D]").astype(object)


class Rule:
    """What a history must hold, told by tables of rows instead of counts and stamps."""

    def __init__(self):
        self.seen, self.measured = {}, {}
        self.kept, self.moved = [], 0

    def run(self, files, written):
        """Note a run that finds ``files``, of which some were written since the last one."""
        touched = set()
        for name in written & files.keys():
            for table in (files[name], self.seen.get(name)):
                touched |= set() if table is None else set(by_day(table))
            touched |= {day for day, names in self.measured.items() if name in names}
        for day in touched:
            now = {n: by_day(t)[day] for n, t in files.items() if day in by_day(t)}
            before = self.measured.get(day, {})
            known, there = rows_in(before), rows_in(now)
            if known.keys() <= there.keys() and known.total() <= there.total():
                self.measured[day] = now
                self.moved += bool(before.keys() - now.keys())
            else:
                self.kept.append(day)
        self.seen = dict(files)

    def rows(self):
        """Return the rows from which all periods are measured."""
        return pa.concat_tables(t for names in self.measured.values() for t in names.values())


def by_day(table):
    days = np.unique(table["timestamp"].to_numpy().astype("M8[D]")).tolist()
    stamps = table["timestamp"].to_numpy().astype("M8[D]")
    return {day: table.filter(pa.array(stamps == np.datetime64(day))) for day in days}


def rows_in(names):
    """Count the rows of some tables; a label is no part of a row."""
    columns = ("model_id", "class_id", "timestamp", "score")
    return Counter(
        row
        for table in names.values()
        for row in zip(*(table[name].to_pylist() for name in columns), strict=True)
    )


def change(rng, log, files):
    """Do to some files what people do to logs; return the names of those that are written."""
    name, other = (f"f{k}" for k in rng.permutation(5)[:2])
    what = rng.uniform()
    if name in files and what < 0.2:
        del files[name]
        return set()
    if name in files and what < 0.6:  # renamed, or joined with another one
        files[other] = pa.concat_tables(files.pop(n) for n in (name, other) if n in files)
        return {other}
    first, share = rng.integers(4), rng.uniform(0.2, 1.0)
    chosen = log.slice(int(first * log.num_rows / 4), log.num_rows // 2)
    chosen = chosen.take(np.flatnonzero(rng.uniform(size=chosen.num_rows) < share))
    if name in files and what < 0.9:  # rows are appended, labels arrive
        chosen = pa.concat_tables([files[name], chosen])
    files[name] = chosen if rng.uniform() < 0.5 else without_labels(chosen)
    return {name}


@pytest.mark.parametrize("seed", range(2))
def test_whatever_files_come_change_and_go_no_period_loses_rows_that_it_had(tmp_path, seed):
    rng = np.random.default_rng(seed)
    log = predictions(days=4, rows=4, start=np.datetime64("2026-04-29", "us"))
    rule, files = Rule(), {}
    kept = 0
    for step in range(10):
        written = change(rng, log, files) | (change(rng, log, files) if step % 2 else set())
        for path in (tmp_path / "log").glob("*.parquet"):
            if path.stem not in files:
                path.unlink()
        for name in written & files.keys():
            write(tmp_path / "log", **{name: files[name]})
            os.utime(tmp_path / "log" / f"{name}.parquet", ns=(step, int(rng.integers(2**60))))
        if not files:
            continue
        rule.run(files, written)
        report = measure(tmp_path / "log", tmp_path / "history")
        kept += len(report.kept)
        expected = write(tmp_path / f"log{step}", all=rule.rows())
        measure(expected, tmp_path / f"history{step}")
        assert content(tmp_path / "history") == content(tmp_path / f"history{step}")
        assert measure(tmp_path / "log", tmp_path / "history").periods == ()
    assert kept
    assert rule.kept
    assert rule.moved
