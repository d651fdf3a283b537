"""``calhard publish``: nights to MLflow, again or at last."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from calhard.cli import options
from calhard.cli.failures import inert
from calhard.cli.sending import place, told
from calhard.errors import CalhardError, ConfigError

if TYPE_CHECKING:
    from calhard.sinks.mlflow.client import Server
    from calhard.sinks.mlflow.deliver import Delivered
    from calhard.store import NightReader

SOME_LEFT, NONE_SENT = 3, 4


@click.command("publish", no_args_is_help=True)
@options.nights_argument
@options.night
@click.option("--pending", is_flag=True, help="All nights that the server has no receipt of.")
@options.config
@options.mlflow_uri
def command(
    *,
    out: Path | str,
    night: str | None,
    pending: bool,
    config: Path | None,
    mlflow_uri: str | None,
) -> int:
    """Send a published night of OUT to MLflow: the latest, one, or all that wait.

    A night is one run, and stays one however often it is sent: what was begun is gone on with. What
    was sent is noted in OUT/.mlflow.

    \b
    Examples:
      calhard publish nights --mlflow-uri http://127.0.0.1:5000
      calhard publish nights --pending --config calhard.toml
      calhard publish s3://bucket/nights --night 2026-05-31 --config calhard.toml

    \b
    Exit codes:
      0  every night that was asked for is in MLflow
      2  usage or configuration error: no server is named, MLflow is not installed
      3  with --pending: some nights are sent, others are left
      4  nothing could be sent
    """
    from calhard.sinks.mlflow.client import connect
    from calhard.store import list_nights, open_night

    if pending and night is not None:
        raise ConfigError("--pending sends all nights that wait; leave --night out, or --pending")
    plan = options.load_plan(config, None)
    if pending and list_nights(out):
        return _all(out, connect(plan.mlflow, uri=mlflow_uri))
    chosen = open_night(out, night)  # before the server is asked: is there any?
    _one(out, chosen, connect(plan.mlflow, uri=mlflow_uri))
    return 0


def _all(out: Path | str, server: Server) -> int:
    """Send what waits; a night that cannot be sent, or read, keeps no other one waiting."""
    from calhard.store import list_nights

    sent = left = 0
    for name in list_nights(out):
        try:
            sent += _is_sent(out, name, server)
        except Exception as e:  # noqa: BLE001  # whatever is the matter with this one
            left += 1
            ours = isinstance(e, CalhardError)
            told = str(e) if ours else f"an error of calhard itself, {type(e).__name__}: {e}"
            click.echo(f"calhard: night {name}: {inert(told)}", err=True)
            if server.is_lost:
                break
    if left or server.is_lost:
        return SOME_LEFT if sent else NONE_SENT
    if not sent:
        click.echo(f"no night waits for {server.shown}")
    return 0


def _is_sent(out: Path | str, name: str, server: Server) -> bool:
    """Send a night if it waits; whether it did."""
    from calhard.sinks.mlflow.receipt import waiting

    night = waiting(out, name, server.shown, server.settings)
    if night is not None:
        _one(out, night, server)
    return night is not None


def _one(out: Path | str, night: NightReader, server: Server) -> None:
    from calhard.sinks.mlflow.deliver import deliver

    delivered = deliver(out, night, server)
    for line in delivered.told:
        click.echo(f"calhard: {inert(line)}", err=True)
    click.echo(inert(_shown(delivered)))


def _shown(delivered: Delivered) -> str:
    if delivered.receipt.is_other:
        return f"night {delivered.receipt.night} stays as it is: {place(delivered)}"
    return told(delivered)
