"""The figures of a night as PNG files."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from calhard.report import NightReport
from calhard.report.figures import can_draw, save
from calhard.report.fleetfigure import fleet_figure
from calhard.report.heat import heat_models
from calhard.report.nightsfigure import nights_figure
from calhard.report.soundnessfigure import soundness_figure
from calhard.sinks.mlflow.metrics import ToldNight

FLEET, NIGHTS, SOUNDNESS = "fleet.png", "nights.png", "soundness.png"


def write_figures(
    report: NightReport, evidence: Path, nights: Sequence[ToldNight], folder: Path
) -> None:
    """Write a night's figures; none where matplotlib, which MLflow brings, is not installed.

    Parameters
    ----------
    evidence : file of the night's evidence
    nights : the trailing nights, oldest first
    """
    if not can_draw():
        return
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # not its fonts, on a terminal
    metrics, statuses = _statuses(evidence, heat_models(report))
    told = tuple(report.summary.get("metrics", ())) or metrics
    save(fleet_figure(report, told, statuses), folder / FLEET)
    save(nights_figure([(night.night, night.summary) for night in nights]), folder / NIGHTS)
    save(soundness_figure(report.summary), folder / SOUNDNESS)


def _statuses(
    evidence: Path, models: Sequence[str]
) -> tuple[tuple[str, ...], dict[tuple[str, str], frozenset[str]]]:
    """The metrics there are; statuses of some models' classes. A row group is in memory."""
    wanted = pa.array(models, pa.string())
    metrics = dict[str, None]()
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    names = ["model_id", "metric", "status"]
    with pq.ParquetFile(evidence) as file:
        for part in (file.read_row_group(i, names) for i in range(file.num_row_groups)):
            metrics |= dict.fromkeys(part["metric"].unique().to_pylist())
            some = part.filter(pc.is_in(part["model_id"], value_set=wanted))
            kinds = some.group_by(names, use_threads=False).aggregate([])
            for row in kinds.to_pylist():
                found[row["model_id"], row["metric"]].add(row["status"])
    return tuple(metrics), {pair: frozenset(statuses) for pair, statuses in found.items()}
