"""The history that a command names, fetched where it is an experiment of MLflow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from calhard.plan import AuditPlan
    from calhard.sources import History

mlflow_uri = click.option(
    "--mlflow-uri",
    metavar="U",
    help="The server of mlflow:EXPERIMENT; by default that of the configuration, or of "
    "MLFLOW_TRACKING_URI.",
)


@contextmanager
def opened(
    history: str,
    plan: AuditPlan,
    *,
    uri: str | None = None,
    out: Path | str | None = None,
    as_of_us: int | None = None,
    quiet: bool = False,
) -> Iterator[History]:
    """Give a history to read; how far a fetch is goes to stderr. See `calhard.sources.fetched`."""
    from calhard.cli.progress import FETCH, progress
    from calhard.sources import experiment_of, fetched

    if experiment_of(history) is None:
        yield history
        return
    with ExitStack() as stack:
        with progress(quiet=quiet, stages=FETCH, unit="runs") as tell:
            found = fetched(history, plan, uri=uri, out=out, as_of_us=as_of_us, progress=tell)
            source = stack.enter_context(found)
        yield source
