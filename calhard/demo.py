"""The demo: a small fleet with known faults, audited, and compared with the truth."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from shutil import which

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from calhard.engines import LocalEngine, Progress
from calhard.pipeline import AuditReport, run_audit
from calhard.plan import AuditPlan
from calhard.simulate import FleetSpec, write_fleet
from calhard.store import open_night

SPEC = FleetSpec(models=40, classes=3, broken=0.25, fleet_wide=0.2, seed=7)
"""Eight models get a bad deployment together, ten break one by one, twenty-two are healthy."""

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Demo:
    """What the demo found, and what there was to find; by model and class."""

    out: Path
    report: AuditReport
    broken: frozenset[Key]
    found: frozenset[Key]
    transient: frozenset[Key]
    """Broken for some hours and sound again: rightly silent."""

    def told(self) -> str:
        """Return the comparison with the truth, and where to look, in words."""
        lasting = self.broken - self.transient
        hits, wrong = lasting & self.found, self.found - self.broken
        night = self.report.path
        alarms = "raised no false alarm" if not wrong else f"{len(wrong)} that are healthy"
        verdict = (
            f"The truth: {len(lasting)} model-classes are broken; the audit confirmed "
            f"{len(hits)} of them and {alarms}."
        )
        over = f"{len(self.transient)} more had been off for some hours: no alarm is due."
        return "\n".join(
            [
                verdict,
                over,
                "",
                f"The fleet     {self.out / 'fleet' / 'history.parquet'} (truth: _truth.parquet)",
                f"The page      {night / 'report.html'}",
                f"The texts     {night / 'weekly_slo_report.txt'}, regression_report.txt",
                f"The evidence  {night / 'evidence.parquet'} (one row per series)",
                f"Again         {command_of('calhard')} report {quote(str(self.out))}",
            ]
        )


def command_of(name: str) -> str:
    """Return what to type for a command: its path where the shell does not find it."""
    beside = Path(sys.executable).with_name(name)
    return name if which(name) or not beside.exists() else str(beside)


def run_demo(out: Path, *, progress: Progress | None = None) -> Demo:
    """Simulate, audit and compare under ``out``; an earlier demo there is audited anew."""
    fleet = out / "fleet"
    write_fleet(SPEC, fleet)
    plan = AuditPlan(fleet="demo")
    report = run_audit(fleet, plan, out=out, engine=LocalEngine(), force=True, progress=progress)
    night = open_night(out, report.night)
    truth = pq.read_table(fleet / "_truth.parquet")
    short = truth.filter(pc.equal(truth["fault"], "transient"))
    return Demo(
        out,
        report,
        _keys(truth),
        _keys(night.table("regressions")) | _confirmed(night.table("violations")),
        _keys(short),
    )


def _keys(table: pa.Table) -> frozenset[Key]:
    return frozenset(zip(table["model_id"].to_pylist(), table["class_id"].to_pylist(), strict=True))


def _confirmed(violations: pa.Table) -> frozenset[Key]:
    return _keys(violations.filter(pc.equal(violations["verdict"], "violated")))
