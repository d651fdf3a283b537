"""What a published night says in MLflow: computed from the night and the nights before it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from calhard.plan.publishing import Mlflow
from calhard.store import NightReader, Out

NOTE = "mlflow.note.content"
"""The tag that holds a run's description."""


@dataclass(frozen=True, slots=True)
class Point:
    """One value of a metric: of the night whose day number (days since 1970) is ``step``."""

    key: str
    value: float
    timestamp_ms: int
    step: int


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
    """

    run_name: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    points: tuple[Point, ...]
    description: str
    dataset: Lineage
    night: NightReader

    def write(self, folder: Path) -> None:
        """Write every artifact below a folder, under the name that it gets in the run."""
        for name in ("report.html", "summary.json", "weekly_slo_report.txt"):
            (folder / name).write_text(self.night.text(name), encoding="utf-8")


def night_content(out: Out, night: NightReader, settings: Mlflow, fleet: str) -> Content:
    """Return what a night of a fleet says in MLflow; ``out`` holds the nights before it.

    Raises
    ------
    InputError
        A file of the night is not what was published.
    """
    del out, settings
    summary = night.summary
    return Content(
        run_name=night.night,
        tags=MappingProxyType({"calhard.verdict": str(summary["verdict"])}),
        params=MappingProxyType({}),
        points=(),
        description=str(summary["sentence"]),
        dataset=_lineage(summary, fleet),
        night=night,
    )


def _lineage(summary: Mapping[str, Any], fleet: str) -> Lineage:
    counts = summary["counts"]
    profile = {name: counts[name] for name in ("rows", "rows_rejected", "models", "series")}
    source = {"input_sha256": summary["input_sha256"], "as_of": summary["as_of"]}
    return Lineage(
        name=fleet,
        digest=str(summary["input_sha256"])[:36],
        source_type="calhard",
        source=json.dumps(source),
        profile=json.dumps(profile),
    )
