"""What an audit does with MLflow once its night is published: it tells, and never fails for it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from calhard.cli.failures import inert
from calhard.errors import CalhardError

if TYPE_CHECKING:
    from pathlib import Path

    from calhard.plan.publishing import Mlflow
    from calhard.sinks.mlflow.deliver import Delivered
    from calhard.store import NightReader, Out

LONGEST_SECONDS = 300.0
"""How long an audit waits for MLflow in all; `calhard publish` waits as long as it takes."""


def check_server(settings: Mlflow, uri: str | None) -> None:
    """Refuse an address that is none, and half a log-in, before any work is done.

    Raises
    ------
    ConfigError
        It is no address of MLflow's, or username and password are not both given.
    """
    if uri or settings.uri:
        from calhard.sinks.mlflow.address import where
        from calhard.sinks.mlflow.identity import Identity

        where(settings, uri)
        Identity.of(settings.username, settings.password, settings.token)


def send_night(
    out: Out,
    night: NightReader,
    settings: Mlflow,
    uri: str | None,
    *,
    quiet: bool,
    config: Path | None = None,
) -> Delivered | None:
    """Send a published night, if a server is named; what goes wrong is one line on stderr.

    ``config`` is the file that the settings are from: the command that sends it later needs it.
    """
    if not (uri or settings.uri):
        return None
    try:
        delivered = _sent(out, night, settings, uri)
    except CalhardError as e:
        _warn(out, night, uri, config, str(e))
        return None
    except Exception as e:  # noqa: BLE001  # the night is published: nothing here may change its code
        told_as = f"an error of calhard itself, {type(e).__name__}: {e}"
        _warn(out, night, uri, config, told_as)
        return None
    for line in delivered.told:
        click.echo(f"calhard: {inert(line)}", err=True)
    if not quiet and not delivered.receipt.is_other:
        click.echo(inert(told(delivered)), err=True)
    return delivered


def told(delivered: Delivered) -> str:
    """Return where a night is, on a line."""
    receipt = delivered.receipt
    return f"night {receipt.night} is in MLflow: {place(delivered)}"


def place(delivered: Delivered) -> str:
    """Return the address of a night's page; of a database, what stands in it."""
    receipt = delivered.receipt
    if receipt.server.startswith("http"):
        return delivered.link(receipt.server)
    return f"run {receipt.run_id} in {receipt.server}"


def _sent(out: Out, night: NightReader, settings: Mlflow, uri: str | None) -> Delivered:
    from calhard.sinks.mlflow.address import where
    from calhard.sinks.mlflow.client import connect
    from calhard.sinks.mlflow.deliver import deliver, known

    before = known(out, night, settings, where(settings, uri) or "")
    if before is not None:
        return before
    return deliver(out, night, connect(settings, uri=uri, seconds=LONGEST_SECONDS))


def _warn(out: Out, night: NightReader, uri: str | None, config: Path | None, why: str) -> None:
    again = typed("publish", str(out), "--pending", uri=uri, config=config)
    line = f"night {night.night} is published, but not in MLflow: {why}; send it later: {again}"
    click.echo(f"calhard: {inert(line)}", err=True)


def typed(*words: str, uri: str | None, config: Path | None) -> str:
    """Return a command of calhard for a shell, which names the server as this one was told it.

    A log-in in an address is left out: MLflow's own variables, or the configuration, give it.
    """
    from calhard.sinks.mlflow.address import shown

    named = ["--mlflow-uri", shown(uri)] if uri else []
    options = ["--config", str(config)] if config else []
    return shlex.join(["calhard", *words, *named, *options])
