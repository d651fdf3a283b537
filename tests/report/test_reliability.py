"""The reliability diagrams of a card: what is drawn where, and in which words."""

import re
from dataclasses import replace

import pytest

from calhard.reliability import Diagram
from calhard.report import html_report
from calhard.report.cards import cards
from calhard.report.exhibits import Exhibits
from calhard.report.reliability import FLOOR, LEFT, SIDE, TOP, reliability_plots
from tests.report.nights import eventful
from tests.report.shown import cells, diagrams, exhibits
from tests.report.test_page import HOSTILE, hostile_night, sound


def points(path):
    """The places of a path's moves and lines."""
    return [(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+) (-?[\d.]+)", path)]


def test_both_windows_stand_side_by_side_the_earlier_first():
    before, now = reliability_plots(diagrams("churn", "rare"))
    assert (before.window, now.window) == ("Before", "Now")
    assert before.told == "2026-04-27 to 2026-05-24, 6,000 labels in 28 periods"
    assert before.verdict.startswith("0 of 15 cells outside the 95% band, 0.")
    assert now.verdict.startswith("13 of 15 cells outside")


def test_what_lies_within_is_a_dot_and_what_lies_outside_a_triangle_to_its_side():
    before, now = reliability_plots(diagrams("churn", "rare"))
    assert (before.within.count("M"), before.above, before.below) == (15, "", "")
    assert now.within.count("M") == 2
    assert now.above.count("Z") + now.below.count("Z") == 13
    for path, side in ((now.above, 1), (now.below, -1)):
        for triangle in path.split("Z")[:-1]:
            (_, tip), (_, base), _ = points(triangle)
            assert (base - tip) * side > 0


def test_nothing_is_drawn_outside_of_its_frame():
    for width in (1 / 15, 1 / 60, 2**-10 / 15):
        windows = {
            name: replace(diagram, cells=cells(bend, width))
            for (name, diagram), bend in zip(diagrams("m", "c").items(), (0.0, 0.9), strict=True)
        }
        for plot in reliability_plots(windows):
            for x, y in points(plot.line):
                assert LEFT <= x <= LEFT + SIDE
                assert TOP <= y <= TOP + SIDE
            for box in (*plot.band, *plot.bars):
                assert LEFT - 4 <= box.x <= box.x + box.width <= LEFT + SIDE + 4
                assert TOP <= box.y <= box.y + box.height <= FLOOR + 0.05
                assert min(box.width, box.height) > 0


def test_low_scores_fill_the_frame_and_both_windows_have_one_scale():
    windows = {n: replace(d, cells=cells(0.1, 1 / 150)) for n, d in diagrams("m", "c").items()}
    before, now = reliability_plots(windows)
    assert before.ticks == now.ticks
    assert [tick.text for tick in before.ticks] == ["0.00", "0.05", "0.10"]
    assert max(x for x, _ in points(before.line)) > LEFT + 0.7 * SIDE


def test_a_window_without_labels_is_left_out():
    only = {"analysis": diagrams("m", "c")["analysis"]}
    (plot,) = reliability_plots(only)
    assert plot.window == "Now"
    (empty,) = reliability_plots({"analysis": Diagram("m", "c", ())})
    assert (empty.line, empty.bars, empty.verdict) == ("", (), "no labels")


def test_a_card_shows_the_worst_model_class_that_has_bins():
    night = eventful()
    first, second = cards(night, exhibits(night))
    assert first.reliability is not None
    assert first.reliability[0] == "churn / rare"
    kept = {("a-minor", "c"): diagrams("a-minor", "c")}
    first, second = cards(night, Exhibits(reliability=kept))
    assert first.reliability is None
    assert second.reliability is not None


def test_the_page_draws_them_and_says_what_the_signs_mean():
    page = html_report(eventful(), exhibits(eventful()))
    words = sound(page).text
    assert page.count('class="share"') == 4
    assert "Reliability of churn / rare: which share of the labels came true" in words
    assert "13 of 15 cells outside the 95% band" in words
    assert "triangles above (▲) or below (▼)" in words
    assert "Reliability of" not in sound(html_report(eventful(), Exhibits())).text


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_inert_beside_a_diagram(name):
    night = hostile_night(name)
    page = html_report(night, exhibits(night))
    assert 'class="share"' in page
    sound(page)
    assert page.lower().count("<script") == 1
