"""What a night says, written to its run and read back; doing it again changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname
from uuid import uuid4

from calhard.sinks.mlflow.client import Server
from calhard.sinks.mlflow.content import Lineage
from calhard.sinks.mlflow.errors import MlflowFailed
from calhard.sinks.mlflow.limits import Fitted

if TYPE_CHECKING:
    from mlflow.entities import Run

METRICS, PARAMS, TAGS = 800, 100, 100
"""Entries of a batch: MLflow takes 1,000 in all, and 100 params or tags."""
UPLOAD_RATE = 2**20
"""Bytes a second that an upload may be slow; it is waited for so much longer."""
CONTEXT = "mlflow.data.context"
INCOMPLETE, NOWHERE = "INCOMPLETE", "NOWHERE"
FOLDERS, PROXIED = ("", "file"), "mlflow-artifacts"
LIST = "/api/2.0/mlflow/artifacts/list"
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
    """Refuse to write artifacts where the server never sees them.

    A folder that a server names may be one of another machine, even if the server is addressed as
    this one: a port of it may be forwarded. So a mark is put there, and the server asked for it.

    Raises
    ------
    MlflowFailed
        The run's artifacts belong into a folder elsewhere, or to a server and a database is asked.
    """
    parts = urlsplit(run.info.artifact_uri)
    if not server.is_web and parts.scheme == PROXIED:
        raise MlflowFailed(
            f"MLflow at {server.shown}: artifacts of the experiment go through the server that "
            "made it, and a database has none; give that server's address, or name another "
            "experiment, [mlflow] experiment",
            NOWHERE,
        )
    if parts.scheme not in FOLDERS or not server.is_web:
        return
    is_near = urlsplit(server.uri).hostname in LOOPBACK
    if not is_near or not _sees(server, run, Path(url2pathname(parts.path))):
        raise MlflowFailed(
            f"MLflow at {server.shown}: artifacts of the experiment belong into a folder of the "
            f"server ({parts.path}), which cannot be written from here; start the server with "
            "--serve-artifacts and name another experiment, [mlflow] experiment",
            NOWHERE,
        )


def _sees(server: Server, run: Run, folder: Path) -> bool:
    """Whether a folder of this machine is the one that the server sees; nothing is left in it."""
    mark = folder / f"calhard-{uuid4().hex}"
    above = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        mark.touch()
        found = _told(server, run.info.run_id, None)
    except OSError:
        return False
    finally:
        with suppress(OSError):
            mark.unlink(missing_ok=True)
            for path in above:
                path.rmdir()
    return any(name == mark.name for name, _, _ in found)


def write_artifacts(server: Server, run_id: str, folder: Path) -> None:
    """Send every file below a folder, under its path in it."""
    for name, size in files_in(folder).items():
        above = None if (parent := str(Path(name).parent)) == "." else parent
        act = partial(server.bare.log_artifact, run_id, str(folder / name), above)
        server.call("log_artifact", act, more=size / UPLOAD_RATE)


def read_back(server: Server, run_id: str, fit: Fitted, folder: Path) -> None:
    """Compare the run with what was sent.

    Raises
    ------
    MlflowFailed
        Something is missing or differs.
    """
    run = server.client.get_run(run_id)
    wrong = [*_values(run, fit), *_artifacts(server, run, folder)]
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


def _artifacts(server: Server, run: Run, folder: Path) -> Iterator[str]:
    """What differs of the artifacts' names and sizes, where the store tells sizes."""
    there = dict(_listed(server, run, None))
    for name, size in files_in(folder).items():
        if name not in there or there[name] not in {size, None}:
            yield f"artifact {name}"


def _listed(server: Server, run: Run, path: str | None) -> Iterator[tuple[str, int | None]]:
    for name, size, is_folder in _infos(server, run, path):
        if is_folder:
            yield from _listed(server, run, name)
        else:
            yield name, size


def _infos(server: Server, run: Run, path: str | None) -> list[tuple[str, int | None, bool]]:
    """Path and bytes of what stands in a folder of a run, and whether it is a folder itself.

    MLflow's client reads a folder itself where a server names one; here the server reads it.
    """
    if server.is_web and urlsplit(run.info.artifact_uri).scheme in FOLDERS:
        return _told(server, run.info.run_id, path)
    found = server.client.list_artifacts(run.info.run_id, path)
    return [(info.path, info.file_size, info.is_dir) for info in found]


def _told(server: Server, run_id: str, path: str | None) -> list[tuple[str, int | None, bool]]:
    """The same as the server tells it."""
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request, verify_rest_response

    asked = {"run_id": run_id} | ({"path": path} if path else {})

    def act() -> list[dict[str, Any]]:
        creds = get_default_host_creds(server.uri)  # type: ignore[no-untyped-call]  # as MLflow has it
        answer = http_request(creds, LIST, "GET", params=asked)  # type: ignore[no-untyped-call]  # as MLflow has it
        verify_rest_response(answer, LIST)
        return list(answer.json().get("files", []))

    files = server.call("list_artifacts", act)
    return [(f["path"], int(f.get("file_size", 0)), bool(f.get("is_dir"))) for f in files]


def _parts(rows: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [rows[i : i + size] for i in range(0, len(rows), size)]
