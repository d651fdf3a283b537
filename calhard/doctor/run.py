"""The whole examination."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from calhard._version import __version__
from calhard.doctor.card import card
from calhard.doctor.cluster import cluster
from calhard.doctor.finding import Finding, ok
from calhard.doctor.machine import machine
from calhard.doctor.packages import packages
from calhard.doctor.tracking import tracking
from calhard.plan import AuditPlan


def examine(
    out: Path,
    ray_address: str | None = None,
    plan: AuditPlan | None = None,
    mlflow_uri: str | None = None,
) -> Iterator[Finding]:
    """Yield what is found, one thing after the other.

    Parameters
    ----------
    out : folder of the nights; it need not exist
    ray_address : as `calhard audit` takes it, or a dashboard's, as `calhard submit` does
    plan : names an MLflow server and who asks it
    mlflow_uri : wins over the plan's

    Raises
    ------
    ConfigError
        The address is none.
    """
    yield ok("calhard", __version__)
    yield from packages()
    yield from machine(out)
    yield from card()
    yield from cluster(ray_address)
    yield from tracking(plan or AuditPlan(), mlflow_uri)
