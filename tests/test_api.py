"""`import calhard`: the audit as a function."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

import calhard
from calhard.api import instant
from calhard.errors import ConfigError, InputError
from calhard.store import list_nights
from tests.faults.fleets import contents, write_history

AS_OF = 1_780_272_000_000_000
"""2026-06-01 00:00 UTC."""
TABLES = ("regressions", "violations", "incidents", "warnings", "improvements", "health")


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    return write_history(tmp_path_factory.mktemp("fleet") / "history")


@pytest.fixture(scope="module")
def report(history, tmp_path_factory):
    plan = calhard.AuditPlan(expected_models=("a", "b", "d", "gone"))
    return calhard.audit(history, plan, out=tmp_path_factory.mktemp("out"), workers=1)


def test_a_report_gives_the_night_in_numbers(report):
    assert isinstance(report, calhard.AuditReport)
    assert report.night == "2026-05-31"
    assert report.fresh
    assert report.exit_code == report.summary["exit_code"] == 1
    assert report.healthy is report.summary["healthy"]
    assert (report.path / "manifest.json").exists()


def test_a_report_gives_every_table_when_it_is_asked_for(report):
    assert report.regressions["model_id"].to_pylist() == ["gone"]
    assert report.incidents["models"].to_pylist() == [["gone"]]
    assert report.health.num_rows == 4
    assert set(report.evidence["model_id"].to_pylist()) == {"a", "b", "d"}
    assert "missing" in report.coverage["outcome"].to_pylist()
    assert report.warnings.num_rows == report.improvements.num_rows == 0
    assert report.violations.schema.names[:4] == ["model_id", "class_id", "metric", "window"]
    for name in TABLES:
        assert getattr(report, name).equals(report.table(name))


def test_a_table_that_was_changed_is_not_given(history, tmp_path):
    found = calhard.audit(history, out=tmp_path, workers=1)
    (found.path / "health.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"health\.parquet has changed"):
        _ = found.health


def test_without_a_plan_every_rule_has_its_default(history, tmp_path):
    first = calhard.audit(history, out=tmp_path / "a", workers=1)
    second = calhard.audit(str(history), calhard.AuditPlan(), out=str(tmp_path / "b"), workers=1)
    assert first.exit_code == second.exit_code == 0
    assert first.healthy
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_a_night_is_audited_once_unless_it_is_forced(history, tmp_path):
    fresh = [
        calhard.audit(history, out=tmp_path, workers=1, force=force).fresh
        for force in (False, False, True)
    ]
    assert fresh == [True, False, True]


def test_as_of_chooses_the_night(history, tmp_path):
    for as_of in ("2026-05-30", datetime(2026, 5, 29, tzinfo=UTC)):
        calhard.audit(history, out=tmp_path, as_of=as_of, workers=1)
    assert list_nights(tmp_path) == ["2026-05-28", "2026-05-29"]


def test_progress_is_told(history, tmp_path):
    stages = []
    calhard.audit(history, out=tmp_path, workers=1, progress=lambda *told: stages.append(told[0]))
    assert stages[0] == "assess"
    assert {"assess", "judge", "decide"} <= set(stages)


def test_a_plan_that_is_disabled_does_nothing_and_says_so(history, tmp_path):
    with pytest.raises(ConfigError, match=r"enabled = false.*nothing was done"):
        calhard.audit(history, calhard.AuditPlan(enabled=False), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_baseline_that_cannot_be_read_is_told_before_anything_is_done(history, tmp_path):
    with pytest.raises(ConfigError, match="nowhere"):
        calhard.audit(history, out=tmp_path / "out", baseline=tmp_path / "nowhere.parquet")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "as_of",
    [
        "2026-06-01",
        "2026-06-01T00:00Z",
        "2026-06-01T02:00+02:00",
        datetime(2026, 6, 1),  # noqa: DTZ001  # naive ones are UTC
        datetime(2026, 6, 1, tzinfo=UTC),
        datetime(2026, 5, 31, 19, tzinfo=timezone(timedelta(hours=-5))),
    ],
)
def test_an_instant_may_be_text_or_a_datetime_of_any_zone(as_of):
    assert instant(as_of) == AS_OF


def test_an_instant_is_exact_to_the_microsecond():
    assert instant("2026-06-01T00:00:00.000001Z") == AS_OF + 1
    assert instant("9999-12-31T23:59:59.999999Z") == 253_402_300_799_999_999
    assert instant(None) is None


@pytest.mark.parametrize("as_of", ["", "tonight", "2026-13-01", 1_780_272_000, date(2026, 6, 1)])
def test_what_is_no_instant_is_told(as_of):
    with pytest.raises(ConfigError, match="as_of") as told:
        instant(as_of)
    assert told.value.exit_code == 2


def test_an_instant_before_every_history_is_told():
    with pytest.raises(ConfigError, match="before 1990"):
        instant("1989-12-31")
