"""A baseline in MLflow: a run of its fleet's experiment, found by the baseline's hash."""

from __future__ import annotations

import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from calhard.registry.baselines.shelf import Version
from calhard.sinks.mlflow.client import Server
from calhard.sinks.mlflow.errors import MlflowFailed
from calhard.sinks.mlflow.experiment import experiment_of, name_of
from calhard.sinks.mlflow.limits import Fitted
from calhard.sinks.mlflow.run import GONE
from calhard.sinks.mlflow.write import check_place, read_back, write_artifacts

if TYPE_CHECKING:
    from mlflow.entities import Run

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
    same = f"tags.`{DIGEST}` = '{digest}'"
    if not _runs(server, experiment, same):
        _create(server, experiment, version, digest)
    run_id = _runs(server, experiment, same)[0].info.run_id  # of all that were made by now
    _write(server, run_id, version.place.name, content)
    server.client.set_terminated(run_id, "FINISHED")
    run_id = _settled(server, _runs(server, experiment, same))
    if in_force:
        server.client.set_tag(run_id, IN_FORCE, "true")
        for other in _runs(server, experiment, f"tags.`{IN_FORCE}` = 'true'"):
            if other.info.run_id != run_id:
                server.client.set_tag(other.info.run_id, IN_FORCE, "false")
    return run_id


def _create(server: Server, experiment: str, version: Version, digest: str) -> None:
    tags = {
        KIND: BASELINE,
        NUMBER: str(version.number),
        DIGEST: digest,
        "calhard.audit_date": version.night,
    }
    name = f"baseline {version.number} ({version.night})"
    server.client.create_run(experiment, tags=tags, run_name=name)


def _write(server: Server, run_id: str, name: str, content: bytes) -> None:
    """Send the file to a run, and read it back."""
    check_place(server, server.client.get_run(run_id))
    with TemporaryDirectory(prefix="calhard-baseline-") as folder:
        (Path(folder) / name).write_bytes(content)
        write_artifacts(server, run_id, Path(folder))
        read_back(server, run_id, Fitted({}, {}, ()), Path(folder))


def _settled(server: Server, runs: list[Run]) -> str:
    """Throw away all runs of a version but the elected one; return it.

    Doubles come from an answer that was lost and a client that asked again, or from two who send
    at once: all go by the same rule, whoever comes last.
    """
    for run in runs[1:]:
        try:
            server.client.delete_run(run.info.run_id)
        except MlflowFailed as e:
            if e.code not in GONE:  # another was faster
                raise
    return str(runs[0].info.run_id)


def _runs(server: Server, experiment: str, wanted: str) -> list[Run]:
    """The runs that are wanted: those that are finished first, then by start and id."""
    query = f"tags.`{KIND}` = '{BASELINE}' and {wanted}"
    found = server.client.search_runs([experiment], query, max_results=LIMIT)
    return sorted(found, key=_rank)


def _rank(run: Run) -> tuple[bool, int, str]:
    return run.info.status != "FINISHED", run.info.start_time or 0, run.info.run_id
