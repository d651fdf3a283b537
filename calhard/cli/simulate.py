"""``calhard simulate``: a synthetic fleet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from calhard.cli import options


@click.command("simulate", no_args_is_help=True)
@options.out_argument
@click.option("--models", default=20, show_default=True, help="Models of the fleet.")
@click.option("--classes", default=3, show_default=True, help="Classes of every model.")
@click.option("--days", default=35, show_default=True, help="Days of history.")
@click.option(
    "--cadence",
    type=click.Choice(["hourly", "daily", "mixed"]),
    default="hourly",
    show_default=True,
    help="Distance of two rows; mixed makes every third model daily.",
)
@click.option(
    "--noise",
    type=click.Choice(["normal", "t5", "weekly", "daily"]),
    default="normal",
    show_default=True,
    help="Law of the noise, or a season in it.",
)
@click.option("--phi", default=0.3, show_default=True, help="Lag-1 correlation of the noise.")
@click.option("--broken", default=0.25, show_default=True, help="Share of models with a fault.")
@click.option(
    "--fleet-wide", default=0.0, show_default=True, help="Share with one bad deployment in common."
)
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same fleet.")
def command(*, out: Path, **settings: Any) -> int:
    """Write a synthetic fleet to OUT: history.parquet, and _truth.parquet beside it.

    \b
    Examples:
      calhard simulate fleet --models 50 --seed 7
      calhard simulate healthy --models 1000 --classes 5 --days 21 --broken 0
      calhard audit fleet --out nights
    """
    from pyarrow.parquet import read_metadata

    from calhard.simulate import FleetSpec, write_fleet

    spec = FleetSpec(**settings)
    write_fleet(spec, out)
    broken = read_metadata(out / "_truth.parquet").num_rows
    click.echo(
        f"{out / 'history.parquet'}: {spec.models:,} models × {spec.classes} classes, "
        f"{spec.days} days; {broken:,} broken series are listed in {out / '_truth.parquet'}"
    )
    return 0
