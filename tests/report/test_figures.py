"""Figures of a night: right at one night and at many, at one model and at very many."""

from datetime import date, timedelta
from itertools import pairwise
from math import isfinite, isnan

import pytest
from matplotlib import image

from calhard.report.figures import save
from calhard.report.fleetfigure import LOOKS, MODELS, fleet_figure
from calhard.report.heat import STATES
from calhard.report.nightsfigure import nights_figure
from calhard.report.soundnessfigure import soundness_figure
from tests.findings.tables import regressions, table
from tests.report.nights import eventful, night, summary
from tests.report.test_page import HOSTILE

METRICS = ("aece", "dece")
FIRST = date(2026, 5, 1)
NAMES = [*HOSTILE, "$\\frac{1}{0}$", "模型", "x" * 300]


def texts(figure):
    """Every text of a figure that is not empty."""
    from matplotlib.text import Text

    return [t.get_text().strip() for t in figure.findobj(Text) if t.get_text().strip()]


def width(figure, folder):
    """The figure's pixels across, once it is written without a complaint."""
    save(figure, folder / "figure.png")
    return image.imread(folder / "figure.png").shape[1]


def fleet(models, **more):
    """A night of so many models, half of which have a regression."""
    names = [f"model-{i:05d}" for i in range(models)]
    rows = [{"model_id": name, "severity": "severe"} for name in names[: -(-models // 2)]]
    told = eventful().tables["health"].schema
    health = table(told, [{"model_id": n, "class_id": "c", "audited": 2} for n in names])
    return night(
        {"regressions": regressions(*rows), "health": health}, summary(models=models, **more)
    )


def nights(days, **more):
    """Summaries of nights at these days."""
    about = [summary(regressions=k, **more) for k in range(len(days))]
    return [
        ((FIRST + timedelta(days=d)).isoformat(), told) for d, told in zip(days, about, strict=True)
    ]


@pytest.mark.parametrize("models", [1, 2, 40, 10_000])
def test_the_heat_map_shows_the_worst_models_and_says_how_many_there_are(models, tmp_path):
    statuses = {(f"model-{i:05d}", m): frozenset({"ok"}) for i in range(models) for m in METRICS}
    figure = fleet_figure(fleet(models), METRICS, statuses)
    said = texts(figure)
    assert sum(text.startswith("model-") for text in set(said)) == min(models, MODELS)
    broken = -(-models // 2)
    assert f"aece\n{broken:,} affected" in said
    assert any("The worst 40 of 10,000 models" in text for text in said) == (models == 10_000)
    assert said.count("S") == min(broken, MODELS)
    assert width(figure, tmp_path) == 1320


def test_every_state_of_a_cell_has_a_look_of_its_own():
    assert list(LOOKS) == list(STATES)
    for looks in zip(*LOOKS.values(), strict=True):
        assert len(set(looks)) == len(STATES)


def test_a_night_without_models_says_so(tmp_path):
    figure = fleet_figure(night(), (), {})
    assert "no model was audited" in texts(figure)
    assert width(figure, tmp_path) == 1320


@pytest.mark.parametrize("days", [[0], [0, 1], list(range(30)), [0, 1, 9, 10], [0, 365]])
def test_the_nights_picture_has_a_mark_for_every_night_and_a_gap_where_none_was(days, tmp_path):
    figure = nights_figure(nights(days))
    lines = figure.axes[1].get_lines()
    gaps = sum(b - a > 1 for a, b in pairwise(days))
    for line in lines:
        drawn = [value for value in line.get_ydata() if isfinite(value)]
        assert len(drawn) == len(days)
        assert len(line.get_ydata()) == len(days) + gaps
    assert list(lines[0].get_ydata())[-1] == len(days) - 1
    labels = [label.get_text() for label in figure.axes[3].get_xticklabels()]
    assert 1 <= len(labels) <= 10
    last = FIRST + timedelta(days=days[-1])
    assert labels[-1].startswith(f"{last.day} ")
    assert width(figure, tmp_path) == 1320


def test_a_night_without_compliance_is_a_gap_in_its_line(tmp_path):
    told = nights([0, 1, 2])
    told[1][1]["compliance"]["rate"] = None
    figure = nights_figure(told)
    assert [isnan(value) for value in figure.axes[3].get_lines()[0].get_ydata()] == [0, 1, 0]
    assert width(figure, tmp_path) == 1320


def test_the_soundness_picture_shows_every_factor_and_a_histogram_per_metric(tmp_path):
    about = summary() | {
        "lambda": {"aece/hourly/level": 3.25, "dece/daily/scan": 60.0},
        "metrics": {m: {"p_values": [30, *[10] * 19]} for m in METRICS},
    }
    figure = soundness_figure(about)
    said = texts(figure)
    assert {"3.25", "60.00", "aece, hourly", "dece, daily"} <= set(said)
    assert "aece\n220 series, 30 below 0.05" in said
    assert any("λ is 60, above 2" in text for text in said)
    assert width(figure, tmp_path) == 1320


@pytest.mark.parametrize("about", [summary(), summary() | {"metrics": {}}], ids=["old", "empty"])
def test_the_soundness_of_a_night_that_tells_no_p_values_is_said_in_words(about, tmp_path):
    figure = soundness_figure(about)
    assert "No p-value was computed." in texts(figure)
    assert width(figure, tmp_path) == 1320


def test_no_name_breaks_a_figure_or_is_read_as_a_formula(tmp_path):
    rows = [{"model_id": name, "metric": name} for name in NAMES]
    about = summary(fleet=NAMES[0]) | {
        "lambda": {f"{name}/hourly/level": 2.0 for name in NAMES},
        "metrics": {name: {"p_values": [1] * 20} for name in NAMES},
    }
    report = night({"regressions": regressions(*rows)}, about)
    figures = [
        fleet_figure(report, tuple(NAMES), {}),
        nights_figure([("2026-05-31", about)]),
        soundness_figure(about),
    ]
    for figure in figures:
        assert width(figure, tmp_path) == 1320
    assert any("$\\frac{1}{0}$" in text for text in texts(figures[0]))
