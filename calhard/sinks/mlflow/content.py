"""What a published night says in MLflow: computed from the night and the nights before it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calhard.plan.publishing import Mlflow
from calhard.report import NightReport
from calhard.schema import NIGHT_TABLES
from calhard.sinks.mlflow.description import INCIDENTS, description
from calhard.sinks.mlflow.figures import write_figures
from calhard.sinks.mlflow.listing import KINDS, listing, write_csv
from calhard.sinks.mlflow.metrics import Point, ToldNight, points, trailing_nights
from calhard.sinks.mlflow.params import policy_params
from calhard.sinks.mlflow.table import FILE, TAG, TAG_VALUE, write_table
from calhard.store import NightReader, Out

__all__ = ["NOTE", "Content", "Lineage", "Point", "night_content"]

NOTE = "mlflow.note.content"
"""The tag that holds a run's description."""
POLICY = "calhard.toml"
COPIED = (
    "report.html",
    "weekly_slo_report.txt",
    "regression_report.txt",
    "summary.json",
    POLICY,
    "evidence.parquet",
)
"""Files of the night that are artifacts of its run as they are; older nights lack some."""
CSV, FIGURES = "findings.csv", "figures"
_FEW = tuple(name for name in NIGHT_TABLES if name not in ("evidence", "reliability"))


@dataclass(frozen=True, slots=True)
class Lineage:
    """The history that was audited, as MLflow's inputs tell it.

    ``digest`` has at most 36 characters, ``source`` and ``profile`` are JSON.
    """

    name: str
    digest: str
    source_type: str
    source: str
    profile: str


@dataclass(frozen=True, slots=True)
class Content:
    """What a night says in MLflow; nothing of it depends on the clock or on a server.

    Attributes
    ----------
    run_name : the night's date
    tags : what a person searches by; the publisher adds what it finds runs by
    params : the policy
    points : at most 60 keys, each with the trailing nights
    description : Markdown; belongs into the tag `NOTE`
    dataset : the history that was audited
    night : where the artifacts come from
    trailing : the night and those before it that its metrics show, oldest first
    """

    run_name: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    points: tuple[Point, ...]
    description: str
    dataset: Lineage
    night: NightReader
    trailing: tuple[ToldNight, ...] = ()

    def write(self, folder: Path) -> None:
        """Write every artifact below a folder, under the name that it gets in the run.

        Raises
        ------
        InputError
            A file of the night is not what was published.
        """
        for name in COPIED:
            if name in self.night.files:
                self.night.copy(name, folder / name)
        found = listing({name: self.night.table(name) for name in KINDS})
        write_table(found, folder / FILE)
        write_csv(found, folder / CSV)
        (folder / FIGURES).mkdir()
        evidence = folder / "evidence.parquet"
        write_figures(_report(self.night), evidence, self.trailing, folder / FIGURES)


def night_content(out: Out, night: NightReader, settings: Mlflow, fleet: str) -> Content:
    """Return what a night of a fleet says in MLflow; ``out`` holds the nights before it.

    Raises
    ------
    InputError
        A file of the night is not what was published.
    """
    trailing = trailing_nights(out, night, fleet, settings.trailing_nights)
    return Content(
        run_name=night.night,
        tags=_tags(night.summary, night.night, fleet),
        params=policy_params(night.text(POLICY)) if POLICY in night.files else {},
        points=points(trailing),
        description=description(trailing, _incidents(night)),
        dataset=_lineage(night.summary, fleet),
        night=night,
        trailing=tuple(trailing),
    )


def _tags(summary: Mapping[str, Any], night: str, fleet: str) -> dict[str, str]:
    """What runs are searched by; numbers are metrics."""
    return {
        "calhard.fleet": fleet,
        "calhard.audit_date": night,
        "calhard.verdict": str(summary["verdict"]),
        "calhard.exit_code": str(summary["exit_code"]),
        "calhard.as_of": str(summary["as_of"]),
        TAG: TAG_VALUE,
    }


def _incidents(night: NightReader) -> list[Mapping[str, Any]]:
    """The most urgent incidents."""
    return list(night.table("incidents").slice(0, INCIDENTS).to_pylist())


def _lineage(summary: Mapping[str, Any], fleet: str) -> Lineage:
    counts = summary["counts"]
    profile = {name: counts[name] for name in ("rows", "rows_rejected", "models", "groups")}
    source = {name: summary[name] for name in ("as_of", "input_sha256", "baseline_sha256")}
    return Lineage(
        name=f"history of {fleet}"[:500],
        digest=str(summary["input_sha256"])[:36],
        source_type="calhard",
        source=json.dumps(source),
        profile=json.dumps(profile),
    )


def _report(night: NightReader) -> NightReport:
    """The night as its page was written from."""
    tables = {name: night.table(name) for name in _FEW}
    return NightReport(night.night, tables, night.summary, "")
