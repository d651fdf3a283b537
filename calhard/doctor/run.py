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


def examine(out: Path, ray_address: str | None = None) -> Iterator[Finding]:
    """Yield what is found, one thing after the other.

    Parameters
    ----------
    out : folder of the nights; it need not exist
    ray_address : as `calhard audit` takes it, or a dashboard's, as `calhard submit` does

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
