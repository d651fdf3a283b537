"""``calhard doctor``: what is missing, and what mends it."""

from __future__ import annotations

from pathlib import Path

import click

from calhard.cli import options
from calhard.cli.output import json_text, reader_may_leave


@click.command("doctor")
@click.option(
    "--out",
    type=options.FOLDER,
    default=Path(),
    show_default="this folder",
    help="Folder that nights go to; it need not exist.",
)
@click.option(
    "--ray-address",
    metavar="A",
    help="A cluster: as audit takes it (auto, HOST:PORT), or as submit does (http://HOST:8265).",
)
@options.config
@options.mlflow_uri
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of words.")
def command(
    *,
    out: Path,
    ray_address: str | None,
    config: Path | None,
    mlflow_uri: str | None,
    as_json: bool,
) -> int:
    """Examine this machine, a Ray cluster and an MLflow server, and say what to mend.

    One line for each thing: ok, note (it works without), or wrong, and then what mends it. Packages
    and their versions; processors, memory and disk; whether nights can be written, and whether the
    clock agrees with the times of files; cards and CuPy; Ray, and whether a cluster answers, asks
    for a token and has workers with the same calhard; MLflow, and whether its server answers, is
    new enough, lets this account in, and takes artifacts.

    \b
    Examples:
      calhard doctor
      calhard doctor --out /srv/calhard --json
      calhard doctor --ray-address http://127.0.0.1:8265
      calhard doctor --config calhard.toml --mlflow-uri http://127.0.0.1:5000

    \b
    Exit codes:
      0  nothing is wrong        1  something is        2  usage error
    """
    from calhard.doctor import State, examine

    plan = options.load_plan(config, None)
    found, is_wrong = [], False
    with reader_may_leave():
        for finding in examine(out, ray_address, plan, mlflow_uri):
            found.append(finding.to_dict())
            is_wrong = is_wrong or finding.state == State.WRONG
            if not as_json:
                click.echo(finding.line())
        if as_json:
            click.echo(json_text({"findings": found, "sound": not is_wrong}))
    return 1 if is_wrong else 0
