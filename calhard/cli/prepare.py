"""``calhard prepare``: any history as sorted Parquet."""

from __future__ import annotations

from pathlib import Path

import click

from calhard.cli import engines, options
from calhard.cli.output import json_text, reader_may_leave
from calhard.errors import ConfigError


@click.command("prepare", no_args_is_help=True)
@click.argument("history")
@options.out_argument
@options.config
@engines.options
@click.option("--force", is_flag=True, help="Write all of OUT anew, from what is there.")
@click.option("--quiet", "-q", is_flag=True, help="No progress; on stdout what was left out alone.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of words.")
def command(
    *,
    history: str,
    out: Path,
    config: Path | None,
    engine: str,
    ray_address: str | None,
    workers: int | None,
    force: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Write HISTORY, in any order and layout, to the folder OUT as sorted Parquet.

    An audit streams OUT in one pass, row group by row group, and says of it what it says of
    HISTORY. All columns stay; ids become text and instants UTC. Rows without a usable id or
    timestamp are left out and counted.

    Run it again to bring OUT up to date: only new and changed files are read, and only the files
    of OUT are written again in whose models rows come or go. Rows of files that are gone stay.

    \b
    Examples:
      calhard prepare history/ prepared
      calhard prepare exports.csv prepared --config calhard.toml --workers 4
      calhard audit prepared --out nights

    \b
    Exit codes:
      0  prepared, or nothing to do        4  failed, OUT is as it was
      2  usage or configuration error     75  someone else is preparing into OUT
      3  degraded: coverage under its bound
    """
    from calhard.cli.progress import PREPARE, progress
    from calhard.prepare.run import prepare_history
    from calhard.prepare.told import alarming_lines, report_lines
    from calhard.sources import experiment_of

    plan = options.load_plan(config, None)
    if experiment_of(history) is not None:
        raise ConfigError(
            f"{history}: an experiment is not prepared: an audit reads it as sorted Parquet as it "
            "is; give it to calhard audit"
        )
    computing = engines.chosen(engine, ray_address, workers)
    with computing as where, progress(quiet=quiet, stages=PREPARE, unit="tasks") as tell:
        report = prepare_history(history, out, plan=plan, force=force, engine=where, progress=tell)
    with reader_may_leave():
        if as_json:
            click.echo(json_text(report.to_dict()))
        else:
            for line in alarming_lines(report) if quiet else report_lines(report):
                click.echo(line)
    return report.exit_code
