"""``calhard check``: what an audit would cover."""

from __future__ import annotations

from pathlib import Path

import click

from calhard.cli import options, source
from calhard.cli.output import json_text, reader_may_leave


@click.command("check", no_args_is_help=True)
@click.argument("history")
@options.config
@options.as_of
@source.mlflow_uri
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of words.")
def command(
    *,
    history: str,
    config: Path | None,
    as_of: str | None,
    mlflow_uri: str | None,
    as_json: bool,
) -> int:
    """Read all of HISTORY and say what an audit would cover, and what it would reject and why.

    Ends with 0 if all would be audited, with 3 if parts would be rejected, values are not finite or
    out of range, or nothing is left.

    \b
    Examples:
      calhard check history/
      calhard check history.csv --config calhard.toml --json
      calhard check mlflow:fraud --mlflow-uri http://127.0.0.1:5000
    """
    from calhard.cli.terminal import Terminal
    from calhard.history.check import check_history, print_check

    plan = options.load_plan(config, None)
    instant = options.parse_instant(as_of)
    with source.opened(history, plan, uri=mlflow_uri, as_of_us=instant, quiet=as_json) as opened:
        found = check_history(opened, plan, as_of_us=instant)
    with reader_may_leave():
        if as_json:
            click.echo(json_text(found.to_dict()))
        else:
            print_check(found, Terminal())
    return 0 if found.sound else 3
