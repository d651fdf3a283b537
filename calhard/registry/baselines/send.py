"""A baseline in MLflow: a run of its fleet's experiment, found by the baseline's hash."""

from __future__ import annotations

import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory

from calhard.registry.baselines.shelf import Version
from calhard.sinks.mlflow.client import Server
from calhard.sinks.mlflow.experiment import experiment_of, name_of
from calhard.sinks.mlflow.write import write_artifacts

KIND, BASELINE = "calhard.kind", "baseline"
NUMBER, DIGEST, IN_FORCE = (
    "calhard.baseline",
    "calhard.baseline_sha256",
    "calhard.baseline_in_force",
)
LIMIT = 100


def send_baseline(server: Server, version: Version, *, in_force: bool) -> str:
    """Send a version, or find it, and say whether it is in force; return its run.

    Done again it goes on with the run that is there. The tag moves to this run last: for a moment
    two runs may have it, never none.

    Raises
    ------
    MlflowFailed
        The server fails; sending it again goes on.
    InputError
        The version is damaged.
    """
    about, content = version.about, version.content
    digest = hashlib.sha256(content).hexdigest()
    experiment = experiment_of(server, name_of(server.settings, str(about["fleet"])))
    run_id = _run(server, experiment, version, digest)
    with TemporaryDirectory(prefix="calhard-baseline-") as name:
        (Path(name) / version.place.name).write_bytes(content)
        write_artifacts(server, run_id, Path(name))
    server.client.set_terminated(run_id, "FINISHED")
    if in_force:
        server.client.set_tag(run_id, IN_FORCE, "true")
        for other in _runs(server, experiment, f"tags.`{IN_FORCE}` = 'true'"):
            if other != run_id:
                server.client.set_tag(other, IN_FORCE, "false")
    return run_id


def _run(server: Server, experiment: str, version: Version, digest: str) -> str:
    there = _runs(server, experiment, f"tags.`{DIGEST}` = '{digest}'")
    if there:
        return there[0]
    tags = {
        KIND: BASELINE,
        NUMBER: str(version.number),
        DIGEST: digest,
        "calhard.audit_date": version.night,
    }
    name = f"baseline {version.number} ({version.night})"
    return str(server.client.create_run(experiment, tags=tags, run_name=name).info.run_id)


def _runs(server: Server, experiment: str, wanted: str) -> list[str]:
    query = f"tags.`{KIND}` = '{BASELINE}' and {wanted}"
    found = server.client.search_runs(
        [experiment], query, max_results=LIMIT, order_by=["attributes.start_time ASC"]
    )
    return [run.info.run_id for run in found]
