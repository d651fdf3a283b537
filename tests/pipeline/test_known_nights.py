"""Nights of histories that tell when their rows became known: `calhard measure` writes such."""

import io
import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from calhard.engines import LocalEngine
from calhard.errors import InputError
from calhard.explanation import explain_night
from calhard.history.check import check_history, print_check
from calhard.pipeline import run_audit
from calhard.plan import AuditPlan
from calhard.simulate import FleetSpec, simulate
from calhard.store import list_nights, open_night
from tests.blocks import AS_OF, DAY, HOUR
from tests.history.known import NOT_YET
from tests.history.reading import UTC_US, write

ROW_INSTANTS = ("onset", "last_timestamp", "reference_start", "analysis_start", "deployed_at")
ALONE = LocalEngine(1)


def fleet(cadence, lag, *, models=12):
    """A simulated fleet of which every row covers the ``lag`` before its simulated timestamp."""
    spec = FleetSpec(models=models, classes=1, days=40, cadence=cadence, broken=0.6, seed=5)
    table = pa.Table.from_batches(simulate(spec))
    ends = table["timestamp"].cast(pa.int64())
    newest = pc.max(ends).as_py()
    ends = pc.add(ends, AS_OF - newest)
    plain = table.set_column(2, "timestamp", ends.cast(UTC_US))
    told = table.set_column(2, "timestamp", pc.subtract(ends, lag).cast(UTC_US))
    return plain, told.append_column("ingested_at", ends.cast(UTC_US))


def audit(path, out, **more):
    more = {"engine": ALONE, "clock": lambda: (AS_OF + 30 * DAY) / 1e6} | more
    report = run_audit(path, AuditPlan(), out=out, **more)
    return open_night(out, report.night)


def us(moment):
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@pytest.fixture(scope="module", params=[("daily", DAY), ("hourly", HOUR)], ids=["daily", "hourly"])
def pair(request, tmp_path_factory):
    """A night of rows stamped with their ends, and one of the same rows as measured."""
    cadence, lag = request.param
    home = tmp_path_factory.mktemp(cadence)
    plain, told = fleet(cadence, lag)
    ends = audit(write(home / "plain" / "h.parquet", plain), home / "ends")
    starts = audit(write(home / "told" / "h.parquet", told), home / "starts")
    return ends, starts, lag


def test_the_night_is_named_after_the_day_that_is_over(pair):
    ends, starts, lag = pair
    assert starts.night == ends.night == "2026-05-31"
    assert starts.summary["as_of"] == ends.summary["as_of"] == "2026-06-01T00:00:00+00:00"
    assert starts.summary["lag_seconds"] == lag / 1e6
    assert "lag_seconds" not in ends.summary


def test_rows_stamped_with_their_start_are_judged_as_those_stamped_with_their_end(pair):
    ends, starts, lag = pair
    one, other = ends.table("evidence").to_pylist(), starts.table("evidence").to_pylist()
    assert len(one) == len(other) > 0
    shifted = 0
    for row, found in zip(one, other, strict=True):
        for name, value in row.items():
            if name in ROW_INSTANTS and value is not None:
                shifted += 1
                assert us(value) - us(found[name]) == lag, name
            else:
                assert repr(found[name]) == repr(value), name
    assert shifted > 3 * len(one)


@pytest.mark.parametrize("name", ["violations", "regressions", "warnings", "health"])
def test_the_findings_are_the_same_too(name, pair):
    ends, starts, _ = pair
    one, other = (
        night.table(name).drop_columns(
            [c for c in (*ROW_INSTANTS, "detail") if c in night.table(name).schema.names]
        )
        for night in (ends, starts)
    )
    assert one.equals(other)
    assert one.num_rows > 0 or name not in {"regressions", "health"}


def test_a_finding_is_detected_at_the_audits_moment_and_began_at_a_rows_timestamp(pair):
    _, starts, lag = pair
    found = starts.table("regressions").to_pylist()
    assert {us(row["detected_at"]) for row in found} == {AS_OF}
    onsets = [us(row["onset"]) for row in found if row["onset"] is not None]
    assert onsets
    assert max(onsets) <= AS_OF - lag


def test_pictures_show_the_windows_in_the_rows_own_timestamps(pair):
    _, starts, lag = pair
    worst = starts.table("regressions").to_pylist()[0]
    picture = explain_night(starts, *(worst[n] for n in ("model_id", "class_id", "metric"))).picture
    assert picture.as_of == AS_OF - lag
    assert picture.as_of - picture.night_start == DAY
    in_night = (picture.time > picture.night_start) & (picture.time <= picture.as_of)
    assert in_night.sum() == DAY // lag
    assert picture.time.max() <= picture.as_of


def test_every_day_has_its_night_as_the_days_go_by(tmp_path):
    _, told = fleet("daily", DAY, models=3)
    path = write(tmp_path / "h.parquet", told)
    for hours in (-48, -24, -1, 0):
        now = (AS_OF + hours * HOUR) / 1e6
        audit(path, tmp_path / "nights", clock=lambda now=now: now)
    assert list_nights(tmp_path / "nights") == ["2026-05-29", "2026-05-30", "2026-05-31"]
    last = open_night(tmp_path / "nights", "2026-05-30").table("evidence")
    assert us(max(last["last_timestamp"].to_pylist())) == AS_OF - 2 * DAY


def test_an_unfinished_period_lowers_no_coverage_and_is_counted(tmp_path):
    _, told = fleet("daily", DAY, models=3)
    now = (AS_OF - HOUR) / 1e6
    night = audit(write(tmp_path / "h.parquet", told), tmp_path / "n", clock=lambda: now)
    assert night.summary["coverage"]["share"] == 1.0
    rows = night.table("coverage").to_pylist()
    (row,) = [r for r in rows if r["unit"] == "row" and r["outcome"] != "audited"]
    assert (row["outcome"], row["reason"], row["count"]) == ("outside", NOT_YET, 3)


def test_an_audit_before_anything_is_known_says_so(tmp_path):
    _, told = fleet("daily", DAY, models=3)
    path = write(tmp_path / "h.parquet", told)
    with pytest.raises(InputError, match=f"(?s)no row can be audited\n.*3 row.s.: {NOT_YET}"):
        audit(path, tmp_path / "n", as_of_us=AS_OF - 40 * DAY)
    assert not list_nights(tmp_path / "n")


def checked(path, **more):
    found = check_history(path, AuditPlan(), clock=lambda: (AS_OF + DAY) / 1e6, **more)
    shown = io.StringIO()
    print_check(found, Console(file=shown, width=200))
    return found, shown.getvalue()


def test_a_check_says_when_rows_are_known_and_how_many_are_not_yet(tmp_path):
    plain, told = fleet("daily", DAY, models=3)
    path = write(tmp_path / "h.parquet", told)
    found, shown = checked(path, as_of_us=AS_OF - 1)
    assert "known      24 h after their timestamps" in shown
    assert f"outside  3 row(s)  {NOT_YET}" in shown
    assert found.sound
    assert json.loads(json.dumps(found.to_dict()))["lag_seconds"] == 86_400.0
    found, shown = checked(path)
    assert found.as_of_us == AS_OF
    assert NOT_YET not in shown
    assert "known      " not in checked(write(tmp_path / "plain.parquet", plain))[1]


FINDINGS = ("evidence", "violations", "regressions", "improvements", "warnings", "health")


@pytest.fixture(scope="module")
def measured():
    return fleet("daily", DAY, models=3)[1]


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10_000), hours=st.integers(-24 * 6, 24 * 3))
def test_what_becomes_known_later_changes_no_earlier_night(seed, hours, measured, tmp_path_factory):
    rng, home = np.random.default_rng(seed), tmp_path_factory.mktemp("honest")
    as_of = AS_OF + hours * HOUR
    told = measured["ingested_at"].cast(pa.int64()).to_numpy()
    late = rng.random(len(told)) < 0.2
    known = told + np.where(late, rng.integers(0, 10 * DAY, len(told)), 0)
    table = measured.set_column(
        measured.schema.get_field_index("ingested_at"), "ingested_at", pa.array(known, UTC_US)
    )
    again = table.filter(pa.array(known > as_of))  # corrections, of which nothing is known yet
    index = table.schema.get_field_index("aece")
    again = again.set_column(index, "aece", pc.add(again["aece"], 0.5))
    whole = write(home / "whole.parquet", pa.concat_tables([table, again]))
    then = write(home / "then.parquet", table.filter(pa.array(known <= as_of)))
    one, other = (audit(path, home / path.stem, as_of_us=as_of) for path in (whole, then))
    assert one.night == other.night
    assert one.summary.get("lag_seconds") == other.summary.get("lag_seconds")
    for name in FINDINGS:
        assert one.table(name).equals(other.table(name)), name
    assert one.table("evidence").num_rows > 0
