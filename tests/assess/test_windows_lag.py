"""A clock with a lag cuts rows as one without it cuts the same rows, stamped a lag later."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calhard.assess.windows import Clock, find_windows
from calhard.plan import AuditPlan
from tests.blocks import AS_OF, DAY, HOUR, audit_blocks, block

MINUTE = HOUR // 60
WEEK = 7 * DAY
SHIFTED = ("onset", "last_timestamp", "reference_start", "analysis_start", "deployed_at")


def series(spacing, n, *, size=4, seed=0):
    """Series of which some have stepped within the last days."""
    values = 0.02 + 0.001 * np.random.default_rng(seed).standard_normal((size, n))
    values[1::2, -(4 * DAY // spacing + 1) :] += 0.02
    return block(values, spacing=spacing)


def earlier(found, by):
    """The same block, its rows stamped earlier."""
    return replace(found, timestamp=found.timestamp - by)


@settings(max_examples=80, deadline=None)
@given(
    gaps=st.lists(st.integers(1, 40 * 24), min_size=1, max_size=60),
    lag=st.integers(0, 40 * 24 * 60),
    moment=st.integers(-30 * 24 * 60, 30 * 24 * 60),
)
def test_windows_are_the_same_rows(gaps, lag, moment):
    stamps = AS_OF - HOUR * np.cumsum(gaps)[::-1]
    rows = block(np.full((1, len(gaps)), 0.02), timestamps=stamps)
    as_of = AS_OF + moment * MINUTE
    plain = find_windows(rows, Clock.of(AuditPlan(), as_of))
    shifted = find_windows(earlier(rows, lag * MINUTE), Clock.of(AuditPlan(), as_of, lag * MINUTE))
    for name in ("start", "split", "night", "stop", "spacing", "pause", "cadence"):
        assert getattr(plain, name).tolist() == getattr(shifted, name).tolist(), name


@pytest.mark.parametrize(
    ("spacing", "n"), [(5 * MINUTE, 288 * 36), (HOUR, 24 * 36), (DAY, 36), (WEEK, 36)]
)
@pytest.mark.parametrize("lag", [MINUTE, HOUR, DAY, 3 * WEEK])
def test_evidence_is_the_same_and_its_instants_are_the_rows_own(spacing, n, lag):
    rows = series(spacing, n)
    plain = audit_blocks([rows]).evidence.to_pylist()
    clock = Clock.of(AuditPlan(), AS_OF, lag)
    shifted = audit_blocks([earlier(rows, lag)], clock=clock).evidence.to_pylist()
    assert any(row["onset"] is not None for row in plain) or spacing == WEEK
    for row, found in zip(plain, shifted, strict=True):
        for name, value in row.items():
            if name in SHIFTED and value is not None:
                assert (value - found[name]).total_seconds() * 1e6 == lag
            else:
                assert repr(found[name]) == repr(value), name


def test_a_clock_without_a_lag_ends_at_as_of():
    clock = Clock.of(AuditPlan(), AS_OF)
    assert clock.cut == clock.as_of == AS_OF
    later = Clock.of(AuditPlan(), AS_OF, DAY)
    assert (later.as_of, later.cut) == (AS_OF, AS_OF - DAY)
    assert later.night_days == clock.night_days == 1.0
    assert clock.analysis - later.analysis == clock.reference - later.reference == DAY


def test_nothing_within_a_window_is_out_of_reach_however_great_the_lag():
    for lag in (0, DAY, 2_000 * DAY):
        clock = Clock.of(AuditPlan(), AS_OF, lag)
        assert clock.lookback <= clock.reference


@pytest.mark.parametrize(("hours", "status"), [(72, "ok"), (73, "failed")])
def test_a_source_fails_when_three_of_its_rows_would_be_known_and_are_not(hours, status):
    rows = earlier(series(DAY, 40, size=2), DAY)
    clock = Clock.of(AuditPlan(), AS_OF + hours * HOUR, DAY)
    row = audit_blocks([rows], clock=clock).evidence.to_pylist()[0]
    assert row["status"] == status
    if status == "failed":
        assert row["reason"] == "no sample for 73 h; one is due every 24 h"
