"""The fleet at a glance as a picture: the worst models by metrics."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING

from calhard.report.exhibits import Exhibits
from calhard.report.figures import GRID, INK, SEVERITIES, SOFT, canvas
from calhard.report.heat import HeatMap, heat_map
from calhard.report.night import NightReport
from calhard.wording.names import display_name
from calhard.wording.words import count

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MODELS, METRICS = 40, 16
LONGEST = 36
LOOKS = {
    "critical": (SEVERITIES["critical"], "C", "critical"),
    "severe": (SEVERITIES["severe"], "S", "severe or high"),
    "moderate": (SEVERITIES["moderate"], "M", "moderate or medium"),
    "minor": (SEVERITIES["minor"], "m", "minor or low"),
    "warning": ("#b9a7d8", "W", "early warning"),
    "unclear": ("#9aa3ad", "?", "not judged: bad data"),
    "unconfirmed": ("#dfe3e8", "~", "within noise"),
    "young": ("#eef0f2", "…", "too little history"),
    "ok": ("#cfe3f2", "", "nothing found"),
    "": ("#ffffff", "–", "not reported"),
}
"""Colour, letter and meaning of what a cell may say; the letter is for those who see no colours."""
_LIGHT_INK = {"critical", "severe"}
CONFIRMED = ("critical", "severe", "moderate", "minor")


def fleet_figure(
    night: NightReport, metrics: tuple[str, ...], statuses: Mapping[tuple[str, str], frozenset[str]]
) -> Figure:
    """Return the heat map of the worst models.

    Parameters
    ----------
    metrics : the audited ones, in the order of all tables
    statuses : statuses of the shown models' classes, by model and metric
    """
    heat = heat_map(night, Exhibits(metrics=metrics[:METRICS], statuses=statuses))
    rows = heat.rows[:MODELS]
    figure = canvas(max(2.8, 2.1 + 0.25 * len(rows)), _title(night), _told(night, heat, metrics))
    axes = figure.add_subplot()
    if rows and heat.metrics:
        _draw(axes, rows, heat.metrics, _broken(night))
        _legend(figure, {state for _, states in rows for state in states})
    else:
        axes.axis("off")
        axes.text(0.5, 0.5, "no model was audited", ha="center", color=SOFT)
    return figure


def _title(night: NightReport) -> str:
    fleet = display_name(str(night.summary["fleet"]), 40)
    return f"Fleet {fleet}, {night.night}: {display_name(str(night.summary['verdict']))}"


def _told(night: NightReport, heat: HeatMap, metrics: tuple[str, ...]) -> str:
    """What is shown, and what is not."""
    models = night.summary["counts"]["models"]
    shown = min(len(heat.rows), MODELS)
    sound = max(0, models - len({m for found in _broken(night).values() for m in found}))
    which = "All models" if shown >= models else f"The worst {shown} of {models:,} models"
    more = (
        f" {len(metrics) - METRICS} further metrics are not shown."
        if len(metrics) > METRICS
        else ""
    )
    return (
        f"{which}, each cell the worst of the model's classes. "
        f"{count(sound, 'model has', 'models have')} no confirmed finding.{more}"
    )


def _broken(night: NightReport) -> dict[str, set[str]]:
    """Models with a confirmed finding, by metric."""
    found: dict[str, set[str]] = defaultdict(set)
    violated = night.chosen("violations", verdict="violated", direction="worse")
    for table in (night.tables["regressions"], violated):
        names = (table[name].to_pylist() for name in ("model_id", "metric"))
        for model, metric in zip(*names, strict=True):
            found[metric].add(model)
    return found


def _draw(
    axes: Axes,
    rows: tuple[tuple[str, tuple[str, ...]], ...],
    metrics: tuple[str, ...],
    broken: Mapping[str, set[str]],
) -> None:
    from matplotlib.colors import ListedColormap

    places = {state: place for place, state in enumerate(LOOKS)}
    cells = [[places[state] for state in states] for _, states in rows]
    colours = ListedColormap([colour for colour, _, _ in LOOKS.values()])
    axes.pcolormesh(
        cells, cmap=colours, vmin=-0.5, vmax=len(LOOKS) - 0.5, edgecolors="white", linewidth=1.5
    )
    axes.invert_yaxis()
    for y, (_, states) in enumerate(rows):
        for x, state in enumerate(states):
            ink = "white" if state in _LIGHT_INK else INK
            letter = LOOKS[state][1]
            axes.text(x + 0.5, y + 0.5, letter, ha="center", va="center", color=ink, fontsize=8)
    heads = [f"{display_name(m, 24)}\n{len(broken.get(m, ())):,} affected" for m in metrics]
    axes.set_xticks([x + 0.5 for x in range(len(metrics))], heads, fontsize=8)
    axes.set_yticks(
        [y + 0.5 for y in range(len(rows))], [display_name(m, LONGEST) for m, _ in rows]
    )
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_parse_math(False)
    turned = len(metrics) > 8
    axes.tick_params(
        axis="x", top=True, labeltop=True, bottom=False, labelbottom=False, length=0, colors=INK
    )
    axes.tick_params(axis="y", length=0, labelsize=8, colors=INK)
    if turned:
        for label in axes.get_xticklabels():
            label.set(rotation=40, ha="left", rotation_mode="anchor")
    axes.spines[:].set_visible(False)


def _legend(figure: Figure, there: set[str]) -> None:
    from matplotlib.patches import Patch

    told = [
        Patch(facecolor=colour, edgecolor=GRID, label=f"{letter}  {meaning}".strip())
        for state, (colour, letter, meaning) in LOOKS.items()
        if state in there
    ]
    columns = min(len(told), 5)
    figure.legend(
        handles=told, loc="outside lower left", ncols=columns, fontsize=8.5, frameon=False
    )
