"""``calhard demo``: a night in a minute."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import click

from calhard.cli import options
from calhard.cli.output import reader_may_leave
from calhard.cli.sending import check_server, place, send_night

if TYPE_CHECKING:
    from calhard.store import NightReader

MLFLOW = "In MLflow     "
PORT = 5000


@click.command("demo")
@click.option(
    "--out",
    type=options.FOLDER,
    default=Path("calhard-demo"),
    show_default=True,
    help="Where to write; an earlier demo there is audited anew.",
)
@click.option(
    "--mlflow-uri",
    metavar="U",
    help="MLflow server that the night is sent to; by default a database in the folder.",
)
@click.option("--quiet", "-q", is_flag=True, help="No progress.")
def command(*, out: Path, mlflow_uri: str | None, quiet: bool) -> int:
    """Simulate a small fleet with known faults, audit it, compare with the truth, log to MLflow.

    \b
    Examples:
      calhard demo
      calhard demo --out my-demo
    """
    from calhard.cli.progress import progress
    from calhard.cli.show import show_night
    from calhard.demo import run_demo
    from calhard.plan.publishing import Mlflow
    from calhard.store import open_night

    check_server(Mlflow(), mlflow_uri)
    with progress(quiet=quiet) as tell:
        demo = run_demo(out, progress=tell)
    night = open_night(demo.out, demo.report.night)
    with reader_may_leave():
        show_night(night, as_json=False)
        click.echo(f"\n{demo.told()}")
        click.echo("\n".join(_browsed(demo.out, night, mlflow_uri)))
    return 0


def _browsed(out: Path, night: NightReader, mlflow_uri: str | None) -> Iterator[str]:
    """Send the night to MLflow; yield how to look at it there."""
    from calhard.demo import command_of
    from calhard.plan.publishing import Mlflow

    if not _is_there("mlflow"):
        yield f"{MLFLOW}not installed; pip install 'calhard[mlflow]' shows the night there, too"
        return
    if mlflow_uri is None and "?" in str(out.absolute()):
        yield f'{MLFLOW}not there; a folder with "?" in its name cannot hold its database'
        return
    uri = mlflow_uri or f"sqlite:///{out.absolute() / 'mlflow.db'}"
    delivered = send_night(out, night, Mlflow(), uri, quiet=True)
    if delivered is None:
        return  # why was told
    if mlflow_uri is not None:
        yield f"{MLFLOW}{place(delivered)}"
        return
    yield f"{MLFLOW}{command_of('mlflow')} server --backend-store-uri {quote(uri)} --port {PORT}"
    yield f"              then open {delivered.nights_link(f'http://127.0.0.1:{PORT}')}"


def _is_there(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ValueError:  # what is imported half
        return False
