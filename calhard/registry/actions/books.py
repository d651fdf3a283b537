"""Where claims are kept: an experiment for each registered model, whoever comes first makes it.

A fleet or an account of its own would not do: what is claimed is the model's alias, and two fleets
may serve the same one.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from calhard.registry.actions.ledger import Ledger
from calhard.sinks.mlflow.errors import EXISTS, MlflowFailed
from calhard.sinks.mlflow.experiment import KINDS
from calhard.sinks.mlflow.limits import experiment_name as fitting

if TYPE_CHECKING:
    from calhard.sinks.mlflow.client import Server

PATIENCE, PAUSE = 15.0, 0.1
"""Seconds to wait for the ledger of whoever made the experiment; between two looks."""
KIND, ACTIONS, LEDGER = "calhard.kind", "actions", "ledger"
LIMIT = 100
"""Ledgers that are looked for."""


def experiment_name(model: str) -> str:
    """Return the name of the experiment of a registered model's actions."""
    return fitting(f"calhard-actions/{model}")


def find_ledger(server: Server, model: str) -> Ledger | None:
    """Return a registered model's ledger if there is one; nothing is created."""
    there = server.client.get_experiment_by_name(experiment_name(model))
    if there is None:
        return None
    runs = _ledgers(server, there.experiment_id)
    return Ledger(server, there.experiment_id, runs) if runs else None


def open_ledger(server: Server, model: str) -> Ledger:
    """Return a registered model's ledger, created if need be.

    Raises
    ------
    MlflowFailed
        The server does not answer, or this account may not keep a ledger.
    """
    experiment_id, is_mine = _experiment(server, model)
    runs = _ledgers(server, experiment_id)
    until = time.monotonic() + (0.0 if is_mine else PATIENCE)
    while not runs and time.monotonic() < until:  # whoever made the experiment makes the ledger
        time.sleep(PAUSE)
        runs = _ledgers(server, experiment_id)
    if not runs:
        _create(server, experiment_id)
        runs = _ledgers(server, experiment_id)
    return Ledger(server, experiment_id, runs)


def _experiment(server: Server, model: str) -> tuple[str, bool]:
    """Return the experiment of a model's actions, and whether it has just been made here."""
    name = experiment_name(model)
    there: Any = server.client.get_experiment_by_name(name)
    if there is None:
        try:
            return str(server.client.create_experiment(name, tags=KINDS | {KIND: ACTIONS})), True
        except MlflowFailed as e:  # another was faster
            if e.code != EXISTS:
                raise
        there = server.client.get_experiment_by_name(name)
    if there is None or there.lifecycle_stage != "active":
        raise MlflowFailed(
            f"MLflow at {server.shown}: the experiment {name} was deleted; restore it, it holds "
            "the claims of this model's actions",
            EXISTS,
        )
    return str(there.experiment_id), False


def _ledgers(server: Server, experiment_id: str) -> tuple[str, ...]:
    found = server.client.search_runs(
        [experiment_id], f"tags.`{KIND}` = '{LEDGER}'", max_results=LIMIT
    )
    return tuple(sorted(run.info.run_id for run in found))


def _create(server: Server, experiment_id: str) -> None:
    run = server.client.create_run(experiment_id, tags={KIND: LEDGER}, run_name="claims")
    server.client.set_terminated(run.info.run_id)  # parameters can be logged all the same
