"""An MLflow server: whether it answers, is new enough, knows who asks and where artifacts go."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

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


def tracking(plan: AuditPlan, uri: str | None) -> Iterator[Finding]:
    """Examine the MLflow server that is named, if any.

    Nothing is written there: whether an account may write shows when a night is sent.

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
        yield _artifacts(server, urlsplit(str(place.artifact_location)).scheme)
    if server.is_web:
        yield _clock(server.call("", lambda: _date(server.uri)), time.time())


def _experiment(name: str, found: Experiment | None) -> Finding:
    if found is None:
        return ok("experiment", f"{name} is created with the first night")
    if found.lifecycle_stage == "active":
        return ok("experiment", f"{name} is there")
    mends = f"mlflow experiments restore -x {found.experiment_id}, or name another one"
    return wrong("experiment", f"{name} is in the trash", mends)


def _artifacts(server: Server, scheme: str) -> Finding:
    if scheme == "mlflow-artifacts":
        return ok("artifacts", "go through the server")
    if scheme in {"", "file"}:
        if not server.is_web:
            return ok("artifacts", "go to a folder beside the database")
        told = "go to a folder, which must be the same here and on the server"
        return note("artifacts", told, "start the server with --serve-artifacts")
    told = f"go to {scheme}:// from here, not through the server"
    return note("artifacts", told, "credentials for that store are needed, and its package")


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
