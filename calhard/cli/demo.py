"""``calhard demo``: a night in a minute."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("demo")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("calhard-demo"),
    show_default=True,
    help="Where to write; an earlier demo there is audited anew.",
)
@click.option("--quiet", "-q", is_flag=True, help="No progress.")
def command(*, out: Path, quiet: bool) -> int:
    r"""Simulate a small fleet with known faults, audit it, compare with the truth.

    \b
    Examples:
      calhard demo
      calhard demo --out my-demo
    """
    from calhard.cli.progress import progress
    from calhard.cli.show import show_night
    from calhard.demo import run_demo
    from calhard.store import open_night

    with progress(quiet=quiet) as tell:
        demo = run_demo(out, progress=tell)
    show_night(open_night(demo.nights, demo.report.night), as_json=False)
    click.echo("")
    click.echo(demo.told())
    return 0
