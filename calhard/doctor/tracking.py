"""An MLflow server: whether it answers, is new enough, knows who asks and where artifacts go."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from email.utils import parsedate_to_datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import uuid4

from calhard.doctor.finding import Finding, note, ok, wrong
from calhard.doctor.packages import installed
from calhard.errors import CalhardError, ConfigError
from calhard.plan import AuditPlan
from calhard.sinks.mlflow.errors import MlflowFailed

if TYPE_CHECKING:
    from mlflow.entities import Experiment

    from calhard.sinks.mlflow.client import Server

NAME = "mlflow"
INSTALL = "pip install 'calhard[mlflow]'"
SKEW_SECONDS = 60.0
"""Servers tell their time in whole seconds."""
SECONDS = 60.0
"""Longest that a server is waited for."""
FOLDERS = ("", "file")
_WAYS = {
    "mlflow-artifacts": "go through the server",
    **dict.fromkeys(FOLDERS, "go to a folder beside the database"),
}


def tracking(plan: AuditPlan, uri: str | None) -> Iterator[Finding]:
    """Examine the MLflow server that is named, if any.

    A file of one letter is written among the artifacts of the fleet's experiment, if that is there,
    and deleted again. No run is written: whether the account may shows when a night is sent.

    Raises
    ------
    ConfigError
        The address is none.
    """
    here = installed("mlflow")
    if here is None:
        told = "not installed; nights as runs, histories from MLflow and its registry need it"
        named = uri or plan.mlflow.uri
        yield wrong(NAME, told, INSTALL) if named else note(NAME, told, INSTALL)
        return
    yield ok(NAME, here)
    if uri or plan.mlflow.uri:
        yield from _server(plan, uri)


def _server(plan: AuditPlan, uri: str | None) -> Iterator[Finding]:
    from calhard.sinks.mlflow.client import connect
    from calhard.sinks.mlflow.experiment import name_of

    began = time.monotonic()
    try:
        server = connect(plan.mlflow, uri=uri, seconds=SECONDS)
        found = server.client.get_experiment_by_name(name_of(plan.mlflow, plan.fleet))
    except ConfigError:
        raise
    except CalhardError as e:
        told, _, remedy = str(e).rpartition("; ")
        yield wrong("server", told or str(e), remedy if told else "look at the server")
        return
    lasted = time.monotonic() - began
    yield ok("server", f"{server.shown}: MLflow {server.version}, answers in {lasted:.1f} s")
    yield _experiment(name_of(plan.mlflow, plan.fleet), found)
    with suppress(MlflowFailed):  # another account's
        place = found or server.client.get_experiment("0")
        yield _artifacts(server, str(place.artifact_location), is_own=found is not None)
    if server.is_web:
        yield _clock(server.call("", lambda: _date(server.uri)), time.time())
    yield from _registry(plan, uri)


def _experiment(name: str, found: Experiment | None) -> Finding:
    if found is None:
        return ok("experiment", f"{name} is created with the first night")
    if found.lifecycle_stage == "active":
        return ok("experiment", f"{name} is there")
    mends = f"mlflow experiments restore -x {found.experiment_id}, or name another one"
    return wrong("experiment", f"{name} is in the trash", mends)


def _artifacts(server: Server, location: str, *, is_own: bool) -> Finding:
    """Where artifacts go; whether they arrive is tried in the fleet's own experiment alone."""
    parts = urlsplit(location)
    way = _WAYS.get(parts.scheme, f"go to {parts.scheme}:// from here, not through the server")
    if parts.scheme in FOLDERS and server.is_web:
        told = "go to a folder, which must be the same here and on the server"
        return note("artifacts", told, "start the server with --serve-artifacts")
    if not is_own:
        return ok("artifacts", f"{way}; that is tried once the experiment is there")
    try:
        is_clean = _try_artifact(server, location)
    except MlflowFailed as e:
        told, _, remedy = str(e).rpartition("; ")
        return wrong("artifacts", told or str(e), remedy if told else "look at the store")
    if not is_clean:
        return note("artifacts", f"{way}, are taken, and none is deleted: one letter is left there")
    return ok("artifacts", f"{way}, are taken and deleted")


def _try_artifact(server: Server, location: str) -> bool:
    """Write a letter beside the runs' artifacts and delete it; whether that is gone again."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    with TemporaryDirectory(prefix="calhard-doctor-") as name:
        letter = Path(name) / f"calhard-doctor-{uuid4().hex}.txt"
        letter.write_text("a")

        def repository() -> Any:
            return get_artifact_repository(location, tracking_uri=server.uri)

        server.call("log_artifact", lambda: repository().log_artifact(str(letter)))
        try:
            server.call("delete_artifacts", lambda: repository().delete_artifacts(letter.name))
        except MlflowFailed:
            return False
    return True


def _registry(plan: AuditPlan, uri: str | None) -> Iterator[Finding]:
    """The account that moves aliases, where it is one of its own."""
    from calhard.sinks.mlflow.client import connect
    from calhard.sinks.mlflow.identity import Identity

    named = plan.mlflow.registry
    who = Identity.of(named.username, named.password, named.token)
    if not who.is_named:
        return
    try:
        connect(
            plan.mlflow, uri=uri, identity=who, seconds=SECONDS
        ).client.search_registered_models(max_results=1)
    except MlflowFailed as e:
        yield wrong("registry", str(e), "set [calibration.hardening.mlflow.registry] username")
        return
    told = "the account of [mlflow.registry] may read; whether it may move an alias is not tried"
    yield ok("registry", told)


def _date(uri: str) -> str | None:
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    answer = http_request(get_default_host_creds(uri), "/version", "GET")  # type: ignore[no-untyped-call]  # as MLflow has it
    told: str | None = answer.headers.get("Date")
    return told


def _clock(told: str | None, now: float) -> Finding:
    """Compare the server's time with this machine's."""
    try:
        ahead = parsedate_to_datetime(told or "").timestamp() - now
    except ValueError:
        return note("server clock", "the server does not tell its time")
    if abs(ahead) <= SKEW_SECONDS:
        return ok("server clock", "as this machine's")
    way = "ahead of" if ahead > 0 else "behind"
    return wrong("server clock", f"{abs(ahead):.0f} s {way} this machine's", "set both by NTP")
