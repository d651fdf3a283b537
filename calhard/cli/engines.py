"""Where a command computes: the options that say so, and the engine they make."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from calhard.errors import ConfigError

if TYPE_CHECKING:
    from calhard.engines import Engine

Command = TypeVar("Command", bound=Callable[..., Any])

_engine = click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Where shards are computed: processes of this machine, or Ray.",
)
_address = click.option(
    "--ray-address",
    metavar="A",
    help="Cluster to compute on: auto, ray://HOST:PORT or HOST:PORT; local, the default, is a Ray "
    "of its own on this machine, closed to everybody else.",
)
_workers = click.option(
    "--workers",
    type=click.IntRange(1),
    help="Worker processes; all cores by default, on a cluster as many as fit.",
)


def options(command: Command) -> Command:
    """Add --engine, --ray-address and --workers."""
    return _engine(_address(_workers(command)))


@contextmanager
def chosen(
    engine: str, ray_address: str | None, workers: int | None, gpus: float = 0.0
) -> Iterator[Engine]:
    """Give the engine that the options ask for; end what it started.

    Raises
    ------
    ConfigError
        There is an address of Ray without Ray, or Ray is not installed.
    """
    if engine == "local":
        if ray_address is not None:
            raise ConfigError("--ray-address is for --engine ray; add that, or leave it out")
        from calhard.engines import LocalEngine

        yield LocalEngine(workers)
        return
    from calhard.engines.on_ray import RayEngine

    root = click.get_current_context().find_root()
    debug = bool(root.params.get("debug"))
    with RayEngine(ray_address, workers, gpus=gpus, debug=debug) as on_ray:
        yield on_ray
