"""What a night says, written to its run and read back; doing it again changes nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from calhard.sinks.mlflow.client import Server
from calhard.sinks.mlflow.content import Lineage
from calhard.sinks.mlflow.errors import PLACE, MlflowFailed
from calhard.sinks.mlflow.limits import Fitted

if TYPE_CHECKING:
    from mlflow.entities import Run

METRICS, PARAMS, TAGS = 800, 100, 100
"""Entries of a batch: MLflow takes 1,000 in all, and 100 params or tags."""
UPLOAD_RATE = 2**20
"""Bytes a second that an upload may be slow; added to the time-out."""
TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"
CONTEXT = "mlflow.data.context"
INCOMPLETE = "INCOMPLETE"
FOLDERS = ("", "file")
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def write_values(server: Server, run_id: str, fit: Fitted) -> None:
    """Write params, tags and metrics, in as few requests as there may be."""
    from mlflow.entities import Metric, Param, RunTag

    params = [Param(*item) for item in fit.params.items()]
    tags = [RunTag(*item) for item in fit.tags.items()]
    metrics = [Metric(p.key, p.value, p.timestamp_ms, p.step) for p in fit.points]
    parts = (_parts(metrics, METRICS), _parts(params, PARAMS), _parts(tags, TAGS))
    for some, of_params, of_tags in zip_longest(*parts, fillvalue=()):
        server.client.log_batch(run_id, some, of_params, of_tags)


def write_lineage(server: Server, run_id: str, dataset: Lineage) -> None:
    """Tell what was audited."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    told = Dataset(
        name=dataset.name,
        digest=dataset.digest,
        source_type=dataset.source_type,
        source=dataset.source,
        profile=dataset.profile,
    )
    server.client.log_inputs(run_id, [DatasetInput(told, [InputTag(CONTEXT, "audit")])])


def check_place(server: Server, run: Run) -> None:
    """Refuse to write artifacts to a folder that a server on another machine names.

    It would be a folder of this machine, which the server never sees.

    Raises
    ------
    MlflowFailed
        The run's artifacts belong into a folder.
    """
    parts = urlsplit(run.info.artifact_uri)
    is_here = not server.is_web or urlsplit(server.uri).hostname in LOOPBACK
    if parts.scheme in FOLDERS and not is_here:
        raise MlflowFailed(
            f"MLflow at {server.shown}: artifacts of the experiment belong into a folder of the "
            f"server ({parts.path}), which cannot be written from here; start the server with "
            "--serve-artifacts and name another experiment, [mlflow] experiment",
            PLACE,
        )


def write_artifacts(server: Server, run_id: str, folder: Path) -> None:
    """Send every file below a folder, under its path in it."""
    for name, size in files_in(folder).items():
        above = str(Path(name).parent)
        with _patient(server.settings.timeout_seconds + size / UPLOAD_RATE):
            server.client.log_artifact(run_id, str(folder / name), None if above == "." else above)


def read_back(server: Server, run_id: str, fit: Fitted, folder: Path) -> None:
    """Compare the run with what was sent.

    Raises
    ------
    MlflowFailed
        Something is missing or differs.
    """
    run = server.client.get_run(run_id)
    wrong = [*_values(run, fit), *_artifacts(server, run_id, folder)]
    if wrong:
        shown = "; ".join(wrong[:3]) + (f"; {len(wrong) - 3} more" if len(wrong) > 3 else "")
        raise MlflowFailed(
            f"MLflow at {server.shown}: the run {run_id} does not hold what was sent ({shown}); "
            "look at the server's log and at the room of its artifact store",
            INCOMPLETE,
        )


def files_in(folder: Path) -> dict[str, int]:
    """Return the files below a folder by their path in it, and their bytes."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in found}


def _values(run: Run, fit: Fitted) -> Iterator[str]:
    """What differs of params, tags and the last value of every metric."""
    last: dict[str, tuple[tuple[int, int], float]] = {}
    for p in fit.points:
        last[p.key] = max(last.get(p.key, ((-1, -1), 0.0)), ((p.step, p.timestamp_ms), p.value))
    wanted: tuple[tuple[str, dict[str, Any], Any], ...] = (
        ("param", dict(fit.params), run.data.params),
        ("tag", dict(fit.tags), run.data.tags),
        ("metric", {key: value for key, (_, value) in last.items()}, run.data.metrics),
    )
    for kind, sent, there in wanted:
        yield from (f"{kind} {key}" for key in sent if there.get(key) != sent[key])


def _artifacts(server: Server, run_id: str, folder: Path) -> Iterator[str]:
    """What differs of the artifacts' names and sizes, where the store tells sizes."""
    there = dict(_listed(server, run_id, None))
    for name, size in files_in(folder).items():
        if name not in there or there[name] not in {size, None}:
            yield f"artifact {name}"


def _listed(server: Server, run_id: str, path: str | None) -> Iterator[tuple[str, int | None]]:
    for info in server.client.list_artifacts(run_id, path):
        if info.is_dir:
            yield from _listed(server, run_id, info.path)
        else:
            yield info.path, info.file_size


def _parts(rows: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [rows[i : i + size] for i in range(0, len(rows), size)]


@contextmanager
def _patient(seconds: float) -> Iterator[None]:
    """Wait longer for an answer: a large file takes its time."""
    before = os.environ.get(TIMEOUT)
    os.environ[TIMEOUT] = str(int(seconds) + 1)
    try:
        yield
    finally:
        if before is not None:
            os.environ[TIMEOUT] = before
