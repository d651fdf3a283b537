"""Durations and windows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calhard.plan import Window, parse_duration
from calhard.plan.duration import LONGEST_US, format_duration

SECOND = 1_000_000


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("28d", 28 * 86_400),
        ("24h", 86_400),
        (" 90 m ", 5_400),
        ("2w", 14 * 86_400),
        ("1.5h", 5_400),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text, seconds):
    assert parse_duration(text) == seconds * SECOND


@pytest.mark.parametrize(
    "text",
    ["", "d", "28", "28 days", "-1d", "0d", "1e3s", "٣d", "1d2h", "nan d", 28, None, "99999w"],
)
def test_anything_else_is_refused_in_words(text):
    with pytest.raises(ValueError, match=r"duration|longer than a hundred years"):
        parse_duration(text)


@given(st.integers(1, LONGEST_US))
def test_a_duration_written_is_read_back_to_the_microsecond(microseconds):
    assert parse_duration(format_duration(microseconds)) == microseconds


def test_a_window_is_a_duration_or_a_number_of_samples():
    assert Window.parse("28d") == Window(duration_us=28 * 86_400 * SECOND)
    assert Window.parse(28) == Window(samples=28)
    assert (str(Window.parse("48h")), str(Window.parse(28))) == ("2d", "28")


@pytest.mark.parametrize("value", [0, -3, True, 1.5, None, [28], "28"])
def test_no_other_value_is_a_window(value):
    with pytest.raises(ValueError, match=r"window|duration"):
        Window.parse(value)
