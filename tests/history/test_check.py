"""What a check tells is what an audit then covers."""

import io
import json

import numpy as np
import pyarrow as pa
import pytest
from rich.console import Console

from calhard.engines import LocalEngine
from calhard.errors import InputError
from calhard.history.check import check_history, print_check
from calhard.history.groups import AGREE, DISAGREE
from calhard.pipeline import run_audit
from calhard.plan import AuditPlan
from calhard.store import open_night
from tests.blocks import AS_OF, DAY, HOUR
from tests.history.reading import UTC_US, hours, plan_of, rows, write


def clock():
    return AS_OF / 1e6


def noisy(models, n, **more):
    """Healthy hourly series, the newest row at AS_OF."""
    size = len(models) * 2 * n
    values = 0.01 + 0.0005 * np.random.default_rng(len(models)).standard_normal(size)
    return rows(models, n=n, aece=values, **more)


@pytest.fixture(scope="module")
def messy(tmp_path_factory):
    """A history with something of everything: young, conflicting, repeated, refused, damaged."""
    home = tmp_path_factory.mktemp("messy") / "h"
    old = noisy(("a", "b", "c"), 24 * 35, total_samples=pa.array([50] * (3 * 2 * 840)))
    write(home / "1.parquet", old)
    write(home / "2.parquet", noisy(("young",), 20, team=["t"] * 40))
    write(home / "3.parquet", old.slice(0, 10))  # repeats
    clash = old.slice(840, 1)
    write(home / "4.parquet", clash.set_column(3, "aece", pa.array([0.5])))
    bad = old.slice(0, 4).set_column(0, "model_id", pa.array([None, "", "d", "d"]))
    write(home / "5.parquet", bad.set_column(4, "total_samples", pa.array([1, 1, -1, -1])))
    (home / "6.parquet").write_bytes(b"PAR1 no PAR1")
    write(home / "7.csv.parquet", rows().drop(["class_id"]))
    broken = write(home / "8.parquet", noisy(("e",), 30), compression="none")
    raw = bytearray(broken.read_bytes())
    raw[raw.find(AS_OF.to_bytes(8, "little"))] ^= 1
    broken.write_bytes(raw)
    return home


@pytest.fixture(scope="module")
def checked(messy):
    return check_history(messy, AuditPlan(), clock=clock)


@pytest.fixture(scope="module")
def night(messy, tmp_path_factory):
    out = tmp_path_factory.mktemp("nights")
    run_audit(messy, AuditPlan(), out=out, engine=LocalEngine(1), clock=clock)
    return open_night(out)


def test_it_counts_what_lies_there(checked):
    assert checked.files == 8
    assert (checked.models, checked.groups) == (4, 8)
    assert checked.young == 2
    assert checked.conflicting == 1
    assert checked.cadences == {"hourly": 8}
    assert checked.metrics == ("aece",)
    assert checked.missing_metrics[0] == "dece"
    assert checked.tags == ("team",)
    assert checked.as_of_us == AS_OF
    assert not checked.sound


def test_it_accounts_for_every_row_of_the_files_that_could_be_read(checked):
    account = checked.account
    rows_in_files = 3 * 2 * 840 + 40 + 10 + 1 + 4
    assert account.rows + sum(account.counts.values()) == rows_in_files
    assert account.counts == {
        ("duplicate", AGREE): 10,
        ("duplicate", DISAGREE): 1,
        ("rejected", "model_id is null or empty"): 2,
        ("rejected", "total_samples is negative"): 2,
    }
    assert sorted(account.files) == ["6.parquet", "7.csv.parquet", "8.parquet"]


def test_it_tells_what_the_audit_then_covers(checked, night):
    counts = night.summary["counts"]
    assert counts["models"] == checked.models
    assert counts["groups"] == checked.groups
    assert counts["rows"] == checked.account.rows
    assert counts["rows_rejected"] == checked.account.rejected
    assert counts["files_rejected"] == len(checked.account.files)
    assert counts["insufficient"] == checked.young * len(checked.metrics)
    assert counts["indeterminate"] == checked.conflicting * len(checked.metrics)
    assert night.summary["as_of"].startswith("2026-06-01")


def test_its_coverage_table_is_the_nights(checked, night):
    audited = [r for r in night.table("coverage").to_pylist() if r["unit"] in {"row", "file"}]
    assert audited == checked.account.coverage()
    missing = [r for r in night.table("coverage").to_pylist() if r["unit"] == "metric"]
    assert [r["example"] for r in missing] == list(checked.missing_metrics)


def test_a_clean_history_is_sound(tmp_path):
    found = check_history(write(tmp_path / "h.parquet", noisy(("a", "b"), 840)), AuditPlan())
    assert found.sound
    assert (found.young, found.conflicting, found.ordered, found.shards) == (0, 0, True, 1)
    assert found.account.rows == 4 * 840


@pytest.mark.parametrize(
    "change",
    [
        {"aece": ["x"] * 16},
        {"model_id": [None] * 16},
        {"timestamp": pa.array([AS_OF] * 16, pa.timestamp("us", "UTC"))},
    ],
    ids=["a refused file", "a refused row", "a conflict"],
)
def test_whatever_would_be_rejected_makes_it_unsound(change, tmp_path):
    write(tmp_path / "h" / "a.parquet", noisy(("z",), 840))
    write(tmp_path / "h" / "b.parquet", rows(**change))
    assert not check_history(tmp_path / "h", AuditPlan(), clock=clock).sound


def test_rows_that_repeat_and_rows_outside_leave_it_sound(tmp_path):
    table = noisy(("a",), 840)
    path = write(tmp_path / "h.parquet", pa.concat_tables([table, table.slice(0, 9)]))
    found = check_history(path, AuditPlan(), as_of_us=AS_OF - DAY, clock=clock)
    assert found.sound
    assert found.account.counts["outside", "after as_of"] == 48
    assert found.account.counts["duplicate", AGREE] == 9


def test_an_unsorted_history_is_told_as_such(tmp_path):
    table = noisy(("a", "b"), 20)
    order = np.random.default_rng(0).permutation(table.num_rows)
    path = write(tmp_path / "h.parquet", table.take(order), row_group_size=20)
    found = check_history(path, AuditPlan(), clock=clock)
    assert not found.ordered
    assert "not sorted: gathered" in printed(found)


def test_the_cadence_of_every_group_is_told(tmp_path):
    table = noisy(("a",), 48)
    daily = pa.array([AS_OF - DAY * (23 - i % 24) for i in range(48)], pa.timestamp("us", "UTC"))
    write(tmp_path / "h" / "1.parquet", table)
    write(tmp_path / "h" / "2.parquet", noisy(("b",), 24, timestamp=daily))
    found = check_history(tmp_path / "h", AuditPlan(), clock=clock)
    assert found.cadences == {"hourly": 2, "daily": 2}


def test_series_as_long_as_the_plan_asks_for_are_not_young(tmp_path):
    n = 24 * 7 + 12
    path = write(tmp_path / "h.parquet", noisy(("a",), n))
    assert check_history(path, AuditPlan(), clock=clock).young == 0
    plan = plan_of("[calibration.hardening.windows]\nmin_reference = 13")
    assert check_history(path, plan, clock=clock).young == 2


def test_a_history_without_any_true_instant_cannot_be_checked(tmp_path):
    future = pa.array(hours(16, AS_OF + 400 * DAY), pa.timestamp("us", "UTC"))
    path = write(tmp_path / "h.parquet", rows(timestamp=future))
    with pytest.raises(InputError, match=r"up to now(?s:.*)16 row\(s\): timestamp in the future"):
        check_history(path, AuditPlan(), clock=clock)


def test_integer_milliseconds_are_told_as_such_where_there_is_nothing_else(tmp_path):
    path = write(tmp_path / "h.parquet", rows(timestamp=[t // 1_000 for t in hours(16)]))
    reason = r"(?s)nothing to audit.*look like milliseconds.*h\.parquet — divide them by 1,000"
    with pytest.raises(InputError, match=reason):
        check_history(path, AuditPlan(), clock=clock)
    with pytest.raises(InputError, match=reason):
        run_audit(path, AuditPlan(), out=tmp_path / "out", engine=LocalEngine(1), clock=clock)


def test_a_moment_before_all_rows_has_nothing_to_audit(tmp_path):
    path = write(tmp_path / "h.parquet", noisy(("a",), 20))
    found = check_history(path, AuditPlan(), as_of_us=AS_OF - 400 * DAY, clock=clock)
    assert found.groups == 0
    assert not found.sound
    assert "nothing would be audited" in printed(found)


def printed(found, width=200):
    """The check as a terminal with colours would get it, less its own colours."""
    out = io.StringIO()
    print_check(found, Console(file=out, width=width, markup=False, highlight=False))
    return out.getvalue()


def test_a_check_reads_as_words(checked):
    text = printed(checked)
    assert "parts would be rejected" in text
    assert "files      8 (" in text
    assert "models     4 with 8 model-classes, 2 too young to be audited" in text
    assert "cadence    8 hourly" in text
    assert "metrics    aece" in text
    assert "missing    dece, alpha" in text
    assert "conflicts  1 model-classes have rows that disagree" in text
    assert "total_samples is negative" in text
    assert "write the number of labels behind the row" in text


def test_a_check_is_the_same_as_json(checked):
    told = json.loads(json.dumps(checked.to_dict()))
    assert told["models"] == 4
    assert told["as_of"] == "2026-06-01T00:00:00+00:00"
    assert told["sound"] is False
    assert told["coverage"] == checked.account.coverage()


HOSTILE = [
    "\x1b[2J\x1b[31mred",
    "[bold]markup[bold]",
    "\u202egnp.exe",
    "bell\a",
    "a\r\nb",
    "\x9b31m",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_printed_inert(name, tmp_path):
    home = tmp_path / f"h{name}"
    write(home / "good.parquet", noisy(("a",), 20, **{name: ["t"] * 40}))
    write(home / f"bad{name}.parquet", rows(total_samples=[-1] * 16, model_id=[name] * 16))
    column = rows().rename_columns([f"model_id{name}", "class_id", "timestamp", "aece"])
    write(home / "column.parquet", column)
    text = printed(check_history(home, AuditPlan(), clock=clock), width=2_000)
    assert not set(text) & set("\x1b\u202e\a\r\x9b")
    if name.startswith("[bold]"):
        assert name in text
    else:
        assert "\\x" in text or "\\u202e" in text


def test_what_stopped_reporting_is_silent_and_not_young(tmp_path):
    stamps = AS_OF - HOUR * np.arange(900)
    columns = {
        "model_id": ["gone"] * 660 + ["there"] * 900,
        "class_id": ["c"] * 1_560,
        "timestamp": pa.array(np.concatenate([stamps[240:], stamps])).cast(pa.timestamp("us")),
        "aece": [0.01] * 1_560,
    }
    write(tmp_path / "h.parquet", pa.table(columns))
    found = check_history(tmp_path / "h.parquet", AuditPlan(), clock=clock)
    assert (found.groups, found.young, found.silent) == (2, 0, 1)


def clashing(path, spacing, n, age, every=1):
    """Whether a series is conflicting of which the row ``age`` steps back stands there twice."""
    stamps = [AS_OF - spacing * i for i in range(n)]
    values = [0.01 if i % every == 0 else None for i in range(n)]
    table = rows(("a",), ("x",), n + 1, timestamp=pa.array([*stamps, stamps[age]], UTC_US))
    table = table.set_column(3, "aece", pa.array([*values, 0.5], pa.float64()))
    found = check_history(write(path, table), AuditPlan(), clock=clock)
    assert found.account.counts["duplicate", DISAGREE] == 1
    return bool(found.conflicting)


@pytest.mark.parametrize("spacing", [HOUR, DAY, 7 * DAY], ids=["hourly", "daily", "weekly"])
def test_only_a_clash_that_a_window_may_hold_makes_a_series_conflicting(spacing, tmp_path):
    last = 35 * max(DAY // spacing, 1) - 1  # 28 days and 7, or as many samples
    for age in (0, last):
        assert clashing(tmp_path / "h.parquet", spacing, last + 9, age)
    for age in (last + 1, last + 8):
        assert not clashing(tmp_path / "h.parquet", spacing, last + 9, age)


def test_a_metric_reported_now_and_then_reaches_as_far_back_as_its_own_window(tmp_path):
    assert clashing(tmp_path / "h.parquet", DAY, 700, 34 * 10, every=10)
    assert not clashing(tmp_path / "h.parquet", DAY, 700, 35 * 10, every=10)


def test_values_that_are_not_finite_or_out_of_range_are_counted_by_metric(tmp_path):
    table = noisy(("a", "b"), 24 * 40, clamp_rate=[0.1] * (4 * 960))
    aece, clamp = (table[name].to_pylist() for name in ("aece", "clamp_rate"))
    aece[959], aece[958] = 1.5, float("nan")  # of a, x: today
    aece[1] = 7.0  # before any window
    clamp[960 + 300] = -0.1  # of a, y: in the reference
    clamp[959] = None
    table = table.set_column(3, "aece", pa.array(aece, from_pandas=False))
    table = table.set_column(4, "clamp_rate", pa.array(clamp, from_pandas=False))
    found = check_history(write(tmp_path / "h.parquet", table), AuditPlan(), clock=clock)
    assert found.bad_values == {"aece": 2, "clamp_rate": 1}
    assert found.to_dict()["bad_values"] == found.bad_values
    assert not found.sound
    text = printed(found)
    assert "values are not finite or out of range" in text
    assert "values     3 not finite or out of range: aece 2, clamp_rate 1; in the ana" in text
    run_audit(tmp_path / "h.parquet", AuditPlan(), out=tmp_path / "o", engine=LocalEngine(1))
    evidence = open_night(tmp_path / "o").table("evidence")
    assert sum(evidence["n_bad"].to_pylist()) == 3
