"""Published nights of small fleets, and what their runs are on a server."""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from calhard.engines import LocalEngine
from calhard.pipeline import run_audit
from calhard.plan import AuditPlan
from calhard.plan.publishing import Mlflow
from calhard.simulate import FleetSpec, write_fleet
from calhard.sinks.mlflow.content import Content, night_content
from calhard.sinks.mlflow.deliver import deliver
from calhard.store import open_night

NIGHT = "2026-05-31"


@cache
def history():
    """A history in which one model of four has a step, made once."""
    return write_fleet(FleetSpec(models=4, classes=1), Path(mkdtemp(prefix="calhard-history-")))


def audited(out, fleet, **more):
    """Audit a night of a fleet of this name; return it."""
    plan = AuditPlan(fleet=fleet)
    report = run_audit(history(), plan, out=out, engine=LocalEngine(1), **more)
    return open_night(out, report.night)


@dataclass(frozen=True)
class Slight(Content):
    """A content of two small artifacts."""

    def write(self, folder):
        (folder / "figures").mkdir()
        (folder / "one.txt").write_text("one")
        (folder / "figures" / "two.txt").write_text("two")


def slight(out, night, **more):
    """What a night says, cut down to what is soon written."""
    full = night_content(out, night, Mlflow(trailing_nights=1), night.summary["fleet"])
    few = {k: getattr(full, k) for k in Content.__dataclass_fields__}
    few |= {"points": full.points[:3], "params": dict(list(full.params.items())[:2])}
    return Slight(**(few | more))


def sent(out, night, server):
    return deliver(out, night, server)


def runs_of(client, fleet, *, every=False):
    """Return the runs of a fleet's experiment that are there, or every one that ever was."""
    from mlflow.entities import ViewType

    found = client.get_experiment_by_name(f"calhard/{fleet}")
    if found is None:
        return []
    view = ViewType.ALL if every else ViewType.ACTIVE_ONLY
    return list(client.search_runs([found.experiment_id], run_view_type=view))


def complete(runs):
    return [run for run in runs if run.data.tags.get("calhard.state") == "complete"]


def whole(client, run, content):
    """Assert that a run holds a content once, and is finished."""
    assert run.info.status == "FINISHED"
    assert run.info.run_name == content.run_name
    assert dict(content.params).items() <= run.data.params.items()
    for key in {p.key for p in content.points}:
        history = [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, key)]
        assert sorted(history) == sorted((p.step, p.value) for p in content.points if p.key == key)
    assert len(run.inputs.dataset_inputs) == 1


def renamed(content, fleet):
    """The same content, of a fleet of another name as its label says."""
    return replace(content, tags={**content.tags, "calhard.fleet": fleet})
