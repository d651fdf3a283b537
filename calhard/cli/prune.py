"""``calhard prune``: drops old nights."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import click

from calhard.cli import options


@click.command("prune", no_args_is_help=True)
@options.nights_argument
@click.option("--keep", required=True, metavar="DURATION", help="How much to keep, such as 90d.")
@click.option("--dry-run", is_flag=True, help="Only say what would be dropped.")
def command(*, out: Path | str, keep: str, dry_run: bool) -> int:
    """Drop the nights of OUT older than --keep before the latest one, which always stays.

    \b
    Examples:
      calhard prune nights --keep 90d --dry-run
      calhard prune nights --keep 90d
      calhard prune s3://bucket/nights --keep 90d
    """
    from calhard.errors import ConfigError, InputError
    from calhard.plan import parse_duration
    from calhard.store import exists, place_of, prune

    try:
        span = timedelta(microseconds=parse_duration(keep))
    except (ValueError, OverflowError) as e:
        raise ConfigError(f"--keep: {e}") from e
    place = place_of(out)
    if not exists(place):
        raise InputError(f"{place}: no such folder; name the --out of the audits")
    dropped = prune(place, span, dry_run=dry_run)
    verb = "would drop" if dry_run else "dropped"
    nights = "1 night" if len(dropped) == 1 else f"{len(dropped)} nights"
    click.echo(f"{verb} {nights}{': ' if dropped else ''}{', '.join(dropped)}")
    return 0
