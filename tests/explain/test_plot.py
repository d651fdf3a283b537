"""The plot of a terminal: what is far off is named, what is not there does not break it."""

from dataclasses import replace

import numpy as np
import pytest

from calhard import explain
from calhard.explanation.figure import png_bytes
from calhard.explanation.plot import plot_text
from tests.explain.nights import KINDS


@pytest.fixture
def picture(nights):
    return explain(nights, "churn", "step", "aece").picture


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("metric", ["aece", "score_range_violations"])
def test_every_kind_of_series_can_be_drawn(nights, kind, metric):
    drawn = explain(nights, "churn", kind, metric).picture
    for ascii_only in (False, True):
        text = plot_text(drawn, 80, ascii_only=ascii_only)
        assert max(map(len, text.split("\n"))) <= 80
        assert "Now begins" in text
        assert not ascii_only or text.isascii()


@pytest.mark.parametrize("kind", ["drift", "stale", "failed", "constant", "insufficient"])
def test_series_of_any_length_and_with_gaps_become_images(nights, kind):
    assert png_bytes(explain(nights, "churn", kind, "aece").picture).startswith(b"\x89PNG")


def test_a_step_is_seen_at_the_end_of_the_plot(picture):
    lines = plot_text(picture, 100).split("\n")
    marked = [[i for i, c in enumerate(line) if c in "▖▗▘▙▚▛▜▝▞▟▀▄▌▐█"] for line in lines]
    highest = next(marks for marks in marked if marks)
    assert min(highest) > 75


def test_a_far_bound_is_named_and_not_drawn(picture):
    far = replace(picture, bound_high=9.0, bound_low=None)
    assert "┈ SLO bound 9 (above the plot)" in plot_text(far)
    assert "┈┈┈" not in plot_text(far)
    assert "┈┈┈" in plot_text(picture)


def test_a_value_that_is_not_finite_is_marked(picture, nights):
    assert "x not finite" in plot_text(explain(nights, "churn", "failed", "aece").picture)
    assert "x not finite" not in plot_text(picture)


def test_nothing_kept_is_a_sentence(picture):
    none = replace(
        picture,
        time=np.empty(0, np.int64),
        value=np.empty(0),
        not_finite=np.empty(0, np.bool_),
    )
    assert plot_text(none) == "No values of this series were kept: there is nothing to plot."
    assert png_bytes(none).startswith(b"\x89PNG")


def test_one_value_can_be_drawn(picture):
    one = replace(
        picture,
        time=picture.time[-1:],
        value=picture.value[-1:],
        not_finite=picture.not_finite[-1:],
        forecast=None,
    )
    assert "onset" in plot_text(one)
    assert png_bytes(one).startswith(b"\x89PNG")


@pytest.mark.parametrize("width", [1, 40, 133, 5_000])
def test_any_width_is_drawn_within_reason(picture, width):
    lines = plot_text(picture, width).split("\n")
    assert max(map(len, lines)) == min(max(width, 40), 200)


def test_colours_are_there_when_asked_for_alone(picture):
    assert "\x1b" not in plot_text(picture)
    assert "\x1b[" in plot_text(picture, colours=True)
