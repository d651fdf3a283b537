"""Names that are not there get the nearest ones; names that would do harm are inert."""

import pytest

from calhard import explain
from calhard.errors import ConfigError, InputError
from calhard.explanation.figure import png_bytes
from calhard.explanation.nearest import nearest
from calhard.explanation.plot import plot_text
from tests.explain.nights import RED

BAD = "\x1b\u202e"


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("chum",), "no model chum (did you mean churn) in night 2026-05-31"),
        (("zzz",), "no model zzz (there are \\x1b[31mred\\x1b[0m\\u202e, churn, well) in night"),
        (("churn", "stepp"), "no class stepp (did you mean step"),
        (("churn", "aece"), "no class aece (there are better, conflict, constant and 12 more)"),
        (("churn", "step", "aec"), "no metric aec (did you mean aece) of churn / step in night"),
        (("churn", "step", "alpha"), "no metric alpha (there are aece, score_range_violations) of"),
        (("churn", "nowhere", "aece"), "no class nowhere (there are "),
        (("\ud800",), "no model \\ud800 (there are"),
    ],
)
def test_a_name_that_is_not_there_gets_the_nearest(nights, names, said):
    with pytest.raises(ConfigError) as caught:
        explain(nights, *names)
    assert str(caught.value).startswith(said)
    assert caught.value.exit_code == 2


def test_a_metric_in_the_place_of_a_class_is_told_apart(nights):
    with pytest.raises(ConfigError, match=r"; aece is a metric: name the class before it$"):
        explain(nights, "churn", "aece")


def test_a_night_that_is_not_there_gets_those_that_are(nights):
    with pytest.raises(InputError, match=r"no night 2026-05-12; there are 2026-05-11, 2026-05-31"):
        explain(nights, "churn", night="2026-05-12")


@pytest.mark.parametrize("names", [(RED,), (RED, RED), (RED, RED, "aece")])
def test_a_hostile_name_is_shown_and_does_nothing(nights, names):
    found = explain(nights, *names)
    assert found.verdict == "alarmed"
    shown = found.text + plot_text(found.picture)
    assert not set(BAD) & set(shown)
    assert "\\x1b[31mred\\x1b[0m\\u202e" in shown


def test_a_hostile_name_can_be_drawn(nights):
    picture = explain(nights, RED, RED, "aece").picture
    assert png_bytes(picture, f"$\\frac{{{RED}}}$").startswith(b"\x89PNG\r\n")


def test_in_a_large_fleet_the_nearest_names_are_those_that_begin_alike():
    names = [f"m{i:06d}" for i in range(20_000)]
    assert nearest("m01000x", names) == ["m010000", "m010001", "m010002"]
    assert nearest("n012345", names)[0] == "m012345"
    assert nearest("something else", names) == []
    assert nearest("", names) == []
    assert nearest("m1", ["m1", "m2"]) == ["m1"]
