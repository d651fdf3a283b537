"""The experiment that holds a fleet's nights."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from calhard.plan.publishing import Mlflow
from calhard.sinks.mlflow.client import Server
from calhard.sinks.mlflow.errors import EXISTS, PLACE, MlflowFailed
from calhard.sinks.mlflow.limits import experiment_name

if TYPE_CHECKING:
    from mlflow.entities import Experiment

TRASH = "TRASH"
KINDS = {"mlflow.experimentKind": "custom_model_development"}
"""By this the page shows an experiment as one of models, not of language models."""


def name_of(settings: Mlflow, fleet: str) -> str:
    """Return the name of a fleet's experiment."""
    return experiment_name(settings.experiment or f"calhard/{fleet}")


def experiment_of(server: Server, name: str) -> str:
    """Return the id of an experiment, which is created if need be, by whoever comes first.

    Raises
    ------
    MlflowFailed
        It is in the trash, or the server fails.
    """
    found = server.client.get_experiment_by_name(name)
    if found is None:
        try:
            return server.client.create_experiment(name, _artifacts(server, name), KINDS)
        except MlflowFailed as e:
            found = server.client.get_experiment_by_name(name) if e.code == EXISTS else None
            if found is None:
                raise
    return _alive(server, found)


def _alive(server: Server, found: Experiment) -> str:
    if found.lifecycle_stage == "active":
        return str(found.experiment_id)
    number = found.experiment_id
    raise MlflowFailed(
        f"MLflow at {server.shown}: the experiment {found.name!r} is in the trash; restore it "
        f"(mlflow experiments restore -x {number}), or name another one, [mlflow] experiment",
        TRASH,
    )


def _artifacts(server: Server, name: str) -> str | None:
    """Where artifacts go: a server knows; beside a file of sqlite they stand beside it."""
    if server.is_web:
        return None
    scheme, _, rest = server.uri.partition("://")
    if not scheme.startswith("sqlite"):
        raise MlflowFailed(
            f"MLflow at {server.shown}: there is no experiment {name!r}, and a database does not "
            f"tell where its artifacts belong; send to a server, or create it with a place: mlflow "
            f"experiments create -n {shlex.quote(name)} --artifact-location PLACE",
            PLACE,
        )
    database = Path(rest.partition("?")[0][1:])  # sqlite:////absolute
    return (database.absolute().parent / "mlartifacts" / slug(name)).as_uri()


def slug(name: str) -> str:
    """Return a name of a folder that stands for a name."""
    from hashlib import sha256

    readable = "".join(c if c.isascii() and c.isalnum() else "-" for c in name)[:40].strip("-")
    return f"{readable}-{sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
