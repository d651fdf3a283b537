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
from calhard.sinks.mlflow.experiment import experiment_of
from calhard.sinks.mlflow.publish import publisher
from calhard.store import open_night

NIGHT = "2026-05-31"


@cache
def history(seed=0):
    """A history in which one model of four has a step, made once."""
    spec = FleetSpec(models=4, classes=1, seed=seed)
    return write_fleet(spec, Path(mkdtemp(prefix="calhard-history-")))


def audited(out, fleet, seed=0, **more):
    """Audit a night of a fleet of this name; return it."""
    plan = AuditPlan(fleet=fleet)
    report = run_audit(history(seed), plan, out=out, engine=LocalEngine(1), **more)
    return open_night(out, report.night)


def audited_by(plan, out):
    """Audit a night by a plan; return what it says in MLflow."""
    report = run_audit(history(), plan, out=out, engine=LocalEngine(1))
    return night_content(out, open_night(out, report.night), plan.mlflow, plan.fleet)


@cache
def shared(seed=0):
    """A folder with a night, and the night, made once; not to be written to."""
    out = Path(mkdtemp(prefix="calhard-nights-"))
    return out, audited(out, "shared", seed)


@dataclass(frozen=True)
class Slight(Content):
    """A content of one small artifact."""

    def write(self, folder):
        (folder / "one.txt").write_text("one")


def slight(seed=0, **more):
    """What the shared night says, cut down to what is soon written."""
    out, night = shared(seed)
    full = night_content(out, night, Mlflow(trailing_nights=1), "shared")
    few = {k: getattr(full, k) for k in Content.__dataclass_fields__}
    few |= {"points": full.points[:3], "params": dict(list(full.params.items())[:2])}
    return Slight(**(few | more))


def publishing(server, content, fleet, revision=1):
    """Return the publisher of a content in the name of a fleet."""
    made = publisher(server, experiment_of(server, f"calhard/{fleet}"), content)
    label = replace(made.runs.label, fleet=fleet, revision=revision)
    return replace(made, runs=replace(made.runs, label=label))


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
