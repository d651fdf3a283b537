"""Periods: what they are called, where they begin and end."""

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calhard.errors import ConfigError
from calhard.measure.periods import Period

ANY_TIME = st.integers(631_152_000_000_000, 4_102_444_800_000_000)  # 1990 to 2100


def start(text, *moment):
    stamp = round(datetime(*moment, tzinfo=UTC).timestamp() * 1e6)
    period = Period.parse(text)
    begin = period.starts(np.array([stamp]))
    ends = [datetime.fromtimestamp(int(t[0]) / 1e6, UTC) for t in (begin, period.ends(begin))]
    return [f"{t:%Y-%m-%d %H:%M}" for t in ends]


@pytest.mark.parametrize(
    ("text", "begin", "end"),
    [
        ("1h", "2024-02-29 23:00", "2024-03-01 00:00"),
        ("1d", "2024-02-29 00:00", "2024-03-01 00:00"),
        ("7d", "2024-02-26 00:00", "2024-03-04 00:00"),  # from a Monday
        ("1mo", "2024-02-01 00:00", "2024-03-01 00:00"),
        ("3mo", "2024-01-01 00:00", "2024-04-01 00:00"),
        ("12mo", "2024-01-01 00:00", "2025-01-01 00:00"),
    ],
)
def test_a_moment_lies_in_the_period_that_begins_before_it(text, begin, end):
    assert start(text, 2024, 2, 29, 23, 59, 59) == [begin, end]


@pytest.mark.parametrize("text", ["1h", "5h", "1d", "7d", "1mo", "2mo"])
@given(stamp=ANY_TIME)
def test_periods_neither_overlap_nor_leave_a_gap(text, stamp):
    period, moment = Period.parse(text), np.array([stamp])
    begin = period.starts(moment)
    end = period.ends(begin)
    assert begin[0] <= stamp < end[0]
    assert period.starts(begin)[0] == begin[0]
    assert period.starts(end)[0] == end[0]
    assert period.starts(end - 1)[0] == begin[0]


def test_a_number_of_rows_is_a_period_without_a_width():
    period = Period.parse("1000 rows")
    assert (period.rows, period.width_us, period.text) == (1_000, None, "1000rows")
    with pytest.raises(TypeError, match="rows"):
        period.starts(np.array([0]))


@pytest.mark.parametrize("text", ["", "1", "d", "0d", "-1d", "1y", "9rows", "0mo", "1 month", "٣d"])
def test_what_is_no_period_is_refused_with_an_example(text):
    with pytest.raises(ConfigError, match=r"1000rows|at least 10"):
        Period.parse(text)
